"""The systems of the paper's tables, with random weights, against outputs of public code in float64."""

from __future__ import annotations

import re
from itertools import groupby

import pytest
import torch
from helpers.parity import difference, fixture, rebuilt

# Network, fixture, outputs, the prefix of layers that the main output does not need.
FIXTURES = [
    ("cpn_r50", "cpn_r50", 17, "global_net.predict."),
    ("dite_hrnet_18", "dite_hrnet_18", 17, "none"),
    ("sx_hrnet_18", "sx_hrnet_18", 17, "none"),
    ("bisenet_v1_r18", "bisenetv1_r18", 19, "none"),
    ("fast_scnn", "fast_scnn", 19, "none"),
    ("fasterseg", "fasterseg_student", 19, "none"),
    ("swiftnet_rn18", "swiftnet_rn18", 19, "none"),
    ("shufflenet_v2", "shufflenet_v2_1x_pose", 17, "none"),
    ("mobilenet_v3_large", "mobilenet_v3_large_pose", 16, "none"),
]


def as_ours(order: list[str]) -> list[str]:
    """Return the order in which we call layers that depend on no other's output.

    X-HRNet runs all units of a branch (`layers.BRANCH.UNIT`) before the next branch, SwiftNet a shortcut before its
    block.
    """
    found: list[str] = []
    for module, run in groupby(order, module_of):
        names = list(run)
        found += sorted(names, key=unit_and_branch) if ".branch2." in names[0] else names
        if "layer" in module and any("downsample" in name for name in names):
            found[-len(names) :] = sorted(names, key=lambda name: "downsample" in name)
    return found


def module_of(name: str) -> str:
    """Return a module of X-HRNet, or a block of a ResNet, of which a layer is a part."""
    block = re.match(r".*layer\d\.\d", name)
    return block[0] if block else name.partition(".layers.")[0] if ".branch2." in name else name


def unit_and_branch(name: str) -> list[str]:
    found = re.search(r"\.layers\.(\d+)\.(\d+)\.", name)
    return [found[2], found[1]] if found else []


@pytest.mark.parametrize(("network", "file", "outputs", "unread"), FIXTURES)
def test_a_system_with_the_weights_of_public_code_gives_its_output(network, file, outputs, unread, shared):
    known = fixture(shared, file)
    known["order"] = as_ours([name for name in known["order"] if not name.startswith(unread)])
    with torch.no_grad():
        ours = rebuilt(network, known, outputs)(known["input"].double())
    assert difference(ours, known["output64"]) < 1e-9
