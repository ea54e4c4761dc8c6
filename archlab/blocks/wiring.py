"""Symbolic feature maps and the leaf operators that a block lays down on them, with their shape rules."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal, NamedTuple

Shape = tuple[int, ...]
Arguments = tuple[tuple[str, Hashable], ...]
Norm = Literal["batch", "none"]
Activation = Literal["relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu", "none"]
ELEMENTWISE = ("relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu")


class WiringError(ValueError):
    """A block was asked for something that its input shapes do not allow; the message holds rule and values."""


class Map(NamedTuple):
    """A feature map that is not computed yet: value number `id` of one wiring, of `shape` (C, H, W)."""

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


@dataclass(frozen=True, slots=True)
class Leaf:
    """One operator of a wired block: what it is, what it reads and what it makes.

    `scope` names its submodule inside the block; leaves of one scope are calls of one shared layer. Inputs and outputs
    are value numbers of the block, whose own inputs come first.
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


@dataclass(frozen=True, eq=False)
class Wired:
    """A block laid down at given input shapes; compared and hashed by identity, since `wire` remembers it."""

    leaves: tuple[Leaf, ...]
    in_shapes: tuple[Shape, ...]
    outputs: tuple[int, ...]
    out_shapes: tuple[Shape, ...]


class Wiring:
    """Lays down leaf operators; every method takes maps and choices and returns the map (or maps) made.

    Convolutions and norms take a `name`, their scope in the block; without one they are named after their kind. A scope
    taken twice gets a number, so names never collide; only `shared=` joins calls into one layer.
    """

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        self.inputs = tuple(Map(i, shape) for i, shape in enumerate(in_shapes))
        self.leaves: list[Leaf] = []
        self._values = len(self.inputs)
        self._prefix = ""
        self._taken: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names laid down inside stand under `name`."""
        before = self._prefix
        self._prefix = self._unique(name) + "."
        yield
        self._prefix = before

    @contextmanager
    def again(self, name: str) -> Iterator[None]:
        """As `scope`, for a second call of the layers that were laid down under `name`, in the same order."""
        before, taken = self._prefix, self._taken
        self._prefix += name + "."
        self._taken = {}
        yield
        self._prefix, self._taken = before, taken

    def part(self, function: Callable[..., Any], *xs: Map, **choices: Any) -> Any:
        """`function(g, *xs, **choices)`: wiring that depends on nothing but these, so that it may be remembered."""
        return function(self, *xs, **choices)

    def conv(
        self,
        x: Map,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        bias: bool = False,
        name: str = "conv",
    ) -> Map:
        """Convolution padded so that stride 1 keeps the size: out = ceil(size / stride) for an odd kernel."""
        _check_width(width)
        if x.channels % groups or width % groups:
            raise WiringError(f"{x.channels} and {width} channels do not divide into {groups} groups")
        padding = dilation * (kernel - 1) // 2
        _, height, breadth = x.shape
        if kernel % 2 == 0 or stride > 1:
            lost = dilation * (kernel - 1) - 2 * padding
            height, breadth = (height - lost - 1) // stride + 1, (breadth - lost - 1) // stride + 1
            _check_size((height, breadth), x, f"a {kernel}x{kernel} convolution of stride {stride}")
        return self._lay("conv", (x,), (width, height, breadth), name=name, kernel=kernel, stride=stride,
                         padding=padding, groups=groups, dilation=dilation, bias=bias)  # fmt: skip

    def depthwise(self, x: Map, *, kernel: int = 3, stride: int = 1, name: str = "depthwise") -> Map:
        """One kernel a channel."""
        return self.conv(x, x.channels, kernel=kernel, stride=stride, groups=x.channels, name=name)

    def deconv(
        self, x: Map, width: int, *, kernel: int = 4, stride: int = 2, bias: bool = False, name: str = "deconv"
    ) -> Map:
        """Transposed convolution to exactly `stride` times the size: padding and output padding follow from kernel."""
        _check_width(width)
        if kernel < stride:
            raise WiringError(f"a transposed convolution of stride {stride} needs a kernel of at least {stride}")
        padding, output_padding = (kernel - stride + 1) // 2, (kernel - stride) % 2
        return self._lay("deconv", (x,), (width, x.size[0] * stride, x.size[1] * stride), name=name, kernel=kernel,
                         stride=stride, padding=padding, output_padding=output_padding, bias=bias)  # fmt: skip

    def norm(self, x: Map, *, momentum: float = 0.1, eps: float = 1e-5, name: str = "norm") -> Map:
        """Batch normalisation with gain and offset."""
        return self._lay("norm", (x,), x.shape, name=name, momentum=momentum, eps=eps)

    def conv_norm(
        self,
        x: Map,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: Activation = "none",
        momentum: float = 0.1,
        name: str,
    ) -> Map:
        """act(BN(conv(x))), as `name.conv`, `name.norm` and `name.act`."""
        with self.scope(name):
            x = self.conv(x, width, kernel=kernel, stride=stride, groups=groups)
            x = self.norm(x, momentum=momentum)
            return self.act(x, act)

    def depthwise_norm(
        self,
        x: Map,
        *,
        kernel: int = 3,
        stride: int = 1,
        act: Activation = "none",
        momentum: float = 0.1,
        name: str = "depthwise",
    ) -> Map:
        """act(BN(depthwise(x)))."""
        return self.conv_norm(x, x.channels, kernel=kernel, stride=stride, groups=x.channels, act=act,
                              momentum=momentum, name=name)  # fmt: skip

    def act(self, x: Map, kind: Activation = "relu", *, shared: str = "") -> Map:
        """An activation; calls with the same `shared` name in one scope are one layer called several times."""
        if kind == "none":
            return x
        return self._lay(kind, (x,), x.shape, name="act", shared=shared)

    def global_pool(self, x: Map) -> Map:
        """Mean over all positions, (C, 1, 1)."""
        return self._lay("pool", (x,), (x.channels, 1, 1), name="pool", size=(1, 1))

    def pool_to(self, x: Map, size: tuple[int, int]) -> Map:
        """Adaptive average pooling to (H, W)."""
        if x.size == size:
            return x
        return self._lay("pool", (x,), (x.channels, *size), name="pool", size=size)

    def max_pool(self, x: Map, *, kernel: int = 3, stride: int = 2) -> Map:
        padding = (kernel - 1) // 2
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in x.size)
        _check_size(size, x, f"a {kernel}x{kernel} max pool of stride {stride}")
        return self._lay("max_pool", (x,), (x.channels, *size), name="max_pool", kernel=kernel, stride=stride,
                         padding=padding)  # fmt: skip

    def upsample(self, x: Map, factor: int) -> Map:
        """Nearest upsampling by a whole factor, as a layer of its own (the paper's counter sees layers only)."""
        size = (x.size[0] * factor, x.size[1] * factor)
        return self._lay("upsample", (x,), (x.channels, *size), name="upsample", factor=factor)

    def resize(self, x: Map, size: tuple[int, int], *, mode: Literal["nearest", "bilinear"] = "nearest") -> Map:
        """Interpolation to (H, W), as a function; bilinear aligns the corners, as the reference's head does."""
        if x.size == size:
            return x
        return self._lay("resize", (x,), (x.channels, *size), size=size, mode=mode)

    def split(self, x: Map, widths: Sequence[int]) -> list[Map]:
        """Consecutive channels in groups of `widths`."""
        if sum(widths) != x.channels or min(widths) < 1:
            raise WiringError(f"{x.channels} channels do not split into {list(widths)}")
        if len(widths) == 1:
            return [x]
        return self._lay_many("split", (x,), [(width, *x.size) for width in widths], widths=tuple(widths))

    def halves(self, x: Map) -> tuple[Map, Map]:
        """First and second half of the channels."""
        if x.channels % 2:
            raise WiringError(f"a width of {x.channels} has no halves: it must be even")
        first, second = self.split(x, [x.channels // 2] * 2)
        return first, second

    def concat(self, *xs: Map) -> Map:
        """All channels in order."""
        _check_equal("concatenated", [x.size for x in xs], xs)
        return xs[0] if len(xs) == 1 else self._lay("concat", xs, (sum(x.channels for x in xs), *xs[0].size))

    def shuffle(self, x: Map, *, groups: int = 2) -> Map:
        """Channel shuffle: channel g * n + i goes to i * groups + g. ShuffleNet, section 3.1."""
        if x.channels % groups:
            raise WiringError(f"{x.channels} channels do not shuffle in {groups} groups")
        return self._lay("shuffle", (x,), x.shape, groups=groups)

    def add(self, *xs: Map, scales: Sequence[int] = ()) -> Map:
        """sum_k scales_k x_k, every scale 1 unless given."""
        _check_equal("added", [x.shape for x in xs], xs)
        scales = tuple(scales) or (1,) * len(xs)
        if scales == (1,):
            return xs[0]
        return self._lay("add", xs, xs[0].shape, scales=scales)

    def multiply(self, x: Map, weights: Map) -> Map:
        """x * weights; weights of one position stretch over all positions."""
        if weights.channels != x.channels or weights.size not in {x.size, (1, 1)}:
            raise WiringError(f"weights of {_text(weights.shape)} do not fit a map of {_text(x.shape)}")
        return self._lay("multiply", (x, weights), x.shape)

    def module(self, factory: Callable[..., Any], *xs: Map, name: str = "", **arguments: Hashable) -> tuple[Map, ...]:
        """Any `nn.Module` class as one leaf; its output shapes are found by running it once without weights."""
        shapes = _shapes_of(factory, tuple(sorted(arguments.items())), tuple(x.shape for x in xs))
        name = name or factory.__name__.lower()
        given: dict[str, Any] = {"factory": factory, **arguments}
        return tuple(self._lay_many("module", xs, shapes, name=name, **given))

    def _lay(self, kind: str, xs: Sequence[Map], shape: Sequence[int], **arguments: Any) -> Map:
        return self._lay_many(kind, xs, [tuple(shape)], **arguments)[0]

    def _lay_many(
        self,
        kind: str,
        xs: Sequence[Map],
        shapes: Sequence[Shape],
        *,
        name: str = "",
        shared: str = "",
        **arguments: Any,
    ) -> list[Map]:
        made = [Map(self._values + i, shape) for i, shape in enumerate(shapes)]
        self._values += len(made)
        scope = self._prefix + shared if shared else self._unique(name) if name else ""
        self.leaves.append(Leaf(kind, scope, tuple(arguments.items()), tuple(x.id for x in xs),
                                tuple(m.id for m in made), tuple(x.shape for x in xs), tuple(shapes)))  # fmt: skip
        return made

    def _unique(self, name: str) -> str:
        full = self._prefix + name
        count = self._taken.get(full, 0)
        self._taken[full] = count + 1
        return full if count == 0 else f"{full}_{count + 1}"


@lru_cache(maxsize=65536)
def wire(function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments) -> Wired:
    """Lay down a block at its input shapes, once for each (block, shapes, arguments).

    `many`: the block takes the list of all its maps; otherwise it is laid down on each map by itself, under
    `branch0`, `branch1`, ... when there are several. Raises WiringError.
    """
    g = Wiring(in_shapes)
    outputs = lay_down(g, function, many, arguments)
    return Wired(tuple(g.leaves), in_shapes, tuple(m.id for m in outputs), tuple(m.shape for m in outputs))


def lay_down(g: Wiring, function: Callable[..., Any], many: bool, arguments: Arguments) -> tuple[Map, ...]:
    """The maps that a block makes of the inputs of a wiring; see `wire`."""
    keywords = dict(arguments)
    if many:
        made = function(g, list(g.inputs), **keywords)
        return (made,) if isinstance(made, Map) else tuple(made)
    if len(g.inputs) == 1:
        return (function(g, g.inputs[0], **keywords),)
    outputs = []
    for i, x in enumerate(g.inputs):
        with g.scope(f"branch{i}"):
            outputs.append(function(g, x, **keywords))
    return tuple(outputs)


@lru_cache(maxsize=65536)
def live(wired: Wired, outputs: frozenset[int]) -> tuple[tuple[Leaf, ...], frozenset[int]]:
    """The leaves that the outputs at these positions need, in order, and the positions of the inputs they read."""
    needed = {wired.outputs[i] for i in outputs}
    kept = []
    for leaf in reversed(wired.leaves):
        if not needed.isdisjoint(leaf.outputs):
            kept.append(leaf)
            needed.update(leaf.inputs)
    return tuple(reversed(kept)), frozenset(i for i in range(len(wired.in_shapes)) if i in needed)


def elements(shape: Shape) -> int:
    """Of a map."""
    return prod(shape)


def _check_width(width: int) -> None:
    if width < 1:
        raise WiringError(f"a width must be at least 1, here {width}")


def _check_size(size: Sequence[int], x: Map, what: str) -> None:
    if min(size) < 1:
        raise WiringError(f"a map of {_text(x.shape)} is too small for {what}")


def _check_equal(what: str, shapes: Sequence[Shape], xs: Maps) -> None:
    if len(set(shapes)) > 1:
        raise WiringError(f"maps to be {what} differ in shape: {', '.join(_text(x.shape) for x in xs)}")


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


@lru_cache(maxsize=4096)
def _shapes_of(factory: Callable[..., Any], arguments: Arguments, in_shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    import torch

    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad():
                module = factory(**dict(arguments)).eval()
                made = module(*(torch.zeros(1, *shape) for shape in in_shapes))
            break
        except Exception as error:
            if device == "cpu":
                raise WiringError(
                    f"{factory.__name__} fails on {', '.join(map(_text, in_shapes))}: {type(error).__name__}: {error}"
                ) from error
    tensors = (made,) if isinstance(made, torch.Tensor) else tuple(made)
    return tuple(tuple(t.shape[1:]) for t in tensors)
