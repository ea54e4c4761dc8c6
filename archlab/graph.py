"""A spec as a graph of wired blocks: shapes of every node, what nothing reads pruned, and a canonical hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from archlab.errors import InputError, Problem
from archlab.spec import IMAGE, Declared, Initialisation, Spec
from archlab.wiring import Arguments, Leaf, Shape, Wired, WiringError, live, wire

HASH_VERSION = 1
Ref = tuple[int, int]  # (node, which of its outputs); node -1 is the image


@dataclass(frozen=True)
class Node:
    """A block in place: its inputs as references, the leaves that are needed, and which outputs are read.

    `pruned`: the leaves that were wired but that no output of the network needs.
    """

    name: str
    block: str
    arguments: Arguments
    inputs: tuple[Ref, ...]
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
    def pruned(self) -> tuple[Leaf, ...]:
        kept = set(map(id, self.leaves))
        return tuple(leaf for leaf in self.wired.leaves if id(leaf) not in kept)


@dataclass(frozen=True)
class Graph:
    """Nodes in the order they run; `unread` are declared nodes whose work nothing needs."""

    name: str
    input: Shape
    outputs: int
    initialisation: Initialisation
    nodes: tuple[Node, ...]
    output: Ref
    unread: tuple[str, ...]

    @cached_property
    def hash(self) -> str:
        """Canonical: equal for networks that compute the same from the same start, whatever their files look like.

        The leaf operators are numbered in the order in which a walk from the output along ordered inputs leaves them,
        so that names, order of declaration, form and comments are gone while sharing stays visible.
        """
        header = repr((HASH_VERSION, self.input, self.outputs, self.initialisation))
        text = "\n".join([header, *canonical_leaves(self)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def source_name(self, ref: Ref) -> str:
        """`node`, or `node:1` where one of several outputs is meant; the image is `input`."""
        node, which = ref
        if node < 0:
            return IMAGE
        return self.nodes[node].name + (f":{which}" if len(self.nodes[node].out_shapes) > 1 else "")


def assemble(spec: Spec) -> Graph:
    """Order, wire and prune a spec's nodes. Raises InputError for cycles, dangling names and shapes that do not fit."""
    wired = _wired(spec, _ordered(spec.nodes))
    position = {name: i for i, name in enumerate(wired)}
    refs = [_refs(declared, wired, position) for declared, _ in wired.values()]
    output = (position[spec.output], 0)
    _check_output(spec, wired[spec.output][1])
    read = _read(list(wired.values()), refs, output)
    kept = [i for i in range(len(refs)) if read[i]]
    number = {old: new for new, old in enumerate(kept)} | {-1: -1}
    items = list(wired.items())
    nodes = []
    for i in kept:
        name, (declared, block) = items[i]
        leaves, needed = live(block, frozenset(read[i]))
        inputs = tuple((number[node], which) if k in needed else (-2, 0) for k, (node, which) in enumerate(refs[i]))
        nodes.append(Node(name, declared.block, declared.arguments, inputs, block, leaves, frozenset(read[i])))
    unread = tuple(name for i, name in enumerate(wired) if not read[i])
    return Graph(spec.name, spec.input, spec.outputs, spec.initialisation, tuple(nodes), (number[output[0]], 0), unread)


def _ordered(nodes: Sequence[Declared]) -> list[Declared]:
    """In an order in which every node stands behind what it reads; a cycle is an InputError with its path."""
    by_name = {node.name: node for node in nodes}
    done: dict[str, Declared] = {}
    for start in nodes:
        path = [start.name]
        while path:
            node = by_name[path[-1]]
            waiting = [s for s, _ in node.inputs if s != IMAGE and s not in done]
            if node.name in done or not waiting:
                done.setdefault(path.pop(), node)
            elif waiting[0] in path:
                cycle = " <- ".join([*path[path.index(waiting[0]) :], waiting[0]])
                raise InputError(
                    node.item.problem(f"nodes read each other in a circle: {cycle}", f"nodes.{node.name}.from")
                )
            else:
                path.append(waiting[0])
    return list(done.values())


def _wired(spec: Spec, nodes: Sequence[Declared]) -> dict[str, tuple[Declared, Wired]]:
    """Every node laid down at its input shapes; problems of all nodes whose inputs could be made."""
    made: dict[str, tuple[Declared, Wired]] = {}
    problems: list[Problem] = []
    for node in nodes:
        if all(source == IMAGE or source in made for source, _ in node.inputs):
            try:
                shapes = _input_shapes(node, made, spec.input)
                made[node.name] = node, wire(node.function, shapes, node.many, node.arguments)
            except WiringError as error:
                problems.append(node.item.problem(f"{node.block}: {error}", node.name))
    if problems:
        raise InputError(problems)
    return made


