"""The text of a network's canonical hash: a line for each leaf operator, numbered by a walk from the output.

The walk is depth-first. It enters a block by one of its outputs and leaves it where an input is first read; between,
it takes the same leaves in the same order in all blocks of one structure, whatever their widths. A `Plan` holds these
runs, and the lines of a run are one text into which numbers are put.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from archlab.blocks.wiring import Arguments, Leaf, Shape, Wired, types_of

if TYPE_CHECKING:
    from archlab.network.graph import Graph

Value = int
"""A value of a block: first its inputs, then what its leaves make."""
Shared = tuple[tuple[str, tuple[Value, ...], tuple[Value, ...]], ...]
"""What blocks of one structure share: of every leaf its scope, its inputs and its outputs."""


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """Leaves of a block that the walk numbers one after the other.

    leaves: their positions. layers: how many layers they are the first to call.
    numbers: takes the numbers of their layers and inputs, in the order of the text, from a visit's `numbers`.
    """

    leaves: tuple[int, ...]
    layers: int
    numbers: Callable[[Sequence[int]], Any]


@dataclass(eq=False)
class State:
    """What the walk has numbered in a block: where the number of each leaf, layer and input stands in `numbers`.

    following: the steps to each leaf from here, runs and inputs to read, and the state after them.
    """

    leaves: dict[int, int] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    inputs: dict[Value, int] = field(default_factory=dict)
    size: int = 0
    following: dict[int, tuple[tuple[Run | Value, ...], State]] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.leaves), dict(self.layers), dict(self.inputs), self.size)


class Plan:
    """The walks through blocks of one structure."""

    def __init__(self, inputs: int, leaves: Shared) -> None:
        self.inputs = inputs
        self.leaves = leaves
        self.makers = {value: (i, which) for i, (_, _, made) in enumerate(leaves) for which, value in enumerate(made)}
        self.start = State()

    def steps(self, state: State, leaf: int) -> tuple[tuple[Run | Value, ...], State]:
        """Return the steps of the walk to a leaf, and the state after them."""
        if leaf not in state.following:
            after = state.copy()
            state.following[leaf] = tuple(self._steps(after, leaf)), after
        return state.following[leaf]

    def _steps(self, state: State, leaf: int) -> Iterator[Run | Value]:
        """Yield the steps to a leaf and bring the state forward."""
        run: dict[int, None] = {}
        stack = [self.leaves[leaf][2][0]]
        while stack:
            value = stack.pop()
            if value < self.inputs:
                if value not in state.inputs:
                    yield from self._flushed(state, run)
                    state.inputs[value] = state.size
                    state.size += 2
                    yield value
                continue
            at = self.makers[value][0]
            if at in run or at in state.leaves:
                continue
            waiting = [read for read in self.leaves[at][1] if not self._is_done(read, state, run)]
            if waiting:
                stack += [value, *reversed(waiting)]
            else:
                run[at] = None
        yield from self._flushed(state, run)

    def _is_done(self, value: Value, state: State, run: dict[int, None]) -> bool:
        if value < self.inputs:
            return value in state.inputs
        at = self.makers[value][0]
        return at in run or at in state.leaves

    def _flushed(self, state: State, run: dict[int, None]) -> Iterator[Run]:
        """Yield the run, if there is one, and empty it."""
        if not run:
            return
        state.leaves |= {at: state.size + i for i, at in enumerate(run)}
        state.size += len(run)
        called = dict.fromkeys(layer for at in run if (layer := self._layer(at)) not in state.layers)
        state.layers |= {layer: state.size + i for i, layer in enumerate(called)}
        state.size += len(called)
        yield Run(tuple(run), len(called), itemgetter(*[n for at in run for n in self._numbers(state, at)]))
        run.clear()

    def _numbers(self, state: State, at: int) -> Iterator[int]:
        """Yield where the numbers of a leaf's line stand."""
        yield state.layers[self._layer(at)]
        for value in self.leaves[at][1]:
            if value < self.inputs:
                yield from (state.inputs[value], state.inputs[value] + 1)
            else:
                yield state.leaves[self.makers[value][0]]

    def _layer(self, at: int) -> str:
        scope, _, made = self.leaves[at]
        return scope or f"={made[0]}"


class Block:
    """A wired block, with the plan of its structure and the texts of its runs."""

    def __init__(self, wired: Wired) -> None:
        self.wired = wired
        self.plan = _plan(
            len(wired.in_shapes), tuple([(leaf.scope, leaf.inputs, leaf.outputs) for leaf in wired.leaves])
        )
        self.texts: dict[Run, str] = {}

    def text(self, run: Run) -> str:
        """Return the lines of a run, with %d in place of each of its numbers."""
        if run not in self.texts:
            self.texts[run] = "\n".join([self._line(self.wired.leaves[at]) for at in run.leaves])
        return self.texts[run]

    def _line(self, leaf: Leaf) -> str:
        makers, inputs = self.plan.makers, self.plan.inputs
        read = ["(%d, %d)" if value < inputs else f"(%d, {makers[value][1]})" for value in leaf.inputs]
        return f"{_described(leaf)} [{', '.join(read)}]"


