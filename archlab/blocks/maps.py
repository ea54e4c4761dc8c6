"""Symbolic feature maps, the leaves of a wired block, and what interprets the operators that it applies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from archlab.blocks.wiring import Wiring

Shape = tuple[int, ...]
Arguments = tuple[tuple[str, Hashable], ...]
Norm = Literal["batch", "none"]
Activation = Literal[
    "relu", "relu6", "leaky_relu", "prelu", "hswish", "hswish_relu6", "hsigmoid", "hsigmoid_half", "sigmoid",
    "silu", "none",
]  # fmt: skip
ELEMENTWISE = (
    "relu", "relu6", "leaky_relu", "prelu", "hswish", "hswish_relu6", "hsigmoid", "hsigmoid_half", "sigmoid", "silu",
)  # fmt: skip


MOST_CHANNELS = 2**16
"""Channels that a file may give a map."""


class WiringError(ValueError):
    """A block cannot be laid down at its input shapes; the message gives the rule and the values."""


class Map(NamedTuple):
    """A symbolic feature map: value number `id` of one wiring, of `shape` (C, H, W)."""

    id: int
    shape: Shape

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.shape[1:]  # type: ignore[return-value]


Maps = Sequence[Map]


@dataclass(slots=True, unsafe_hash=True)  # frozen, it takes four times as long to make
class Leaf:
    """One operator of a wired block, which is never changed.

    scope: the name of its submodule in the block; leaves of one scope are calls of one shared layer.
    inputs, outputs: value numbers in the block, whose own inputs come first.
    """

    kind: str
    scope: str
    arguments: Arguments
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shapes: tuple[Shape, ...]

    def __getitem__(self, name: str) -> Any:
        return dict(self.arguments)[name]

    def get(self, name: str, default: Any) -> Any:
        return dict(self.arguments).get(name, default)


@dataclass(frozen=True, eq=False)
class Wired:
    """A block laid down at its input shapes; compared and hashed by identity, since `wire` remembers it."""

    leaves: tuple[Leaf, ...]
    in_shapes: tuple[Shape, ...]
    outputs: tuple[int, ...]
    out_shapes: tuple[Shape, ...]


class Interpreter(Protocol):
    """What becomes of the operators that a block applies: `LeafWiring` keeps them, `CostWiring` sums their cost."""

    inputs: tuple[Map, ...]

    def lay(
        self, kind: str, xs: Sequence[Map], shape: Shape, *, name: str = "", shared: str = "", **choices: Any
    ) -> Map:
        """Apply an operator that makes one map of `shape`.

        name: its scope in the block, empty for an operator without a submodule.
        shared: the scope of a layer that is called several times, in place of `name`.
        """

    def lay_many(
        self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], *, name: str = "", shared: str = "", **choices: Any
    ) -> list[Map]:
        """Apply an operator that makes several maps."""

    def scope(self, name: str) -> AbstractContextManager[None]: ...

    def again(self, name: str) -> AbstractContextManager[None]: ...

    def part(self, g: Wiring, function: Callable[..., Any], xs: Sequence[Map], choices: Mapping[str, Any]) -> Any:
        """Apply `function(g, *xs, **choices)`, which may be remembered by its arguments."""


def check_width(width: int) -> None:
    if width < 1:
        raise WiringError(f"a width must be at least 1, here {width}")
    if width > MOST_CHANNELS:
        raise WiringError(f"a width must be at most {MOST_CHANNELS:,}, here {width:,}")


def check_size(size: Sequence[int], x: Map, what: str) -> None:
    if min(size) < 1:
        raise WiringError(f"a map of {shown(x.shape)} is too small for {what}")


def check_equal(what: str, shapes: Sequence[Shape], xs: Maps) -> None:
    if any(shape != shapes[0] for shape in shapes[1:]):
        raise WiringError(f"maps to be {what} differ in shape: {', '.join(shown(x.shape) for x in xs)}")


def shown(shape: Shape) -> str:
    """Return `CxHxW`, for a message."""
    return "x".join(map(str, shape))


def stretched(x: Map, y: Map) -> Shape:
    """Return the shape of x + y or x * y, where a side of 1 stretches to the other's side; channels too."""
    if any(1 not in (a, b) and a != b for a, b in zip(x.shape, y.shape, strict=True)):
        raise WiringError(f"{shown(y.shape)} does not stretch to a map of {shown(x.shape)}")
    return tuple(map(max, x.shape, y.shape))
