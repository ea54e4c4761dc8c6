"""The paper's counter: forward hooks on a module's layers, each of which holds the count of its last call.

It sees layers only. What a module computes by functions (`F.relu`, `@`, `einsum`, `F.conv2d`) counts nothing, and so
does a layer that `RULES` does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

from torch import Tensor, nn

from archlab.counting.rules import cells
from archlab.network.layers import DynamicConv


@dataclass(frozen=True)
class Rule:
    """How layers of some classes count.

    count: returns the count of one call from the layer, its input and its output.
    operators: the operators of fvcore's trace for which the count stands.
    """

    layers: tuple[type[nn.Module], ...]
    count: Callable[[Any, Tensor, Tensor], int]
    operators: frozenset[str]


@dataclass
class Calls:
    """One run of a module: the count and the rule of every layer that counts, and all modules called, by name."""

    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def see(self, name: str, layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """Keep the count of a call in place of that of the call before; a forward hook but for `name`."""
        self.called.add(name)
        rule = next((rule for rule in RULES if isinstance(layer, rule.layers)), None)
        x = next((each for each in (*inputs, *named.values()) if isinstance(each, Tensor)), None)
        y = output[0] if isinstance(output, tuple) and output else output
        if rule and x is not None and isinstance(y, Tensor):
            self.counts[name], self.rules[name] = rule.count(layer, x, y), rule


def call_layers(module: nn.Module, inputs: Sequence[Tensor]) -> Calls:
    """Run a module once and return what the paper's counter sees."""
    calls = Calls()
    hooks = [
        each.register_forward_hook(partial(calls.see, name), with_kwargs=True) for name, each in module.named_modules()
    ]
    try:
        module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _conv(layer: Any, x: Tensor, y: Tensor) -> int:
    kernel: int = layer.in_channels // layer.groups * prod(layer.kernel_size)
    return y.numel() * (kernel + (layer.bias is not None))


def _dynamic_conv(layer: DynamicConv, x: Tensor, y: Tensor) -> int:
    """A convolution of one kernel, as the Dite-HRNet authors' copy of the tool counts it; mixing counts nothing."""
    return y.numel() * prod(layer.weight.shape[2:])


def _deconv(layer: Any, x: Tensor, y: Tensor) -> int:
    kernel: int = layer.out_channels // layer.groups * prod(layer.kernel_size)
    return x.numel() * kernel + (y.numel() if layer.bias is not None else 0)


def _adaptive_pool(layer: Any, x: Tensor, y: Tensor) -> int:
    """C (h + 1) (w + 1) summed over the cells of h x w positions, which overlap where a side does not divide."""
    sides = _sides(layer)
    shapes = zip(x.shape[-sides:], y.shape[-sides:], strict=True)
    return prod(y.shape[:-sides]) * prod(sum(n + 1 for n in cells(side, number)) for side, number in shapes)


def _windows(layer: Any, x: Tensor, y: Tensor) -> int:
    kernel = layer.kernel_size
    sides = (kernel,) * _sides(layer) if isinstance(kernel, int) else kernel
    return y.numel() * prod(sides)


def _upsample(layer: Any, x: Tensor, y: Tensor) -> int:
    """H W, without the channels, in any mode."""
    return prod(y.shape[2:])


def _sides(layer: nn.Module) -> int:
    """Return 1, 2 or 3: over how many sides of a map a pool goes."""
    return next(n for n in (1, 2, 3) if isinstance(layer, _POOLS[n]))


_POOLS: dict[int, tuple[type[nn.Module], ...]] = {
    1: (nn.AdaptiveAvgPool1d, nn.AvgPool1d, nn.MaxPool1d),
    2: (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d),
    3: (nn.AdaptiveAvgPool3d, nn.AvgPool3d, nn.MaxPool3d),
}
_CONVOLUTION = frozenset({"convolution"})
RULES = (
    Rule((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv, _CONVOLUTION),
    Rule((DynamicConv,), _dynamic_conv, _CONVOLUTION),
    Rule((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _deconv, _CONVOLUTION),
    Rule((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), lambda layer, x, y: 2 * y.numel(),
         frozenset({"batch_norm"})),
    Rule((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU), lambda layer, x, y: y.numel(),
         frozenset({"relu", "relu6", "hardtanh", "leaky_relu", "prelu", "elu"})),
    Rule((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive_pool,
         frozenset({"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"})),
    Rule((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _windows,
         frozenset({f"max_pool{n}d{also}" for n in (1, 2, 3) for also in ("", "_with_indices")})),
    Rule((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _windows, frozenset({f"avg_pool{n}d" for n in (1, 2, 3)})),
    Rule((nn.Linear,), lambda layer, x, y: y.numel() * layer.in_features,
         frozenset({"linear", "addmm", "mm", "matmul"})),
    Rule((nn.Upsample,), _upsample,
         frozenset({*(f"upsample_nearest{n}d" for n in (1, 2, 3)), "upsample_linear1d", "upsample_bilinear2d",
                    "upsample_bicubic2d", "upsample_trilinear3d"})),
)  # fmt: skip
