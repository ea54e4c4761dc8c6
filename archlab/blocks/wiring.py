"""Symbolic feature maps, the operators that a block applies to them, with their shape rules, and leaves of a graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

Shape = tuple[int, ...]
Arguments = tuple[tuple[str, Hashable], ...]
Norm = Literal["batch", "none"]
Activation = Literal["relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu", "none"]
ELEMENTWISE = ("relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu")


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


@dataclass(frozen=True, slots=True)
class Leaf:
    """One operator of a wired block.

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


class Wiring:
    """Applies operators; every method takes maps and choices, checks the shapes and returns the map (or maps) made.

    Convolutions and norms take a `name`, their scope in the block; the default is their kind. A scope that is taken
    twice gets a number, so names never collide; only `shared=` joins calls into one layer. What an operator becomes is
    up to the interpreter.
    """

    __slots__ = ("_interpreter", "_lay", "_lay_many", "inputs")

    def __init__(self, interpreter: Interpreter) -> None:
        self.inputs = interpreter.inputs
        self._interpreter = interpreter
        self._lay, self._lay_many = interpreter.lay, interpreter.lay_many

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Put the names of the layers laid down inside under `name`."""
        return self._interpreter.scope(name)

    def again(self, name: str) -> AbstractContextManager[None]:
        """Call the layers under `name` a second time, in the same order; used like `scope`."""
        return self._interpreter.again(name)

    def part(self, function: Callable[..., Any], *xs: Map, **choices: Any) -> Any:
        """Return `function(g, *xs, **choices)`, whose operators depend on nothing else, so they may be remembered."""
        return self._interpreter.part(self, function, xs, choices)

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
        made: Map = self.part(_conv_norm, x, width=width, kernel=kernel, stride=stride, groups=groups, act=act,
                              momentum=momentum, name=name)  # fmt: skip
        return made

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
        """Nearest upsampling by a whole factor, as a layer, which the paper's counter sees."""
        size = (x.size[0] * factor, x.size[1] * factor)
        return self._lay("upsample", (x,), (x.channels, *size), name="upsample", factor=factor)

    def resize(self, x: Map, size: tuple[int, int], *, mode: Literal["nearest", "bilinear"] = "nearest") -> Map:
        """Interpolation to (H, W), as a function; bilinear aligns the corners, like the reference's head."""
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
            raise WiringError(f"weights of {shown(weights.shape)} do not fit a map of {shown(x.shape)}")
        return self._lay("multiply", (x, weights), x.shape)

    def module(self, factory: Callable[..., Any], *xs: Map, name: str = "", **arguments: Hashable) -> tuple[Map, ...]:
        """Any `nn.Module` class as one leaf; one run on torch's meta device gives its output shapes."""
        from archlab.blocks.modules import output_shapes  # it stands on this module

        shapes = output_shapes(factory, tuple(sorted(arguments.items())), tuple(x.shape for x in xs))
        name = name or factory.__name__.lower()
        given: dict[str, Any] = {"factory": factory, **arguments}
        return tuple(self._lay_many("module", xs, shapes, name=name, **given))


def _conv_norm(g: Wiring, x: Map, *, width: int, act: Activation, momentum: float, name: str, **conv: Any) -> Map:
    with g.scope(name):
        x = g.conv(x, width, **conv)
        x = g.norm(x, momentum=momentum)
        return g.act(x, act)


class LeafWiring:
    """Keeps the operators that a block applies as leaves; `g` of a block is `Wiring(LeafWiring(in_shapes))`."""

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        self.inputs = tuple(Map(i, shape) for i, shape in enumerate(in_shapes))
        self.leaves: list[Leaf] = []
        self._values = len(self.inputs)
        self._prefix = ""
        self._taken: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        before = self._prefix
        self._prefix = self._unique(name) + "."
        yield
        self._prefix = before

    @contextmanager
    def again(self, name: str) -> Iterator[None]:
        before, taken = self._prefix, self._taken
        self._prefix += name + "."
        self._taken = {}
        yield
        self._prefix, self._taken = before, taken

    def part(self, g: Wiring, function: Callable[..., Any], xs: Sequence[Map], choices: Mapping[str, Any]) -> Any:
        return function(g, *xs, **choices)

    def lay(self, kind: str, xs: Sequence[Map], shape: Shape, **choices: Any) -> Map:
        return self.lay_many(kind, xs, (shape,), **choices)[0]

    def lay_many(
        self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], *, name: str = "", shared: str = "", **choices: Any
    ) -> list[Map]:
        made = [Map(self._values + i, shape) for i, shape in enumerate(shapes)]
        self._values += len(made)
        scope = self._prefix + shared if shared else self._unique(name) if name else ""
        self.leaves.append(Leaf(kind, scope, tuple(choices.items()), tuple(x.id for x in xs),
                                tuple(m.id for m in made), tuple(x.shape for x in xs), tuple(shapes)))  # fmt: skip
        return made

    def _unique(self, name: str) -> str:
        full = self._prefix + name
        count = self._taken.get(full, 0)
        self._taken[full] = count + 1
        return full if count == 0 else f"{full}_{count + 1}"


@lru_cache(maxsize=65536)
def wire(function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments) -> Wired:
    """Lay a block down at its input shapes; remembered by block, shapes and arguments.

    many: the block takes the list of all its maps; otherwise it is laid down on each map by itself, under `branch0`,
      `branch1`, ... if there are several.
    Raises WiringError if the block does not fit its input shapes.
    """
    interpreter = LeafWiring(in_shapes)
    outputs = lay_down(Wiring(interpreter), function, many, arguments)
    return Wired(tuple(interpreter.leaves), in_shapes, tuple(m.id for m in outputs), tuple(m.shape for m in outputs))


def lay_down(g: Wiring, function: Callable[..., Any], many: bool, arguments: Arguments) -> tuple[Map, ...]:
    """Return the maps that a block makes of a wiring's inputs; the arguments are those of `wire`."""
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
    """Return the leaves that the outputs at these positions need, and the positions of the inputs that they read."""
    needed = {wired.outputs[i] for i in outputs}
    kept = []
    for leaf in reversed(wired.leaves):
        if not needed.isdisjoint(leaf.outputs):
            kept.append(leaf)
            needed.update(leaf.inputs)
    return tuple(reversed(kept)), frozenset(i for i in range(len(wired.in_shapes)) if i in needed)


def _check_width(width: int) -> None:
    if width < 1:
        raise WiringError(f"a width must be at least 1, here {width}")


def _check_size(size: Sequence[int], x: Map, what: str) -> None:
    if min(size) < 1:
        raise WiringError(f"a map of {shown(x.shape)} is too small for {what}")


def _check_equal(what: str, shapes: Sequence[Shape], xs: Maps) -> None:
    if len(set(shapes)) > 1:
        raise WiringError(f"maps to be {what} differ in shape: {', '.join(shown(x.shape) for x in xs)}")


def shown(shape: Shape) -> str:
    """Return `CxHxW`, for a message."""
    return "x".join(map(str, shape))
