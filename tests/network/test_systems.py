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
    ("shufflenet_v2", "shufflenet_v2_1x_pose", 17, "none"),
    ("mobilenet_v3_large", "mobilenet_v3_large_pose", 16, "none"),
]


def by_unit(order: list[str]) -> list[str]:
    """X-HRNet runs all units of a branch (`layers.BRANCH.UNIT.branch2`) before the next branch, ours branch by branch."""
    found = []
    for _, run in groupby(order, lambda name: name.partition(".layers.")[0] if ".branch2." in name else name):
        names = list(run)
        key = [re.search(r"\.layers\.(\d+)\.(\d+)\.", name) for name in names]
        found += [n for _, n in sorted(zip([(m[2], m[1]) if m else () for m in key], names, strict=True), key=first)]
    return found


def first(pair: tuple[tuple[str, ...], str]) -> tuple[str, ...]:
    return pair[0]


@pytest.mark.parametrize(("network", "file", "outputs", "unread"), FIXTURES)
def test_a_system_with_the_weights_of_public_code_gives_its_output(network, file, outputs, unread, shared):
    known = fixture(shared, file)
    known["order"] = by_unit([name for name in known["order"] if not name.startswith(unread)])
    with torch.no_grad():
        ours = rebuilt(network, known, outputs)(known["input"].double())
    assert difference(ours, known["output64"]) < 1e-9
