"""Zero-cost proxies: their formulas by hand on tiny networks, and all of them on those that ship."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.training import samples_of

import archlab
from archlab import Spec
from archlab.core.errors import InputError
from archlab.network.module import Network
from archlab.search.proxies import PROXIES, gaussian, kaiming, measure, proxy_batch, weights
from archlab.tasks.loading import Batch
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.training.recipe import Recipe

SHIPPED = ("lite_hrnet_18", "small_hrnet_w16", "mobilenet_v2")
CHAIN = "{block: conv, width: %d, kernel: 1, norm: %s, act: %s}"

LOSS = Recipe.of(epochs=1).loss


def make_batch(n: int = 4, size: int = 64, *, joints: int = 17, stride: int = 4, seed: int = 1) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    target = torch.rand(n, joints, size // stride, size // stride, generator=draw)
    weight = (torch.rand(n, joints, 1, generator=draw) < 0.8).float()
    return {"image": torch.randn(n, 3, size, size, generator=draw), "target": target, "weight": weight}


def chain(
    folder: Path, *, size: int = 2, width: int = 2, norm: str = "none", act: str = "none", outputs: int = 1
) -> Spec:
    """1x1 convolution, perhaps norm and activation, 1x1 convolution."""
    path = folder / "chain.yaml"
    path.write_text(f"version: 1\nnodes:\n  only: {CHAIN % (width, norm, act)}\n")
    return archlab.load(path, input=(3, size, size), outputs=outputs)


def built(spec: Spec, *values: list[list[float]]) -> Network:
    """With these (out, in) weights; biases 0."""
    torch.manual_seed(3)
    network = archlab.build(spec)
    kaiming(network)
    with torch.no_grad():
        for weight, value in zip(weights(network), values, strict=False):
            weight.copy_(torch.tensor(value)[:, :, None, None])
    return network


def arrays(network: Network) -> list[np.ndarray]:
    return [weight.detach().double().numpy()[:, :, 0, 0] for weight in weights(network)]


# Synflow


def test_synflow_of_two_linear_layers_is_twice_the_sum_over_paths(tmp_path: Path) -> None:
    """Paths, by hand: |2|(|1| + |-2| + |3|) + |-5|(|0| + |4| + |-1|) = 12 + 25 = 37, at 4 pixels, in 2 layers."""
    network = built(chain(tmp_path), [[1, -2, 3], [0, 4, -1]], [[2, -5]])
    assert PROXIES["synflow"](network, make_batch(), LOSS) == pytest.approx(2 * 4 * 37)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("act", ["relu", "relu6", "hswish", "silu", "sigmoid"])
def test_synflow_sees_neither_norms_nor_activations_nor_signs(tmp_path: Path, norm: str, act: str) -> None:
    network = built(chain(tmp_path, norm=norm, act=act), [[100, -200, 300], [0, -400, -100]], [[-2, -5]])
    assert PROXIES["synflow"](network, make_batch(), LOSS) == pytest.approx(2 * 4 * 3700)


def test_layers_that_feed_only_gates_add_nothing_to_synflow(tmp_path: Path) -> None:
    path = tmp_path / "gated.yaml"
    path.write_text(
        "version: 1\nnodes:\n  stem: {block: shuffle_stem}\n  unit: {block: conditional_channel_weighting}\n"
    )
    network = built(archlab.load(path, input=(3, 32, 32)))
    before = PROXIES["synflow"](network, make_batch(), LOSS)
    gates = [m for name, m in network.named_modules() if "reduce" in name or "expand" in name if "unit" in name]
    convolutions = [m for m in gates if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 4
    with torch.no_grad():
        for module in convolutions:
            module.weight.mul_(10)
    assert PROXIES["synflow"](network, make_batch(), LOSS) == pytest.approx(before, rel=1e-12)
    with torch.no_grad():
        network.get_submodule("unit.depthwise0.conv").weight.mul_(10)
    assert PROXIES["synflow"](network, make_batch(), LOSS) > 2 * before


def test_wider_networks_have_more_synflow() -> None:
    names = ("lite_hrnet_18_c20", "lite_hrnet_18", "lite_hrnet_18_c80")
    specs = [archlab.load(name, input=(3, 64, 64)) for name in names]
    narrow, middle, wide = (measure(spec, ["synflow"], make_batch(), LOSS)["synflow"] for spec in specs)
    assert narrow < middle < wide


def test_the_weights_of_training_would_let_synflow_vanish() -> None:
    """Some 60 layers of N(0, 0.001) in place of Kaiming's, each tens of times smaller."""
    spec = archlab.load("lite_hrnet_18", input=(3, 64, 64))
    torch.manual_seed(0)
    own = PROXIES["synflow"](archlab.build(spec), make_batch(), LOSS)
    assert own < 1e-60 * measure(spec, ["synflow"], make_batch(), LOSS)["synflow"]