@lru_cache(maxsize=2**12)
def _plan(inputs: int, leaves: Shared) -> Plan:
    return Plan(inputs, leaves)


@lru_cache(maxsize=2**14)
def _block(wired: Wired) -> Block:
    return Block(wired)


def _described(leaf: Leaf) -> str:
    """Return the start of a leaf's line: its operator, %d for its layer, its arguments and output shapes."""
    types = types_of([value for _, value in leaf.arguments])
    return _choices(leaf.kind, leaf.arguments, types) + _shapes(leaf.out_shapes)


@lru_cache(maxsize=2**14)
def _choices(kind: str, arguments: Arguments, types: Hashable) -> str:
    choices = repr(sorted((name, _named(value)) for name, value in arguments))
    return f"{kind} %d " + choices.replace("%", "%%")


@lru_cache(maxsize=2**14)
def _shapes(out_shapes: tuple[Shape, ...]) -> str:
    return f" {out_shapes}"


def _named(value: Hashable | Callable[..., object]) -> Hashable:
    """Return a class by its name, since its address differs between processes."""
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else value


class Visit:
    """A node on the walk: how far the walk has come in its block, and the numbers given in it."""

    __slots__ = ("block", "numbers", "state")

    def __init__(self, wired: Wired) -> None:
        self.block = _block(wired)
        self.state = self.block.plan.start
        self.numbers: list[int] = []

    def enter(self, leaf: int) -> Iterator[Run | Value]:
        """Return the steps to a leaf, which the walk takes next."""
        steps, self.state = self.block.plan.steps(self.state, leaf)
        return iter(steps)


class Walk:
    """The walk through a graph; `lines` are the texts of the runs so far."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.visits = [Visit(node.wired) for node in graph.nodes]
        self.lines: list[str] = []
        self.image: int | None = None
        self.count = self.layers = 0

    def lines_to(self, node: int, value: Value) -> list[str]:
        """Return the lines of a value of a node and of all that it needs."""
        node, value = self._maker(node, value)
        stack = [(node, self.visits[node].enter(self._leaf(node, value)))] if node >= 0 else []
        if node < 0:
            self._image()
        waiting: list[tuple[int, Value]] = []
        while stack:
            node, steps = stack[-1]
            visit = self.visits[node]
            if len(waiting) == len(stack):  # the walk is back from what this node waited for
                visit.numbers += self._number(*waiting.pop())
            for step in steps:
                if isinstance(step, Run):
                    self._take(visit, step)
                    continue
                source, made = self._maker(node, step)
                if source < 0 or self._leaf(source, made) in self.visits[source].state.leaves:
                    visit.numbers += self._number(source, made)
                    continue
                waiting.append((source, made))
                stack.append((source, self.visits[source].enter(self._leaf(source, made))))
                break
            else:
                stack.pop()
        return self.lines

    def _take(self, visit: Visit, run: Run) -> None:
        """Number the leaves of a run and the layers that they are the first to call, and add its lines."""
        count, layers = self.count, self.layers
        self.count, self.layers = count + len(run.leaves), layers + run.layers
        visit.numbers += range(count, self.count)
        visit.numbers += range(layers, self.layers)
        self.lines.append(visit.block.text(run) % run.numbers(visit.numbers))

    def _maker(self, node: int, value: Value) -> tuple[int, Value]:
        """Follow a value across blocks to the node whose leaf makes it; node -1 is the image."""
        while value < len(self.nodes[node].inputs):
            read = self.nodes[node].inputs[value]
            assert read is not None, "a value that nothing makes is read"
            if read[0] < 0:
                return -1, 0
            node, value = read[0], self.nodes[read[0]].wired.outputs[read[1]]
        return node, value

    def _leaf(self, node: int, value: Value) -> int:
        return self.visits[node].block.plan.makers[value][0]

    def number(self, node: int, value: Value) -> tuple[int, int]:
        """Return the number of the leaf that makes a value of a node, and which of its outputs it is."""
        return self._number(*self._maker(node, value))

    def _number(self, node: int, value: Value) -> tuple[int, int]:
        """Return the number of the leaf that makes a value, and which of its outputs it is."""
        if node < 0:
            return self._image(), 0
        visit = self.visits[node]
        leaf, which = visit.block.plan.makers[value]
        return visit.numbers[visit.state.leaves[leaf]], which

    def _image(self) -> int:
        if self.image is None:
            self.image = self.count
            self.count += 1
            self.lines.append("image")
        return self.image


def canonical_lines(graph: Graph) -> list[str]:
    """Return a line for each leaf that the output needs: its operator, layer, arguments, output shapes and inputs.

    Leaves, with the image among them, are numbered in the order in which the walk leaves them, layers as they are
    first called. Several lines may come as one text. The leaves of an auxiliary output follow those of the outputs
    before it, and then a line with the weight of its loss.
    """
    walk, ends = Walk(graph), [(node, graph.nodes[node].wired.outputs[which]) for node, which in graph.ends]
    walk.lines_to(*ends[0])
    for end, (_, weight) in zip(ends[1:], graph.auxiliary, strict=True):
        walk.lines_to(*end)
        walk.lines.append(f"auxiliary {float(weight)} {walk.number(*end)}")
    return walk.lines
