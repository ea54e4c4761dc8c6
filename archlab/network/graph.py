"""A spec as a graph of wired blocks: the shapes of every node, pruning of what nothing reads, a canonical hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from archlab.blocks.wiring import Arguments, Leaf, Shape, Wired, WiringError, live, wire
from archlab.core.errors import InputError, Problem, in_order
from archlab.network.canonical import canonical_lines
from archlab.network.spec import IMAGE, LAST, Declared, Initialisation, Spec

HASH_VERSION = 1
Ref = tuple[int, int]  # (node, which of its outputs); node -1 is the image


@dataclass(frozen=True)
class Node:
    """A block in place.

    inputs: where each input comes from, None for an input that no needed leaf reads.
    leaves: the leaves that the network's output needs.
    read: the positions of the outputs that are read.
    """

    name: str
    block: str
    arguments: Arguments
    inputs: tuple[Ref | None, ...]
    wired: Wired
    leaves: tuple[Leaf, ...]
    read: frozenset[int]

    @property
    def stage(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def out_shapes(self) -> tuple[Shape, ...]:
        """(C, H, W) of every output, fine to coarse."""
        return self.wired.out_shapes

    @property
    def reads(self) -> tuple[tuple[int, Ref], ...]:
        """Return the positions of the inputs that are read, each with where it comes from."""
        return tuple((k, ref) for k, ref in enumerate(self.inputs) if ref is not None)

    @property
    def pruned(self) -> tuple[Leaf, ...]:
        """Return the leaves that were wired but that no output of the network needs."""
        kept = set(map(id, self.leaves))
        return tuple(leaf for leaf in self.wired.leaves if id(leaf) not in kept)


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they run.

    unread: the declared nodes that no output needs. spec: what it was assembled from.
    auxiliary: outputs of training, in a graph for training alone; each with the weight of its loss.
    training: the graph for training, which has these outputs too; None if there are none.
    """

    name: str
    input: Shape
    outputs: int
    initialisation: Initialisation
    nodes: tuple[Node, ...]
    output: Ref
    unread: tuple[str, ...]
    spec: Spec | None = field(default=None, compare=False, repr=False)
    auxiliary: tuple[tuple[Ref, float], ...] = ()
    training: Graph | None = field(default=None, repr=False)

    @cached_property
    def hash(self) -> str:
        """Return the canonical hash: equal for networks that compute the same from the same initial weights.

        The leaf operators are numbered in the order in which a depth-first walk from the output, along ordered inputs,
        leaves them. So names, the order of declaration, the form and comments have no effect, while sharing has.
        Auxiliary outputs follow, with their weights, since they change what training gives.
        """
        header = repr((HASH_VERSION, self.input, self.outputs, self.initialisation))
        text = "\n".join([header, *canonical_lines(self.training or self)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def ends(self) -> tuple[Ref, ...]:
        """Return the outputs, the main one first."""
        return (self.output, *(ref for ref, _ in self.auxiliary))

    def source_name(self, ref: Ref) -> str:
        """Return `node`, or `node:1` for one of several outputs, or `input` for the image."""
        node, which = ref
        if node < 0:
            return IMAGE
        return self.nodes[node].name + (f":{which}" if len(self.nodes[node].out_shapes) > 1 else "")


class Laid(Protocol):
    """A block laid down at its input shapes, in any representation."""

    @property
    def out_shapes(self) -> tuple[Shape, ...]: ...


B = TypeVar("B", bound=Laid)
K = TypeVar("K")


@dataclass(frozen=True)
class Layout(Generic[B, K]):
    """Declared nodes in the order in which they run, each with its block, its sources and the outputs that are read.

    needed: for every node, the part of it that these outputs need and the inputs of that part; None if it is unread.
    auxiliary: the outputs of training, if the layout is for training.
    """

    nodes: tuple[tuple[Declared, B], ...]
    refs: tuple[tuple[Ref, ...], ...]
    read: tuple[frozenset[int], ...]
    needed: tuple[tuple[K, frozenset[int]] | None, ...]
    output: Ref
    auxiliary: tuple[Ref, ...] = ()


def lay_out(
    spec: Spec,
    lay: Callable[[Callable[..., Any], tuple[Shape, ...], bool, Arguments], B],
    needs: Callable[[B, frozenset[int]], tuple[K, frozenset[int]]],
    *,
    training: bool = False,
) -> Layout[B, K]:
    """Order, lay down and prune a spec's nodes.

    lay: lays a block down at its input shapes.
    needs: returns, for a block and the outputs that are read, the part that they need and the inputs of that part.
    training: keep what the auxiliary outputs need.
    Raises InputError with every circle, every shape that does not fit and an end of another width.
    """
    laid, problems = _laid(spec.nodes, spec.input, lay)
    problems += _end_problems(laid, spec.outputs, [spec.output, *(each.node for each in spec.auxiliary)])
    if problems:
        raise InputError(in_order(problems))
    position = {name: i for i, name in enumerate(laid)}
    nodes = tuple(laid.values())
    refs = tuple([_refs(declared, laid, position) for declared, _ in nodes])
    output = (position[spec.output], 0)
    auxiliary = tuple([(position[each.node], 0) for each in spec.auxiliary]) if training else ()
    read, needed = _read([block for _, block in nodes], refs, (output, *auxiliary), needs)
    return Layout(nodes, refs, read, needed, output, auxiliary)


def assemble(spec: Spec) -> Graph:
    """Order, wire and prune a spec's nodes; assemble a spec once and carry the graph, which remembers its hash.

    Raises InputError with every circle, every shape that does not fit and an end of another width.
    """
    graph = _assembled(spec, training=False)
    if not spec.auxiliary:
        return graph
    training = _assembled(spec, training=True)
    return replace(graph, unread=training.unread, training=training)


def _assembled(spec: Spec, *, training: bool) -> Graph:
    layout = lay_out(spec, wire, live, training=training)
    kept = [i for i, needed in enumerate(layout.needed) if needed]
    number = {old: new for new, old in enumerate(kept)} | {-1: -1}
    nodes = []
    for (declared, block), refs, read, needed in zip(
        layout.nodes, layout.refs, layout.read, layout.needed, strict=True
    ):
        if needed:
            leaves, sources = needed
            inputs = tuple((number[node], which) if k in sources else None for k, (node, which) in enumerate(refs))
            nodes.append(Node(declared.name, declared.block, declared.arguments, inputs, block, leaves, read))
    unread = tuple(node.name for (node, _), needed in zip(layout.nodes, layout.needed, strict=True) if not needed)
    output, *others = [(number[node], which) for node, which in (layout.output, *layout.auxiliary)]
    auxiliary = tuple([(ref, each.weight) for ref, each in zip(others, spec.auxiliary, strict=False)])
    return Graph(
        spec.name, spec.input, spec.outputs, spec.initialisation, tuple(nodes), output, unread, spec, auxiliary
    )


def misfits(nodes: Sequence[Declared], input: Shape, outputs: int | None, ends: Sequence[str]) -> list[Problem]:
    """Return the problems of order and shape among nodes, of which some may be missing.

    A node whose inputs are missing or wrong is not checked, so no problem is reported that only follows from another.
    outputs: the channels that the nodes `ends` must have, None if they are not known.
    """
    laid, problems = _laid(nodes, input, wire)
    return problems if outputs is None else [*problems, *_end_problems(laid, outputs, ends)]


def _ordered(nodes: Sequence[Declared]) -> tuple[list[Declared], list[Problem]]:
    """Return the nodes in an order in which each follows what it reads, and a problem for every circle.

    The nodes of a circle stand in some order; none of them can be laid down.
    """
    by_name = {node.name: node for node in nodes}
    done: dict[str, Declared] = {}
    circling: set[str] = set()
    problems = []
    for start in nodes:
        path = [start.name]
        while path:
            node = by_name[path[-1]]
            waiting = [s for s, _ in node.inputs if s in by_name and s not in done and s not in circling]
            if node.name in done or not waiting:
                done.setdefault(path.pop(), node)
            elif waiting[0] in path:
                circle = path[path.index(waiting[0]) :]
                circling.update(circle)
                rule = f"nodes read each other in a circle: {' <- '.join([*circle, waiting[0]])}"
                problems.append(node.item.problem(rule, f"nodes.{node.name}.from"))
            else:
                path.append(waiting[0])
    return list(done.values()), problems


def _laid(
    nodes: Sequence[Declared],
    image: Shape,
    lay: Callable[[Callable[..., Any], tuple[Shape, ...], bool, Arguments], B],
) -> tuple[dict[str, tuple[Declared, B]], list[Problem]]:
    """Lay down every node whose inputs could be laid down; return these nodes and the problems of the others."""
    made: dict[str, tuple[Declared, B]] = {}
    ordered, problems = _ordered(nodes)
    for node in ordered:
        if all(source == IMAGE or source in made for source, _ in node.inputs):
            try:
                shapes = _input_shapes(node, made, image)
                made[node.name] = node, lay(node.function, shapes, node.many, node.arguments)
            except WiringError as error:
                problems.append(node.item.problem(f"{node.block}: {error}", node.name))
            except Exception as error:
                if node.function.__module__.startswith("archlab."):
                    raise
                problems.append(node.item.problem(f"{node.block} fails: {type(error).__name__}: {error}", node.name))
    return made, problems


def _input_shapes(node: Declared, made: Mapping[str, tuple[Declared, Laid]], image: Shape) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    for source, which in node.inputs:
        outputs = (image,) if source == IMAGE else made[source][1].out_shapes
        shapes += outputs if which is None else outputs[which : which + 1]
    return tuple(shapes)


def _refs(node: Declared, made: Mapping[str, tuple[Declared, Laid]], position: Mapping[str, int]) -> tuple[Ref, ...]:
    refs: list[Ref] = []
    for source, which in node.inputs:
        if source == IMAGE:
            refs.append((-1, 0))
        elif which is None:
            at = position[source]
            refs += [(at, i) for i in range(len(made[source][1].out_shapes))]
        else:
            refs.append((position[source], which))
    return tuple(refs)


def _end_problems(made: Mapping[str, tuple[Declared, Laid]], outputs: int, ends: Sequence[str]) -> list[Problem]:
    """Return a problem for each end that could be laid down and does not give one map of `outputs` channels."""
    problems = []
    for node, block in [made[end] for end in ends if end in made]:
        if [shape[0] for shape in block.out_shapes] != [outputs]:
            found = ", ".join("x".join(map(str, shape)) for shape in block.out_shapes)
            rule = f"the network must end in one map of {outputs} channels, but ends in {found}"
            field = "output" if node.name == LAST else node.name
            problems.append(node.item.problem(f"{rule}; a head such as `finest` chooses one of several maps", field))
    return problems


def _read(
    blocks: Sequence[B],
    refs: Sequence[Sequence[Ref]],
    ends: Sequence[Ref],
    needs: Callable[[B, frozenset[int]], tuple[K, frozenset[int]]],
) -> tuple[tuple[frozenset[int], ...], tuple[tuple[K, frozenset[int]] | None, ...]]:
    """Return, for every node, the outputs that the network's ends need, and what they need."""
    read: list[set[int]] = [set() for _ in blocks]
    needed: list[tuple[K, frozenset[int]] | None] = [None] * len(blocks)
    for node, which in ends:
        read[node].add(which)
    for i in range(len(blocks) - 1, -1, -1):
        if read[i]:
            needed[i] = found = needs(blocks[i], frozenset(read[i]))
            for k in found[1]:
                node, which = refs[i][k]
                if node >= 0:
                    read[node].add(which)
    return tuple(map(frozenset, read)), tuple(needed)


Value = tuple[int, int]  # (node, value number in it); the image is (-1, 0)


def origin(graph: Graph, value: Value) -> Value:
    """Follow a value across blocks to the leaf (or image) that makes it."""
    node, number = value
    while node >= 0 and number < len(graph.nodes[node].inputs):
        read = graph.nodes[node].inputs[number]
        assert read is not None, "a value that nothing makes is read"
        source, which = read
        node, number = (source, graph.nodes[source].wired.outputs[which]) if source >= 0 else (-1, 0)
    return node, number


def output_values(graph: Graph) -> list[Value]:
    """Return the values that the network returns, the main one first."""
    return [origin(graph, (node, graph.nodes[node].wired.outputs[which])) for node, which in graph.ends]


def output_value(graph: Graph) -> Value:
    """Return the value of the main output."""
    return output_values(graph)[0]