# NASWOT


@pytest.mark.parametrize("act", ["relu", "relu6", "hswish", "silu"])
def test_naswot_is_the_log_determinant_of_equal_signs(tmp_path: Path, act: str) -> None:
    """Signs ++++ and ++-+ and -+-+: they share 4 with themselves, 3, 2 and 3: the determinant is 4(16-9)-3(12-6)+2(9-8)."""
    network = built(chain(tmp_path, width=1, act=act), [[1, 0, 0]], [[1]])
    image = torch.zeros(3, 3, 2, 2)
    image[:, 0] = torch.tensor([[2.0, 1, 8, 1], [1, 1, -9, 3], [-1, 3, -1, 2]]).view(3, 2, 2)
    assert PROXIES["naswot"](network, {"image": image}, LOSS) == pytest.approx(math.log(28 - 18 - 4 + 6))


def test_naswot_has_no_value_for_equal_images_and_little_for_similar_ones(tmp_path: Path) -> None:
    spec = chain(tmp_path, size=8, width=8, act="relu")
    batch = make_batch(2, 8)
    equal, similar = batch["image"][:1].expand(2, -1, -1, -1), batch["image"][:1] * torch.ones(2, 1, 1, 1)
    similar[1] += 0.05 * batch["image"][1]
    assert math.isnan(measure(spec, ["naswot"], {"image": equal}, LOSS)["naswot"])
    found = [measure(spec, ["naswot"], {"image": image}, LOSS)["naswot"] for image in (similar, batch["image"])]
    assert found[0] < found[1] - 1


def test_naswot_of_a_network_without_rectifiers_has_no_value(tmp_path: Path) -> None:
    assert math.isnan(measure(chain(tmp_path, act="sigmoid"), ["naswot"], make_batch(2, 2), LOSS)["naswot"])


# Jacobian covariance


def test_jacob_cov_is_numpys_from_the_slopes_of_every_image_by_itself(tmp_path: Path) -> None:
    network = built(chain(tmp_path, size=8, width=6, act="relu", outputs=17))
    images = make_batch(5, 8)["image"]
    rows = np.stack([
        torch.autograd.functional.jacobian(lambda x: network(x).sum(), image[None]).numpy().ravel() for image in images
    ]).astype(float)  # fmt: skip
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    values = np.linalg.svd(rows, compute_uv=False) ** 2 + 1e-5
    expected = -(np.log(values) + 1 / values).sum()
    assert PROXIES["jacob_cov"](network, {"image": images}, LOSS) == pytest.approx(expected, rel=1e-4)
    assert expected < -5


def test_jacob_cov_falls_steeply_where_images_have_the_same_slope(tmp_path: Path) -> None:
    """A linear network has one slope for all images: eigenvalues N and zeros, each zero worth log(k) + 1 / k."""
    network = built(chain(tmp_path, size=8))
    k = 1e-5
    expected = -(math.log(4 + k) + 1 / (4 + k) + 3 * (math.log(k) + 1 / k))
    assert PROXIES["jacob_cov"](network, make_batch(4, 8), LOSS) == pytest.approx(expected, rel=1e-3)


