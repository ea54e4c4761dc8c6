"""The text of a leaf in plain PyTorch: a layer's constructor, or an expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archlab.blocks.wiring import Leaf
from archlab.network import layers, module
from archlab.network.pointwise import Pointwise

Field = tuple[str, Any, Any]
"""An argument: its name, its value, and the value that may be left out (REQUIRED: none)."""
REQUIRED = object()


@dataclass(frozen=True)
class Text:
    """A constructor: what is called, in words, with what, and what must be copied for it.

    positional: the number of fields that are given by position.
    """

    call: str
    word: str
    fields: tuple[Field, ...] = ()
    positional: int = 9
    copied: Any = None


def is_function(leaf: Leaf) -> bool:
    """Return whether a leaf is an expression in `forward`; the others are layers."""
    return leaf.kind not in module.MODULES or _pools_by_function(leaf)


def _pools_by_function(leaf: Leaf) -> bool:
    sized = leaf.kind == "pool" and leaf["size"] != (1, 1)
    return sized or (leaf.kind in ("max_pool", "grid_pool") and not leaf.get("layer", True))


def layer(leaf: Leaf) -> Text:
    """Return the constructor of a leaf's layer."""
    made = _LAYERS.get(leaf.kind)
    return made(leaf) if made else _PLAIN[leaf.kind]


def _conv(leaf: Leaf) -> Text:
    a = dict(leaf.arguments)
    width_in, width = leaf.in_shapes[0][0], leaf.out_shapes[0][0]
    how = a["kernel"], a["stride"], a["padding"], a["dilation"], a["groups"]
    pointwise = how == (1, 1, 0, 1, 1)
    word = "Pointwise" if pointwise else "Depthwise" if a["groups"] == width_in == width else "Conv"
    fields = (
        ("in_channels", width_in, REQUIRED), ("out_channels", width, REQUIRED), ("kernel", a["kernel"], REQUIRED),
        ("stride", a["stride"], 1), ("padding", a["padding"], 0), ("dilation", a["dilation"], 1),
        ("groups", a["groups"], 1), ("bias", a["bias"], True),
    )  # fmt: skip
    return Text("Pointwise" if pointwise else "nn.Conv2d", word, fields, 3, Pointwise if pointwise else None)


def _deconv(leaf: Leaf) -> Text:
    a = dict(leaf.arguments)
    fields = (
        ("in_channels", leaf.in_shapes[0][0], REQUIRED), ("out_channels", leaf.out_shapes[0][0], REQUIRED),
        ("kernel", a["kernel"], REQUIRED), ("stride", a["stride"], 1), ("padding", a["padding"], 0),
        ("output_padding", a["output_padding"], 0), ("bias", a["bias"], True),
    )  # fmt: skip
    return Text("nn.ConvTranspose2d", "Deconv", fields, 3)


def _norm(leaf: Leaf) -> Text:
    fields = (("channels", leaf.in_shapes[0][0], REQUIRED), ("eps", leaf["eps"], 1e-5),
              ("momentum", leaf["momentum"], 0.1))  # fmt: skip
    return Text("nn.BatchNorm2d", "Norm", fields, 1)


def _max_pool(leaf: Leaf) -> Text:
    fields = (("kernel", leaf["kernel"], REQUIRED), ("stride", leaf["stride"], leaf["kernel"]),
              ("padding", leaf["padding"], 0))  # fmt: skip
    return Text("nn.MaxPool2d", "MaxPool", fields, 1)


def _avg_pool(leaf: Leaf) -> Text:
    fields = (("kernel", leaf["kernel"], REQUIRED), ("stride", leaf["stride"], leaf["kernel"]),
              ("padding", leaf["padding"], 0))  # fmt: skip
    return Text("nn.AvgPool2d", "AvgPool", fields, 1)


def _upsample(leaf: Leaf) -> Text:
    mode = leaf.get("mode", "nearest")
    corners = (("align_corners", True, REQUIRED),) if mode == "bilinear" else ()
    return Text(
        "nn.Upsample", "Upsample", (("scale_factor", leaf["factor"], REQUIRED), ("mode", mode, "nearest"), *corners), 0
    )


def _dynamic_conv(leaf: Leaf) -> Text:
    shape = leaf["kernels"], leaf.out_shapes[0][0], leaf.in_shapes[0][0] // leaf["groups"], leaf["kernel"]
    fields = (("shape", shape, REQUIRED), ("stride", leaf["stride"], REQUIRED), ("padding", leaf["padding"], REQUIRED),
              ("groups", leaf["groups"], REQUIRED))  # fmt: skip
    return Text("DynamicConv", "DynamicConv", fields, 1, layers.DynamicConv)


def _module(leaf: Leaf) -> Text:
    arguments = dict(leaf.arguments)
    factory: Any = arguments.pop("factory")
    fields = tuple((name, value, REQUIRED) for name, value in arguments.items())
    return Text(factory.__name__, factory.__name__, fields, 0, factory)


_PLAIN: Mapping[str, Text] = {
    "relu": Text("nn.ReLU", "ReLU"),
    "relu6": Text("nn.ReLU6", "ReLU6"),
    "leaky_relu": Text("nn.LeakyReLU", "LeakyReLU"),
    "hswish": Text("nn.Hardswish", "Hardswish"),
    "hswish_relu6": Text("HardSwish6", "Hardswish", copied=layers.HardSwish6),
    "hsigmoid": Text("nn.Hardsigmoid", "Hardsigmoid"),
    "hsigmoid_half": Text("HalfHardSigmoid", "Hardsigmoid", copied=layers.HalfHardSigmoid),
    "sigmoid": Text("nn.Sigmoid", "Sigmoid"),
    "silu": Text("nn.SiLU", "SiLU"),
    "pool": Text("nn.AdaptiveAvgPool2d", "GlobalPool", (("size", 1, REQUIRED),)),
}
_LAYERS: Mapping[str, Callable[[Leaf], Text]] = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": _norm,
    "prelu": lambda leaf: Text("nn.PReLU", "PReLU", (("channels", leaf.in_shapes[0][0], REQUIRED),)),
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "grid_pool": lambda leaf: Text("nn.AdaptiveAvgPool2d", "GridPool", (("grid", leaf["grid"], REQUIRED),)),
    "upsample": _upsample,
    "layer_norm": lambda leaf: Text("ChannelNorm", "ChannelNorm", (("channels", leaf.in_shapes[0][0], REQUIRED),),
                                    copied=layers.ChannelNorm),
    "learned_scale": lambda leaf: Text("LearnedScale", "LearnedScale", (("axis", leaf["axis"], REQUIRED),
                                       ("length", leaf["length"], REQUIRED)), copied=layers.LearnedScale),
    "dynamic_conv": _dynamic_conv,
    "module": _module,
}  # fmt: skip
