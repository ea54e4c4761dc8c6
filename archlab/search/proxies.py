"""Zero-cost proxies: what one mini-batch says about a network before any training."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from archlab.blocks.wiring import ELEMENTWISE, Leaf
from archlab.core.errors import InputError, Problem, nearest
from archlab.network.graph import Graph, assemble
from archlab.network.module import Network, build
from archlab.network.spec import Spec
from archlab.tasks.base import Samples
from archlab.tasks.loading import Batch
from archlab.training.step import Loss

CPU = torch.device("cpu")
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)
"""Activations that pass one half of their input; hswish and SiLU are ReLUs with a smooth kink."""
JACOB_FLOOR = 1e-5
ZEN_STEP = 1e-2

Proxy = Callable[[Network, Batch, Loss], float]


def measure(
    spec: Spec, names: Sequence[str], batch: Batch, loss: Loss, *, seed: int = 0, device: torch.device = CPU
) -> dict[str, float]:
    """The proxies of these names, each at weights begun anew as it needs (`STARTS`); NaN where one is not finite.

    batch: `image` (N, 3, H, W), `target` (N, K, h, w), `weight` (N, K, 1), N >= 2. Weights and noise follow from `seed`
    alone, drawn on the CPU whatever the device: a proxy's value does not depend on which others are asked for, and the
    caller's generators stay as they are. Raises InputError for names that are no proxy's.
    """
    unknown = [name for name in names if name not in PROXIES]
    if unknown:
        raise InputError(Problem(f"there is no proxy {name!r}{nearest(name, PROXIES)}", "proxies") for name in unknown)
    assert len(batch["image"]) >= 2, "a kernel between images needs two of them"
    graph = assemble(spec)
    assert batch["image"].shape[1:] == graph.input, "the batch is not of the network's input size"
    placed = {name: values.to(device) for name, values in batch.items()}
    found = {}
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        _seed(seed)
        network = build(graph).to(device)
        fresh = copy.deepcopy(network.state_dict())
        for name in names:
            network.load_state_dict(fresh)  # running averages too
            _seed(seed)
            STARTS.get(name, kaiming)(network)
            value = PROXIES[name](network, placed, loss)
            found[name] = value if math.isfinite(value) else math.nan
    return found


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would change the state of GPUs too


def proxy_batch(samples: Samples, n: int, seed: int) -> Batch:
    """A batch of `n` different people, chosen by `seed` alone; InputError where there are not so many."""
    if not 2 <= n <= len(samples):
        raise InputError(Problem(f"a batch of {n}: must be 2 to {len(samples)}, the people there are", "proxies"))
    rows = np.random.default_rng(seed).permutation(len(samples))[:n].tolist()
    return next(samples.batches([rows]))


def synflow(network: Network, batch: Batch, loss: Loss) -> float:
    """sum over weights of |w dR/dw|, R = sum of f(1), f the network made linear with every weight's absolute value.

    R is the sum over all paths from a pixel to a heat-map of the product of their |w|, and the weights of any one layer
    that all paths cross give R by themselves: a chain of L layers has the value L R. Convolutions and linear layers
    count, biases and norms do not. Tanaka et al. 2020, section 6; summed over the network as Abdelfattah et al. 2021,
    section 3.2. Data-free: one image of ones, whatever the batch holds.

    Linear: norms are taken away (the authors run them in evaluation at their start, which is the identity but for
    epsilon; batch statistics would divide the flow away), and so are activations: all signals are positive, where ReLU
    is the identity, while ReLU6 would cut them at 6. A product with a gate would be of degree two in the signal and
    no longer a sum over paths; a gate is held at 1, so layers that feed gates alone add nothing. In float64, since the
    values span a hundred decades, and therefore on the CPU.
    """
    linear = build(linearised(network.graph)).eval().double()
    linear.load_state_dict(network.state_dict(), strict=False)  # all but the norms'
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    flow = linear(torch.ones(1, *network.graph.input, dtype=torch.float64)).sum()
    found = weights(linear)
    slopes = torch.autograd.grad(flow, found, allow_unused=True)
    return sum(float((w.detach() * g).abs().sum()) for w, g in zip(found, slopes, strict=True) if g is not None)


def linearised(graph: Graph) -> Graph:
    """The graph without norms and activations, every product replaced by its first factor."""
    nodes = tuple(replace(node, leaves=tuple(map(_linear, node.leaves))) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def _linear(leaf: Leaf) -> Leaf:
    if leaf.kind not in ("norm", "multiply", *ELEMENTWISE):
        return leaf
    first, shape = leaf.inputs[:1], leaf.in_shapes[:1]
    return replace(leaf, kind="add", scope="", arguments=(("scales", (1,)),), inputs=first, in_shapes=shape)


def naswot(network: Network, batch: Batch, loss: Loss) -> float:
    """log det K, K_ij = the number of rectifier inputs whose sign images i and j share.

    Two images with one code make K singular: NaN. Mellor et al. 2021, section 3. The authors look at ReLUs; hswish and
    SiLU have no code of their own, so their inputs' signs stand for one. Sigmoids, which halve nothing, are left out,
    and so is what a user's own module rectifies in a function and not a layer. Norms use the batch's statistics, as the
    authors' do: the value depends on which images are together, not on their order.
    """
    n = len(batch["image"])
    kernel = np.zeros((n, n))

    def count(codes: Tensor) -> None:
        nonlocal kernel
        signs = torch.where(codes.flatten(1) > 0, 1.0, -1.0)  # agreeing - disagreeing = signs signs^T
        kernel += (signs.shape[1] + (signs @ signs.T).cpu().double().numpy()) / 2

    with torch.no_grad(), _watched(network, RECTIFIERS, count):
        network(batch["image"])
    sign, value = np.linalg.slogdet(kernel)
    return float(value) if sign > 0 else math.nan


def jacob_cov(network: Network, batch: Batch, loss: Loss) -> float:
    """-sum_i [log(v_i + k) + 1 / (v_i + k)], v_i the eigenvalues of the correlation matrix of the rows J_n, k = 1e-5.

    J_n is the slope of the sum of all outputs by image n, flattened; at most -N, where no two rows are correlated.
    Mellor et al. 2020 (the first version), section 3. Norms use the batch's statistics, as in the authors' code, so a
    row holds what its image does to the others too, and where no rectifier follows the last norm the sum of all outputs
    is a constant, whose slopes are rounding and say nothing. Eigenvalues are those of a symmetric matrix (a general
    solver gives complex ones) and not below 0.
    """
    images = batch["image"].detach().requires_grad_()
    (slopes,) = torch.autograd.grad(network(images).sum(), images)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.corrcoef(slopes.flatten(1).cpu().double().numpy())
    if not np.isfinite(correlations).all():
        return math.nan
    values = np.linalg.eigvalsh(correlations).clip(min=0) + JACOB_FLOOR
    return -float(np.sum(np.log(values) + 1 / values))


def gradient_norm(network: Network, batch: Batch, loss: Loss) -> float:
    """sum over layers of ||dL/dW||_2, L the task's training loss of the batch.

    W: the weights of convolutions and linear layers. Abdelfattah et al. 2021, section 3.2.
    """
    value = loss(network(batch["image"]), batch)
    slopes = torch.autograd.grad(value, weights(network), allow_unused=True)
    return sum(float(slope.cpu().double().norm()) for slope in slopes if slope is not None)


def zen(network: Network, batch: Batch, loss: Loss) -> float:
    """log E ||f(x) - f(x + a e)||_F + sum over batch norms of log sqrt(mean over channels of the batch's variance).

    x, e ~ N(0, 1) of the batch's shape (its content is not used), a = 0.01, all weights N(0, 1): the norms keep the
    signal finite, and their variances give back the scale that they took. Weights before a norm c times as large add
    log c. Lin et al. 2021 (Zen-NAS), Algorithm 1, with three differences: f is the whole network and not what stands
    before the pooling, which a network of heat-maps does not have; sums of branches, shortcuts too, stay where the
    authors take shortcuts away; and variances are the first pass's own, while the authors' code reads running averages
    that began at 1. The norms of gates count as all others do.
    """
    scales: list[float] = []

    def scale(values: Tensor) -> None:
        places = (0, *range(2, values.dim()))
        variance = (values - values.mean(places, keepdim=True)).square().mean()  # torch.var is slower
        scales.append(0.5 * float(variance.log()))

    shape = batch["image"].shape
    noise, step = (torch.randn(shape).to(batch["image"]) for _ in range(2))
    with torch.no_grad():
        with _watched(network, _BatchNorm, scale):
            here = network(noise)
        moved = (here - network(noise + ZEN_STEP * step)).cpu().double().flatten(1).norm(dim=1).mean()
    return float(moved.log()) + sum(scales)


def weights(network: nn.Module) -> list[Tensor]:
    """Of convolutions and linear layers, in order."""
    return [module.weight for module in network.modules() if isinstance(module, WEIGHTED)]


@contextmanager
def _watched(
    network: nn.Module, kinds: type[Any] | tuple[type[Any], ...], look: Callable[[Tensor], None]
) -> Iterator[None]:
    """Show `look` the input of every call of these layers, before an in-place one changes it."""
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    hooks = [layer.register_forward_pre_hook(lambda _, given: look(given[0])) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def kaiming(network: nn.Module) -> None:
    """Weights N(0, 2 / fan_in), biases 0, norms 1 and 0, so that signals keep their size through any depth.

    A spec's own N(0, 0.001) is for training: at it synflow and the gates vanish, and norms divide by their epsilon.
    By fan_in, since the fan_out of a depthwise convolution as torch counts it is its width times too large.
    """
    _begin(network, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))


def gaussian(network: nn.Module) -> None:
    """Weights N(0, 1), biases 0, norms 1 and 0."""
    _begin(network, nn.init.normal_)


def _begin(network: nn.Module, draw: Callable[[Tensor], Tensor]) -> None:
    for module in network.modules():
        if isinstance(module, WEIGHTED):
            module.weight.data.copy_(
                draw(torch.empty(module.weight.shape))
            )  # drawn on the CPU, one seed for all devices
        elif isinstance(module, NORMS) and module.weight is not None:
            nn.init.ones_(module.weight)  # a user's may begin at 0, which hides what stands before it
        if isinstance(module, WEIGHTED + NORMS) and module.bias is not None:
            nn.init.zeros_(module.bias)


PROXIES: dict[str, Proxy] = {
    "synflow": synflow,
    "naswot": naswot,
    "jacob_cov": jacob_cov,
    "gradient_norm": gradient_norm,
    "zen": zen,
}
STARTS: dict[str, Callable[[nn.Module], None]] = {"zen": gaussian}
"""How the weights begin for a proxy; `kaiming` for those that are not here."""