def test_norms_that_begin_at_zero_do_not_hide_what_stands_before_them(tmp_path: Path) -> None:
    network = archlab.build(chain(tmp_path, size=8, norm="batch", act="relu"))
    norm = network.get_submodule("only.norm")
    torch.nn.init.zeros_(norm.weight)
    assert math.isnan(PROXIES["jacob_cov"](network, make_batch(4, 8), LOSS))
    kaiming(network)
    assert math.isfinite(PROXIES["jacob_cov"](network, make_batch(4, 8), LOSS))


# Gradient norm


def test_gradient_norm_is_the_sum_of_both_layers_norms_by_hand(tmp_path: Path) -> None:
    """y = B A x, L = mean (w (y - t))^2: dL/dy = 2 w^2 (y - t) / count, dL/dB = dL/dy (A x)', dL/dA = B' dL/dy x'."""
    network = built(chain(tmp_path, size=8, width=5, outputs=17))
    batch = make_batch(3, 8, stride=1)
    a, b = arrays(network)
    x, target, weight = (batch[name].double().numpy() for name in ("image", "target", "weight"))
    hidden = np.einsum("oi,nihw->nohw", a, x)
    errors = np.einsum("oi,nihw->nohw", b, hidden) - target
    slope = 2 * weight[..., None] ** 2 * errors / errors.size
    to_a = np.einsum("nkhw,ko,nihw->oi", slope, b, x)
    to_b = np.einsum("nkhw,nohw->ko", slope, hidden)
    expected = np.sqrt((to_a**2).sum()) + np.sqrt((to_b**2).sum())
    assert PROXIES["gradient_norm"](network, batch, LOSS) == pytest.approx(expected, rel=1e-5)


# Zen


def test_zen_is_the_log_of_the_change_and_of_what_the_norm_took_away(tmp_path: Path) -> None:
    network = built(chain(tmp_path, size=8, width=4, norm="batch", outputs=3))
    a, b = arrays(network)
    torch.manual_seed(7)
    found = PROXIES["zen"](network, make_batch(4, 8), LOSS)
    torch.manual_seed(7)
    x, e = (torch.randn(4, 3, 8, 8).double().numpy() for _ in range(2))

    def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hidden = np.einsum("oi,nihw->nohw", a, image)
        mean, variance = hidden.mean((0, 2, 3), keepdims=True), hidden.var((0, 2, 3), keepdims=True)
        return np.einsum("oi,nihw->nohw", b, (hidden - mean) / np.sqrt(variance + 1e-5)), variance

    (here, variance), (there, _) = run(x), run(x + 0.01 * e)
    change = np.sqrt(((here - there) ** 2).sum((1, 2, 3))).mean()
    assert found == pytest.approx(math.log(change) + math.log(math.sqrt(variance.mean())), rel=1e-4)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_zen_grows_by_log_c_with_weights_c_times_as_large_norm_or_not(tmp_path: Path, norm: str) -> None:
    network = built(chain(tmp_path, size=8, norm=norm), [[1, -2, 3], [2, 4, -1]], [[2, -5]])
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(PROXIES["zen"](network, make_batch(4, 8), LOSS))
        with torch.no_grad():
            weights(network)[0].mul_(10)
    assert found[1] - found[0] == pytest.approx(math.log(10), abs=1e-3)


def test_zen_begins_with_the_weights_of_its_authors_and_the_others_with_kaimings() -> None:
    network = archlab.build(archlab.load("small_hrnet_w16", input=(3, 64, 64)))
    wide = max(weights(network), key=lambda weight: weight.numel())
    fan_in = wide[0].numel()
    torch.manual_seed(0)
    gaussian(network)
    assert wide.std().item() == pytest.approx(1, rel=0.02)
    kaiming(network)
    assert wide.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)


