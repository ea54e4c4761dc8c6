"""Zero-cost proxies: scores of an untrained network from one mini-batch."""

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
"""Activations that pass half of their input; hswish and SiLU are smooth ReLUs."""
JACOB_FLOOR = 1e-5
ZEN_STEP = 1e-2

Proxy = Callable[[Network, Batch, Loss], float]


def measure(
    spec: Spec, names: Sequence[str], batch: Batch, loss: Loss, *, seed: int = 0, device: torch.device = CPU
) -> dict[str, float]:
    """Return the proxies of these names, each with weights initialised as it needs (`STARTS`); NaN if not finite.

    batch: `image` (N, 3, H, W) with N >= 2, and what the task's `loss` reads.

    Weights and noise are determined by `seed` and drawn on the CPU for any device, so a value does not depend on the
    other proxies, and the caller's generators do not change. Raises InputError for unknown names.
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
    """Return a batch of `n` different samples, chosen by `seed`. Raises InputError if there are fewer."""
    if not 2 <= n <= len(samples):
        raise InputError(
            Problem(f"a batch of {n} samples must be 2 to {len(samples)}, the training samples", "proxies")
        )
    rows = np.random.default_rng(seed).permutation(len(samples))[:n].tolist()
    return next(samples.batches([rows]))


def synflow(network: Network, batch: Batch, loss: Loss) -> float:
    """Return the sum over weights of |w dR/dw|, R = sum of f(1), f the linearised network with absolute weights.

    R is the sum over all paths from input to output of the product of their |w|. Each layer that all paths cross gives
    R, so a chain of L layers has the value L R. Convolutions and linear layers count, biases and norms do not. Tanaka
    et al. 2020, section 6; summed over the network as in Abdelfattah et al. 2021, section 3.2. Data-free: the input is
    one image of ones, and the batch is not used.

    Linearised: norms are removed (the authors run them in evaluation mode at initialisation, which is the identity up
    to epsilon; batch statistics would normalise the flow). Activations are removed: all signals are positive, where
    ReLU is the identity, but ReLU6 would clip. A product with a gate would be of degree two in the signal and no sum
    over paths, so gates are held at 1, and layers that feed only gates add nothing. In float64 on the CPU, since the
    values span a hundred decades.
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
    """Return the graph without norms and activations, with every product replaced by its first factor."""
    nodes = tuple(replace(node, leaves=tuple(map(_linear, node.leaves))) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def _linear(leaf: Leaf) -> Leaf:
    if leaf.kind not in ("norm", "multiply", *ELEMENTWISE):
        return leaf
    first, shape = leaf.inputs[:1], leaf.in_shapes[:1]
    return replace(leaf, kind="add", scope="", arguments=(("scales", (1,)),), inputs=first, in_shapes=shape)


def naswot(network: Network, batch: Batch, loss: Loss) -> float:
    """Return log det K, K_ij = the number of rectifier inputs whose sign images i and j share.

    Two images with equal codes make K singular: NaN. Mellor et al. 2021, section 3. The authors use ReLUs; for hswish
    and SiLU, the sign of the input is the code. Sigmoids, and rectifiers that a user's module calls as functions, are
    left out. Norms use the batch's statistics, as the authors' do, so the value depends on which images are together,
    not on their order.
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
    """Return -sum_i [log(v_i + k) + 1 / (v_i + k)], v_i the eigenvalues of the rows J_n's correlations, k = 1e-5.

    J_n is the gradient of the sum of all outputs by image n, flattened. The maximum is -N, if no two rows are
    correlated. Mellor et al. 2020 (the first version), section 3. Norms use the batch's statistics, as in the authors'
    code, so a row includes its image's effect on the others. If no rectifier follows the last norm, the sum of all
    outputs is constant and the gradients are only rounding. Eigenvalues are those of a symmetric matrix (a general
    solver gives complex ones), clipped at 0.
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
    """Return the sum over layers of ||dL/dW||_2, L the task's training loss of the batch.

    W: the weights of convolutions and linear layers. Abdelfattah et al. 2021, section 3.2.
    """
    value = loss(network(batch["image"]), batch)
    slopes = torch.autograd.grad(value, weights(network), allow_unused=True)
    return sum(float(slope.cpu().double().norm()) for slope in slopes if slope is not None)


def zen(network: Network, batch: Batch, loss: Loss) -> float:
    """Return log E ||f(x) - f(x + a e)||_F + sum over batch norms of log sqrt(mean over channels of the variance).

    x, e ~ N(0, 1) of the batch's shape (its content is not used), a = 0.01, all weights N(0, 1). Norms keep the signal
    finite, and their variances restore the scale that they removed. Scaling the weights before a norm by c adds log c.
    Lin et al. 2021 (Zen-NAS), Algorithm 1, with three differences: f is the whole network, since a network of heat-maps
    has no final pooling; sums of branches, shortcuts included, are kept, where the authors remove shortcuts; variances
    are those of the first pass, where the authors' code reads running averages that start at 1. Norms of gates count.
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
    """Return the weights of convolutions and linear layers, in order."""
    return [module.weight for module in network.modules() if isinstance(module, WEIGHTED)]


@contextmanager
def _watched(
    network: nn.Module, kinds: type[Any] | tuple[type[Any], ...], look: Callable[[Tensor], None]
) -> Iterator[None]:
    """Call `look` with the input of every call of these layers, before an in-place layer changes it."""
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    hooks = [layer.register_forward_pre_hook(lambda _, given: look(given[0])) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def kaiming(network: nn.Module) -> None:
    """Set weights to N(0, 2 / fan_in), biases to 0, norms to 1 and 0, so that signals keep their scale at any depth.

    A spec's own N(0, 0.001) is for training: at it synflow and the gates vanish, and norms divide by their epsilon.
    By fan_in, since the fan_out of a depthwise convolution as torch counts it is its width times too large.
    """
    _begin(network, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))


def gaussian(network: nn.Module) -> None:
    """Set weights to N(0, 1), biases to 0, norms to 1 and 0."""
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
"""The initialisation that a proxy needs; `kaiming` for all others."""
