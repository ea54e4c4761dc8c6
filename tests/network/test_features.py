"""The maps of several resolutions: those of the network itself to the bit, from the same layers, by stride or name."""

from __future__ import annotations

import pytest
import torch
from helpers.lively import lively
from helpers.refused import refused
from torch import Tensor

import archlab
from archlab.network.features import Feature
from archlab.network.graph import origin
from archlab.network.module import Network
from archlab.network.steps import lay_steps, run_steps

SMALL = {"input": (3, 64, 64)}


def built(name: str, **fields: object) -> Network:
    network = lively(archlab.build(archlab.load(name, **fields)))
    assert isinstance(network, Network)
    return network


def values_of(network: Network, image: Tensor) -> dict[str, Tensor]:
    """Return the outputs of all nodes in a pass of the whole network, by the names of features."""
    graph = network.graph
    _, slots = lay_steps(graph, network.leaves)
    network(image)
    assert network._operators is not None
    steps = [step._replace(finished=()) for step in network._steps]
    values = run_steps(network._operators, steps, len(slots), image, every=False)
    return {
        f"{node.name}.{k}" if len(node.out_shapes) > 1 else node.name: values[slots[origin(graph, (i, number))]]
        for i, node in enumerate(graph.nodes)
        for k, number in enumerate(node.wired.outputs)
        if k in node.read
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "lite_hrnet_18",
            [(f"stage4.module1.fusion.{k}", 4 * 2**k, width) for k, width in enumerate((40, 80, 160, 320))],
        ),
        (
            "hrnet_w32",  # the last fusion makes the finest map alone
            [
                ("stage4.module2.fusion.0", 4, 32),
                ("stage4.module2.unit3.1", 8, 64),
                ("stage4.module2.unit3.2", 16, 128),
                ("stage4.module2.unit3.3", 32, 256),
            ],
        ),
        (
            "simple_baseline_r50",  # the ResNet's four levels and its stem, not the deconvolutions
            [
                ("stem", 2, 64),
                ("layer1.2", 4, 256),
                ("layer2_more.2", 8, 512),
                ("layer3_more.4", 16, 1024),
                ("layer4_more.1", 32, 2048),
            ],
        ),
    ],
)
def test_the_maps_are_known_before_anything_runs(name: str, wanted: list[tuple[str, int, int]]) -> None:
    maps = archlab.features(archlab.build(archlab.load(name)))
    assert maps.info == tuple(Feature(*each) for each in wanted)
    assert (maps.strides, maps.channels) == (tuple(s for _, s, _ in wanted), tuple(c for *_, c in wanted))


def check(name: str, **fields: object) -> None:
    """Hold a network's maps to their description, and to the same values in a pass of the whole network."""
    network = built(name, **fields)
    image = torch.randn(1, *network.graph.input, generator=torch.Generator().manual_seed(1))
    maps = archlab.features(network)
    with torch.inference_mode():
        found, whole = maps(image), values_of(network, image)
    assert len(found) > 1
    for each, info in zip(found, maps.info, strict=True):
        assert each.shape[1] == info.channels
        sides = zip(each.shape[2:], network.graph.input[1:], strict=True)
        assert all(abs(side - of / info.stride) <= 1 for side, of in sides)
        assert torch.equal(each, whole[info.name])


@pytest.mark.parametrize("name", ["lite_hrnet_18", "skip_pose_net", "mobilenet_v3_small_seg"])
def test_a_map_has_its_stride_its_channels_and_the_networks_own_values(name: str) -> None:
    check(name, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", archlab.list_networks())
def test_so_has_a_map_of_every_network(name: str) -> None:
    check(name, input=(3, 128, 128))


def test_maps_are_chosen_by_stride_or_by_name_in_the_order_asked_for() -> None:
    network = built("lite_hrnet_18", **SMALL)
    image = torch.randn(1, 3, 64, 64)
    four, thirty_two, early = archlab.features(network, [4, 32, "stage2.module0.fusion.1"])(image)
    whole = archlab.features(network)(image)
    assert torch.equal(four, whole[0])
    assert torch.equal(thirty_two, whole[3])
    assert early.shape == (1, 80, 8, 8)


def test_layers_are_shared_and_those_that_no_map_needs_are_left_out() -> None:
    network = built("skip_pose_net", **SMALL)
    maps = archlab.features(network, [8])
    own = dict(network.named_parameters())
    assert set(dict(maps.named_parameters())) < set(own)
    assert all(parameter is own[name] for name, parameter in maps.named_parameters())
    assert not any(name.startswith(("coarse", "up_", "refine", "last")) for name, _ in maps.named_parameters())
    maps(torch.randn(1, 3, 64, 64))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in maps.parameters())


def test_a_wrong_stride_or_name_is_refused_with_what_there_is() -> None:
    network = archlab.build(archlab.load("lite_hrnet_18", **SMALL))
    with refused("no map 3", "4, 8, 16, 32", field="at"):
        archlab.features(network, [4, 3])
    with refused("no map 'stage4.module1.fusion.4'", "did you mean 'stage4.module1.fusion.", field="at"):
        archlab.features(network, ["stage4.module1.fusion.4"])
