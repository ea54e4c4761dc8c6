"""The operators that a block applies to maps, with their shape rules, and the leaves that they become."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from archlab.blocks.maps import (
    ELEMENTWISE,
    Activation,
    Arguments,
    Interpreter,
    Leaf,
    Map,
    Maps,
    Norm,
    Shape,
    Wired,
    WiringError,
    check_equal,
    check_size,
    check_width,
    shown,
)
from archlab.blocks.operators import Operators

__all__ = [
    "ELEMENTWISE", "Activation", "Arguments", "Interpreter", "Leaf", "LeafWiring", "Map", "Maps", "Norm", "Shape",
    "Wired", "Wiring", "WiringError", "lay_down", "live", "shown", "wire",
]  # fmt: skip


class Wiring(Operators):
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
        padding: int | None = None,
        name: str = "conv",
        shared: str = "",
    ) -> Map:
        """Convolution; None pads so that stride 1 keeps the size: out = ceil(size / stride) for an odd kernel.

        shared: calls with the same name in one scope are one layer called several times.
        """
        check_width(width)
        if x.channels % groups or width % groups:
            raise WiringError(f"{x.channels} and {width} channels do not divide into {groups} groups")
        same = dilation * (kernel - 1) // 2
        padding = same if padding is None else padding
        _, height, breadth = x.shape
        if kernel % 2 == 0 or stride > 1 or padding != same:
            lost = dilation * (kernel - 1) - 2 * padding
            height, breadth = (height - lost - 1) // stride + 1, (breadth - lost - 1) // stride + 1
            check_size((height, breadth), x, f"a {kernel}x{kernel} convolution of stride {stride}")
        return self._lay("conv", (x,), (width, height, breadth), name=name, shared=shared, kernel=kernel,
                         stride=stride, padding=padding, groups=groups, dilation=dilation, bias=bias)  # fmt: skip

    def depthwise(self, x: Map, *, kernel: int = 3, stride: int = 1, name: str = "depthwise", **more: Any) -> Map:
        """One kernel a channel."""
        return self.conv(x, x.channels, kernel=kernel, stride=stride, groups=x.channels, name=name, **more)

    def deconv(
        self, x: Map, width: int, *, kernel: int = 4, stride: int = 2, bias: bool = False, name: str = "deconv"
    ) -> Map:
        """Transposed convolution to exactly `stride` times the size: padding and output padding follow from kernel."""
        check_width(width)
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
        **more: Any,
    ) -> Map:
        """act(BN(conv(x))), as `name.conv`, `name.norm` and `name.act`; `more`: choices of the convolution."""
        made: Map = self.part(_conv_norm, x, width=width, kernel=kernel, stride=stride, groups=groups, act=act,
                              momentum=momentum, name=name, **more)  # fmt: skip
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
        **more: Any,
    ) -> Map:
        """act(BN(depthwise(x)))."""
        return self.conv_norm(x, x.channels, kernel=kernel, stride=stride, groups=x.channels, act=act,
                              momentum=momentum, name=name, **more)  # fmt: skip

    def act(self, x: Map, kind: Activation = "relu", *, shared: str = "") -> Map:
        """An activation; calls with the same `shared` name in one scope are one layer called several times."""
        if kind == "none":
            return x
        return self._lay(kind, (x,), x.shape, name="act", shared=shared)

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
        check_equal("concatenated", [x.size for x in xs], xs)
        return xs[0] if len(xs) == 1 else self._lay("concat", xs, (sum(x.channels for x in xs), *xs[0].size))

    def shuffle(self, x: Map, *, groups: int = 2) -> Map:
        """Channel shuffle: channel g * n + i goes to i * groups + g. ShuffleNet, section 3.1."""
        if x.channels % groups:
            raise WiringError(f"{x.channels} channels do not shuffle in {groups} groups")
        return self._lay("shuffle", (x,), x.shape, groups=groups)

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


class _Scope:
    """Names under a prefix while it lasts."""

    __slots__ = ("before", "name", "wiring")

    def __init__(self, wiring: LeafWiring, name: str) -> None:
        self.wiring, self.name, self.before = wiring, name, wiring.prefix

    def __enter__(self) -> None:
        self.wiring.prefix = self.wiring.unique(self.name) + "."

    def __exit__(self, *error: object) -> None:
        self.wiring.prefix = self.before


class LeafWiring:
    """Keeps the operators that a block applies as leaves; `g` of a block is `Wiring(LeafWiring(in_shapes))`."""

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        self.inputs = tuple(Map(i, shape) for i, shape in enumerate(in_shapes))
        self.leaves: list[Leaf] = []
        self._values = len(self.inputs)
        self.prefix = ""
        self._taken: dict[str, int] = {}

    def scope(self, name: str) -> AbstractContextManager[None]:
        return _Scope(self, name)

    @contextmanager
    def again(self, name: str) -> Iterator[None]:
        before, taken = self.prefix, self._taken
        self.prefix += name + "."
        self._taken = {}
        yield
        self.prefix, self._taken = before, taken

    def part(self, g: Wiring, function: Callable[..., Any], xs: Sequence[Map], choices: Mapping[str, Any]) -> Any:
        return function(g, *xs, **choices)

    def lay(
        self, kind: str, xs: Sequence[Map], shape: Shape, *, name: str = "", shared: str = "", **choices: Any
    ) -> Map:
        made = Map(self._values, shape)
        self._values += 1
        scope = self.prefix + shared if shared else self.unique(name) if name else ""
        ids, shapes = ((xs[0][0],), (xs[0][1],)) if len(xs) == 1 else zip(*xs, strict=True)
        self.leaves.append(Leaf(kind, scope, tuple(choices.items()), ids, (made[0],), shapes, (shape,)))
        return made

    def lay_many(
        self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], *, name: str = "", shared: str = "", **choices: Any
    ) -> list[Map]:
        made = [Map(self._values + i, shape) for i, shape in enumerate(shapes)]
        self._values += len(made)
        scope = self.prefix + shared if shared else self.unique(name) if name else ""
        self.leaves.append(Leaf(kind, scope, tuple(choices.items()), tuple(x.id for x in xs),
                                tuple(m.id for m in made), tuple(x.shape for x in xs), tuple(shapes)))  # fmt: skip
        return made

    def unique(self, name: str) -> str:
        full = self.prefix + name
        count = self._taken.get(full, 0)
        self._taken[full] = count + 1
        return full if count == 0 else f"{full}_{count + 1}"


def wire(function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments) -> Wired:
    """Lay a block down at its input shapes; remembered by block, shapes and arguments.

    many: the block takes the list of all its maps; otherwise it is laid down on each map by itself, under `branch0`,
      `branch1`, ... if there are several.
    Raises WiringError if the block does not fit its input shapes.
    """
    return _wired(function, in_shapes, many, arguments, types_of([value for _, value in arguments]))


def types_of(values: Iterable[Hashable]) -> Hashable:
    """Return the types of values, also inside tuples; as keys, 1, 1.0 and True are equal without them."""
    return tuple([types_of(value) if isinstance(value, tuple) else type(value) for value in values])


@lru_cache(maxsize=65536)
def _wired(
    function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments, types: Hashable
) -> Wired:
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
