"""The format of a network's YAML file, in its two forms, and the spec that it gives: declared nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from archlab import yamlio
from archlab.blocks.maps import MOST_CHANNELS
from archlab.blocks.wiring import Arguments, Shape
from archlab.yamlio import AtLeast, AtMost, Item, Length

IMAGE = "input"
LAST = "last"
AUXILIARY = "auxiliary"
HEAT_MAPS = "heat_maps"
MOST_NODES = 10_000
"""A network's nodes, with all copies."""
Width = Annotated[int, AtLeast(1), AtMost(MOST_CHANNELS)]
Side = Annotated[int, AtLeast(1), AtMost(2**16)]
Copies = Annotated[int, AtLeast(1), AtMost(MOST_NODES)]
Repeat = Copies | Annotated[tuple[Item, ...], Length(1, MOST_NODES)]


@dataclass(frozen=True)
class Initialisation:
    """Initial weights: convolutions N(0, std) with bias 0, norms 1 and 0 (normal), or PyTorch's defaults (torch)."""

    weights: Literal["normal", "torch"] = "normal"
    std: Annotated[float, AtLeast(0)] = 0.001


@dataclass(frozen=True)
class StagesForm:
    """A high-resolution network: stage i has i + 2 branches, and each of its modules is `repeat` units and a fusion.

    `width`: C (branch s has C * 2^s channels), or one per branch, or one list per stage. `modules`: how many per stage;
    its length is the number of stages. `unit`, `fusion`, `transition`: a block, or a list with one per stage; in place
    of a stage's block, `unit` may have a list with one per branch.
    """

    width: Width | tuple[Width, ...] | tuple[tuple[Width, ...], ...]
    modules: tuple[Copies, ...]
    unit: Item
    fusion: Item
    transition: Item
    repeat: Copies | tuple[Copies, ...] = 2

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

    The copies NAME.0, NAME.1, ... follow each other. `repeat` is their number, or a list with an entry for each copy:
    the arguments that differ (`{}` for none), or another block with its arguments.

    In place of a block, `part` names a group of nodes of `parts`, which are then called NAME.NODE. What differs in one
    of them is written as `NODE: {argument: value}`. In a part `input` is all that its use reads, and `input.0`,
    `input.1`, ... are its single sources.
    """

    block: str
    part: str
    arguments: dict[str, Item] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    repeat: Repeat = 1


@dataclass(frozen=True)
class AuxiliaryForm:
    """An output of training alone: `block` (default: `heat_maps`) with its arguments, `from` a node or a list of them.

    `weight`: of its loss; the main output's has 1.
    """

    arguments: dict[str, Item]
    inputs: tuple[str, ...]
    block: str = HEAT_MAPS
    weight: float = 1.0


@dataclass(frozen=True)
class SpecForm:
    """A network. Either `stem`, `stages` and `head`, or `nodes`, `parts`, `output` and `auxiliary`.

    `parts`: groups of nodes by name, that nodes use as `part: NAME` (see NodeForm).
    `version`: of this format, 1. `extends`: the network that this file changes, in the same folder or built-in.
    `input`: [channels, height, width]. `outputs`: the number of heat-maps or classes. `last`: their block.
    """

    version: Literal[1]
    extends: str | None = None
    input: tuple[Width, Side, Side] = (3, 256, 192)
    outputs: Width = 17
    initialisation: Initialisation = Initialisation()
    stem: Item | None = None
    stages: StagesForm | None = None
    head: Item | None = None
    nodes: dict[str, Item] | None = None
    parts: dict[str, dict[str, Item]] | None = None
    output: str | None = None
    auxiliary: dict[str, Item] | None = None
    last: Item | None = None


class Auxiliary(NamedTuple):
    """An output of training alone: its name, the node that gives it, and the weight of its loss."""

    name: str
    node: str
    weight: float
    item: Item


class Declared(NamedTuple):
    """A node as a file declares it, before its shapes are known.

    many: its block takes the list of all its maps, not one map.
    inputs: (node, which of its maps; None for all).
    """

    name: str
    block: str
    function: Callable[..., Any]
    many: bool
    arguments: Arguments
    inputs: tuple[tuple[str, int | None], ...]
    item: Item


@dataclass(frozen=True)
class Spec:
    """A network as its file and the caller declare it; `archlab.assemble` gives its graph, with shapes."""

    name: str
    input: Shape
    outputs: int
    initialisation: Initialisation
    nodes: tuple[Declared, ...]
    output: str
    document: Item = field(compare=False)
    auxiliary: tuple[Auxiliary, ...] = ()

    def to_yaml(self) -> str:
        """Return a complete file: without `extends`, with overridden fields written in."""
        plain = self.document.plain()
        return yamlio.dump({name: value for name, value in plain.items() if name != "extends"})