def _input_shapes(node: Declared, made: Mapping[str, tuple[Declared, Wired]], image: Shape) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    for source, which in node.inputs:
        outputs = (image,) if source == IMAGE else made[source][1].out_shapes
        shapes += outputs if which is None else outputs[which : which + 1]
    return tuple(shapes)


def _refs(node: Declared, made: Mapping[str, tuple[Declared, Wired]], position: Mapping[str, int]) -> list[Ref]:
    refs: list[Ref] = []
    for source, which in node.inputs:
        if source == IMAGE:
            refs.append((-1, 0))
        else:
            count = len(made[source][1].out_shapes)
            refs += [(position[source], i) for i in (range(count) if which is None else [which])]
    return refs


def _check_output(spec: Spec, last: Wired) -> None:
    """A network gives one map of `outputs` channels."""
    if len(last.out_shapes) != 1 or last.out_shapes[0][0] != spec.outputs:
        found = ", ".join("x".join(map(str, shape)) for shape in last.out_shapes)
        raise InputError(spec.document.problem(
            f"the network must end in one map of {spec.outputs} channels, but ends in {found}; a head such as `finest` "
            "chooses one of several maps", "output"))  # fmt: skip


def _read(wired: Sequence[tuple[Declared, Wired]], refs: Sequence[Sequence[Ref]], output: Ref) -> list[set[int]]:
    """Which outputs of every node the network's output needs."""
    read: list[set[int]] = [set() for _ in wired]
    read[output[0]].add(output[1])
    for i in range(len(wired) - 1, -1, -1):
        if read[i]:
            for k in live(wired[i][1], frozenset(read[i]))[1]:
                node, which = refs[i][k]
                if node >= 0:
                    read[node].add(which)
    return read


Value = tuple[int, int]  # (node, value number in it); the image is (-1, 0)


def origin(graph: Graph, value: Value) -> Value:
    """Follow a value through block borders to the leaf (or image) that makes it."""
    node, number = value
    while node >= 0 and number < len(graph.nodes[node].inputs):
        source, which = graph.nodes[node].inputs[number]
        node, number = (source, graph.nodes[source].wired.outputs[which]) if source >= 0 else (-1, 0)
    return node, number


def output_value(graph: Graph) -> Value:
    """The value that the network returns."""
    node, which = graph.output
    return origin(graph, (node, graph.nodes[node].wired.outputs[which]))


def canonical_leaves(graph: Graph) -> Iterator[str]:
    """One line a leaf: operator, arguments, and inputs by their numbers in a walk from the output."""
    makers = {(i, made): leaf for i, node in enumerate(graph.nodes) for leaf in node.leaves for made in leaf.outputs}
    numbers: dict[tuple[int, int], int] = {}
    layers: dict[tuple[int, str], int] = {}
    stack = [output_value(graph)]
    while stack:
        value = stack[-1]
        leaf = makers.get(value)
        key = (value[0], leaf.outputs[0]) if leaf else value
        if key in numbers:
            stack.pop()
            continue
        sources = [origin(graph, (value[0], number)) for number in leaf.inputs] if leaf else []
        waiting = [source for source in sources if _key(makers, source) not in numbers]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        numbers[key] = len(numbers)
        if leaf:
            layer = layers.setdefault((value[0], leaf.scope or f"={leaf.outputs[0]}"), len(layers))
            inputs = [(numbers[_key(makers, s)], _which(makers, s)) for s in sources]
            yield f"{leaf.kind} {layer} {_canonical(leaf.arguments)} {leaf.out_shapes} {inputs}"
        else:
            yield "image"


def _key(makers: Mapping[Value, Leaf], value: Value) -> Value:
    leaf = makers.get(value)
    return (value[0], leaf.outputs[0]) if leaf else value


def _which(makers: Mapping[Value, Leaf], value: Value) -> int:
    leaf = makers.get(value)
    return leaf.outputs.index(value[1]) if leaf else 0


def _canonical(arguments: Arguments) -> str:
    return repr(sorted((name, _named(value)) for name, value in arguments))


def _named(value: Hashable | Callable[..., object]) -> Hashable:
    """A class by its name, since its address differs between processes."""
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else value