# All of them


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    return {name: measure(archlab.load(name, input=(3, 64, 64)), list(PROXIES), make_batch(), LOSS) for name in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_proxy_of_a_shipped_network_is_finite_and_the_same_again(
    measured: dict[str, dict[str, float]], name: str
) -> None:
    found = measured[name]
    assert list(found) == list(PROXIES)
    assert all(map(math.isfinite, found.values())), found
    spec = archlab.load(name, input=(3, 64, 64))
    torch.manual_seed(99)  # the caller's generator is not what decides
    again = {proxy: measure(spec, [proxy], make_batch(), LOSS)[proxy] for proxy in reversed(PROXIES)}
    assert again == found


def test_no_two_networks_have_the_same_value_and_another_seed_has_another(
    measured: dict[str, dict[str, float]],
) -> None:
    for proxy in PROXIES:
        assert len({found[proxy] for found in measured.values()}) == len(SHIPPED)
    other = measure(archlab.load("small_hrnet_w16", input=(3, 64, 64)), list(PROXIES), make_batch(), LOSS, seed=1)
    assert all(other[proxy] != measured["small_hrnet_w16"][proxy] for proxy in PROXIES)


def test_the_order_of_a_batch_does_not_matter(tmp_path: Path) -> None:
    spec = chain(tmp_path, size=8, width=6, act="relu", outputs=17)
    batch = make_batch(6, 8, stride=1)
    turned = {name: values.flip(0) for name, values in batch.items()}
    found, again = (measure(spec, list(PROXIES), each, LOSS) for each in (batch, turned))
    assert again == pytest.approx(found, rel=1e-4)


def test_synflow_and_zen_look_at_no_image() -> None:
    spec = archlab.load("small_hrnet_w16", input=(3, 64, 64))
    one, other = (measure(spec, list(PROXIES), make_batch(seed=seed), LOSS) for seed in (1, 2))
    assert {name for name in PROXIES if one[name] == other[name]} == {"synflow", "zen"}


def test_measuring_leaves_the_callers_generator_and_batch_as_they_were(tmp_path: Path) -> None:
    batch = make_batch(4, 8, stride=1)
    before = {name: values.clone() for name, values in batch.items()}
    state = torch.get_rng_state()
    measure(chain(tmp_path, size=8, outputs=17), list(PROXIES), batch, LOSS)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(batch[name], before[name]) and not batch[name].requires_grad for name in batch)


def test_names_that_are_no_proxys_are_said_all_at_once_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        measure(chain(tmp_path), ["sinflow", "zen", "nas_wot"], make_batch(2, 2), LOSS)
    assert [problem.message for problem in caught.value.problems] == [
        "there is no proxy 'sinflow' (did you mean 'synflow'?)",
        "there is no proxy 'nas_wot' (did you mean 'naswot'?)",
    ]


def test_a_batch_is_drawn_from_people_by_its_seed_alone(tmp_path: Path) -> None:
    dataset = PoseDataset(load_people(tiny.make_data(tmp_path), "train2017", aspect=1.0), (64, 64))
    batch = proxy_batch(samples_of(dataset, tiny.RECIPE), 4, seed=2)
    assert [tuple(batch[name].shape) for name in ("image", "target", "weight")] == [
        (4, 3, 64, 64), (4, 17, 16, 16), (4, 17, 1)]  # fmt: skip
    rows = batch["index"].tolist()
    assert len(set(rows)) == 4
    assert proxy_batch(samples_of(dataset, tiny.RECIPE), 4, seed=2)["index"].tolist() == rows
    assert proxy_batch(samples_of(dataset, tiny.RECIPE), 4, seed=3)["index"].tolist() != rows
    found = measure(tiny.make_spec(tmp_path), list(PROXIES), batch, LOSS)
    assert all(map(math.isfinite, found.values())), found
    for n in (1, tiny.PEOPLE + 1):
        with pytest.raises(InputError, match=rf"{n} .* 2 to {tiny.PEOPLE}") as refused:
            proxy_batch(samples_of(dataset, tiny.RECIPE), n, seed=0)
        assert [problem.field for problem in refused.value.problems] == ["proxies"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_measures_what_the_cpu_does_and_keeps_its_generator() -> None:
    spec, batch = archlab.load("lite_hrnet_18", input=(3, 64, 64)), make_batch()
    state = torch.cuda.get_rng_state()
    found = measure(spec, list(PROXIES), batch, LOSS, device=torch.device("cuda"))
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert found == pytest.approx(measure(spec, list(PROXIES), batch, LOSS), rel=0.02)
