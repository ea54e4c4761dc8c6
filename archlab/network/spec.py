"""What a network's YAML file can say, in its two forms, and what becomes of it: declared nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from archlab import yamlio
from archlab.blocks.wiring import Arguments, Shape
from archlab.core.errors import Problem
from archlab.yamlio import AtLeast, Item, Length

IMAGE = "input"
Width = Annotated[int, AtLeast(1)]
Count = Annotated[int, AtLeast(1)]
Repeat = Count | Annotated[tuple[Item, ...], Length(1)]


@dataclass(frozen=True)
class Initialisation:
    """How weights begin: convolutions N(0, std) with bias 0, norms 1 and 0 (normal), or as torch does it (torch)."""

    weights: Literal["normal", "torch"] = "normal"
    std: Annotated[float, AtLeast(0)] = 0.001


@dataclass(frozen=True)
class StagesForm:
    """A high-resolution network: stage i has i + 2 branches, its modules are `repeat` units and a fusion each.

    `width`: C (branch s has C * 2^s channels), or one a branch, or one list a stage. `modules`: how many a stage; its
    length is the number of stages. `unit`, `fusion`, `transition`: a block, or a list with one a stage; `unit` may hold
    a list with one a branch in place of a stage's block.
    """

    width: Width | tuple[Width, ...] | tuple[tuple[Width, ...], ...]
    modules: tuple[Count, ...]
    unit: Item
    fusion: Item
    transition: Item
    repeat: Count | tuple[Count, ...] = 2

    def problems(self, item: Item) -> Iterator[Problem]:
        """Lists whose lengths do not fit the number of stages."""
        count = len(self.modules)
        if not 1 <= count <= 6:
            yield item.entries["modules"].problem("a network has 1 to 6 stages", "stages.modules")
        for name in ("unit", "fusion", "transition", "repeat"):
            given = item.entries.get(name)
            if given is not None and isinstance(given.value, tuple) and len(given.value) != count:
                yield given.problem(f"one entry a stage: expected {count}, found {len(given.value)}", f"stages.{name}")
        yield from self._width_problems(item.entries["width"], count)

    def _width_problems(self, item: Item, count: int) -> Iterator[Problem]:
        if isinstance(self.width, int):
            return
        if isinstance(self.width[0], int):
            if len(self.width) != count + 1:
                yield item.problem(f"one width a branch: expected {count + 1}, found {len(self.width)}", "stages.width")
            return
        lengths = [len(widths) for widths in self.width if isinstance(widths, tuple)]
        if lengths != list(range(2, count + 2)):
            expected = ", ".join(map(str, range(2, count + 2)))
            rule = f"lists of {expected} widths, one list a stage; found lists of {lengths}"
            yield item.problem(f"expected {rule}", "stages.width")

    def widths(self, stage: int) -> tuple[int, ...]:
        """Channels of the branches of a stage, fine to coarse; stages count from 0."""
        if isinstance(self.width, int):
            return tuple(self.width * 2**s for s in range(stage + 2))
        chosen = self.width[stage]
        return chosen if isinstance(chosen, tuple) else tuple(w for w in self.width if isinstance(w, int))[: stage + 2]


@dataclass(frozen=True)
class NodeForm:
    """A node: `block` with its arguments, `from` a node or a list of them (default: the one above), `repeat` times.

    Copies NAME.0, NAME.1, ... follow each other. Of equal ones `repeat` says how many; of others it is a list that says
    of each which arguments differ, `{}` for none, or another block with its arguments.
    """

    block: str
    arguments: dict[str, Item] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    repeat: Repeat = 1


@dataclass(frozen=True)
class SpecForm:
    """A network. Either `stem`, `stages` and `head`, or `nodes` and `output`.

    `version`: of this format, 1. `extends`: a file beside this one, or a built-in name, that this file changes.
    `input`: [channels, height, width]. `outputs`: heat-maps or classes. `last`: the block that makes them.
    """

    version: Literal[1]
    extends: str | None = None
    input: tuple[Count, Count, Count] = (3, 256, 192)
    outputs: Count = 17
    initialisation: Initialisation = Initialisation()
    stem: Item | None = None
    stages: StagesForm | None = None
    head: Item | None = None
    nodes: dict[str, Item] | None = None
    output: str | None = None
    last: Item | None = None


class Declared(NamedTuple):
    """A node as a file declares it, before any shape is known. `inputs`: (node, which of its maps; None for all)."""

    name: str
    block: str
    function: Callable[..., Any]
    many: bool
    arguments: Arguments
    inputs: tuple[tuple[str, int | None], ...]
    item: Item


@dataclass(frozen=True)
class Spec:
    """A network as its file and the caller say it; `archlab.graph.assemble` makes shapes of it."""

    name: str
    input: Shape
    outputs: int
    initialisation: Initialisation
    nodes: tuple[Declared, ...]
    output: str
    document: Item = field(compare=False)

    def to_yaml(self) -> str:
        """A file that stands on its own: no `extends`, overridden fields written in."""
        plain = self.document.plain()
        return yamlio.dump({name: value for name, value in plain.items() if name != "extends"})
