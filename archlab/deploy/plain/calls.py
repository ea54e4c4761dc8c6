"""A network as nested calls: which module calls which, as the scopes of its blocks nest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from archlab.blocks.wiring import Leaf, LeafWiring, Map, Shape, Wiring, lay_down
from archlab.network.graph import Graph, Node, Value, origin, output_value
from archlab.network.module import free_name, joined
from archlab.network.spec import Declared

Part = tuple[str, int]
"""A name on the way to a module, and which entry into it this is: a scope may be entered again."""
STATELESS = ("resize", "split", "concat", "interleave", "shuffle", "add", "multiply", "mean", "softmax",
             "weighted_sum", "weighted_runs", "dynamic_relu")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Step:
    """A leaf in a module's `forward`. layer: the name of its submodule, empty for a function."""

    leaf: Leaf
    layer: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a module, with what happens in it. path: of the module. node: set if it is one node's block.

    sizes: (C, H, W) of every input.
    """

    path: tuple[str, ...]
    steps: tuple[Step | Call, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    sizes: tuple[Shape, ...]
    node: Node | None

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else ""

    def calls(self) -> Iterator[Call]:
        """Yield the calls inside, each after those inside it, and this one last."""
        for step in self.steps:
            if isinstance(step, Call):
                yield from step.calls()
        yield self


@dataclass(frozen=True, eq=False)
class Event:
    """A step, where it happens."""

    path: tuple[Part, ...]
    node: int
    step: Step


class _Scopes(LeafWiring):
    """Remembers the scopes in which each leaf was laid down."""

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        super().__init__(in_shapes)
        self.paths: list[tuple[Part, ...]] = []
        self._path: tuple[Part, ...] = ()
        self._entries = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        with super().scope(name), self._entered():
            yield

    @contextmanager
    def again(self, name: str) -> Iterator[None]:
        with super().again(name), self._entered():
            yield

    @contextmanager
    def _entered(self) -> Iterator[None]:
        before, self._entries = self._path, self._entries + 1
        name = self.prefix.rstrip(".").rsplit(".", 1)[-1]
        self._path = (*before, (name, self._entries))
        yield
        self._path = before

    def lay(self, kind: str, xs: Sequence[Map], shape: Shape, **choices: Any) -> Map:
        self.paths.append(self._path)
        return super().lay(kind, xs, shape, **choices)

    def lay_many(self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], **choices: Any) -> list[Map]:
        self.paths.append(self._path)
        return super().lay_many(kind, xs, shapes, **choices)


def trace(graph: Graph, is_function: Callable[[Leaf], bool]) -> Call:
    """Return a network as a call. is_function: whether a leaf needs no submodule."""
    events = list(_events(graph, is_function))
    modules = {()} | {names(e.path)[:k] for e in events if e.step.layer for k in range(len(e.path) + 1)}
    events = [Event(_owner(e.path, modules), e.node, e.step) for e in events]
    return _Builder(graph, events).root()


def names(path: Sequence[Part]) -> tuple[str, ...]:
    return tuple(name for name, _ in path)


def _owner(path: tuple[Part, ...], modules: set[tuple[str, ...]]) -> tuple[Part, ...]:
    """Return the longest part of a path that is a module."""
    return next(path[:k] for k in range(len(path), -1, -1) if names(path[:k]) in modules)


def _events(graph: Graph, is_function: Callable[[Leaf], bool]) -> Iterator[Event]:
    assert graph.spec is not None, "the graph was not assembled from a spec"
    declared = {node.name: node for node in graph.spec.nodes}
    for index, node in enumerate(graph.nodes):
        place = tuple((free_name(part), 0) for part in node.name.split("."))
        scopes = dict(zip(map(id, node.wired.leaves), _scopes(declared[node.name], node), strict=True))
        by_output = {leaf.outputs: scopes[id(leaf)] for leaf in node.leaves}
        for leaf in joined(node):
            path = place + tuple((free_name(name), entry) for name, entry in by_output[leaf.outputs])
            layer = "" if is_function(leaf) else free_name(leaf.scope.rsplit(".", 1)[-1])
            inputs = tuple(origin(graph, (index, number)) for number in leaf.inputs)
            yield Event(path, index, Step(leaf, layer, inputs, tuple((index, n) for n in leaf.outputs)))


def _scopes(declared: Declared, node: Node) -> list[tuple[Part, ...]]:
    interpreter = _Scopes(node.wired.in_shapes)
    lay_down(Wiring(interpreter), declared.function, declared.many, declared.arguments)
    return interpreter.paths


class _Builder:
    """Nests events into calls."""

    def __init__(self, graph: Graph, events: list[Event]) -> None:
        self.graph, self.events = graph, events
        self.output = output_value(graph)
        self.shapes: dict[Value, Shape] = {(-1, 0): graph.input}
        self.reads: dict[Value, list[int]] = {}
        for i, event in enumerate(events):
            self.shapes |= dict(zip(event.step.outputs, event.step.leaf.out_shapes, strict=True))
            for value in event.step.inputs:
                self.reads.setdefault(value, []).append(i)

    def root(self) -> Call:
        return self._call((), (0, len(self.events)))

    def _call(self, path: tuple[Part, ...], span: tuple[int, int]) -> Call:
        depth, (start, end) = len(path), span
        steps: list[Step | Call] = []
        at = start
        for key, group in groupby(self.events[start:end], lambda e: e.path[depth : depth + 1]):
            count = len(list(group))
            if key:
                steps.append(self._call(path + key, (at, at + count)))
            else:
                steps += [e.step for e in self.events[at : at + count]]
            at += count
        inputs, outputs, node = self._ends(path, span, steps)
        return Call(names(path), tuple(steps), inputs, outputs, tuple(self.shapes[v] for v in inputs), node)

    def _ends(
        self, path: tuple[Part, ...], span: tuple[int, int], steps: list[Step | Call]
    ) -> tuple[tuple[Value, ...], tuple[Value, ...], Node | None]:
        """Return what is read from outside and what is read outside; of a node, its inputs and outputs in order."""
        inside = self.events[span[0] : span[1]]
        index = inside[0].node
        node = self.graph.nodes[index]
        if path and names(path) == tuple(map(free_name, node.name.split("."))) and inside[-1].node == index:
            inputs = tuple(origin(self.graph, (index, k)) for k, _ in node.reads)
            made = tuple(origin(self.graph, (index, n)) for k, n in enumerate(node.wired.outputs) if k in node.read)
            return inputs, made, node
        made_inside = {value for e in inside for value in e.step.outputs}
        read = dict.fromkeys(value for step in steps for value in step.inputs)
        inputs = tuple(value for value in read if value not in made_inside)
        known = dict.fromkeys(value for step in steps for value in step.outputs)
        needed = [value for value in known if value in made_inside and self._read_after(value, span)]
        last = steps[-1].outputs
        through = tuple(value for value in last if value in needed or self._read_after(value, span))
        return inputs, through if set(needed) <= set(last) else tuple(needed), None

    def _read_after(self, value: Value, span: tuple[int, int]) -> bool:
        return value == self.output or any(i >= span[1] for i in self.reads.get(value, ()))
