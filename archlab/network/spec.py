"""What a network's YAML file can say, in its two forms, and what becomes of it: declared nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from archlab import yamlio
from archlab.blocks.wiring import Arguments, Shape
from archlab.yamlio import AtLeast, Item, Length

IMAGE = "input"
LAST = "last"
Width = Annotated[int, AtLeast(1)]
Positive = Annotated[int, AtLeast(1)]
Repeat = Positive | Annotated[tuple[Item, ...], Length(1)]


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
    modules: tuple[Positive, ...]
    unit: Item
    fusion: Item
    transition: Item
    repeat: Positive | tuple[Positive, ...] = 2

    def widths(self, stage: int) -> tuple[int, ...]:
        """Return the channels of a stage's branches, fine to coarse; stages count from 0."""
        return branch_widths(self.width, stage)


def branch_widths(width: int | Sequence[int] | Sequence[Sequence[int]], stage: int) -> tuple[int, ...]:
    """Return the channels of a stage's branches, fine to coarse, from any form of `width`; stages count from 0."""
    if isinstance(width, int):
        return tuple(width * 2**s for s in range(stage + 2))
    own = width[stage]
    return tuple(own) if isinstance(own, Sequence) else tuple(w for w in width if isinstance(w, int))[: stage + 2]


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
    input: tuple[Positive, Positive, Positive] = (3, 256, 192)
    outputs: Positive = 17
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
