"""The systems of the paper's tables, with random weights, against outputs of public code in float64."""

from __future__ import annotations

import pytest
import torch
from helpers.parity import difference, fixture, rebuilt

# Network, fixture, outputs, the prefix of layers that the main output does not need.
FIXTURES = [
    ("cpn_r50", "cpn_r50", 17, "global_net.predict."),
    ("shufflenet_v2", "shufflenet_v2_1x_pose", 17, "none"),
    ("mobilenet_v3_large", "mobilenet_v3_large_pose", 16, "none"),
]


@pytest.mark.parametrize(("network", "file", "outputs", "unread"), FIXTURES)
def test_a_system_with_the_weights_of_public_code_gives_its_output(network, file, outputs, unread, shared):
    known = fixture(shared, file)
    known["order"] = [name for name in known["order"] if not name.startswith(unread)]
    with torch.no_grad():
        ours = rebuilt(network, known, outputs)(known["input"].double())
    assert difference(ours, known["output64"]) < 1e-9
