"""The systems of the paper's tables, with random weights, against outputs of public code in float64."""

from __future__ import annotations

import pytest
import torch
from helpers.parity import difference, fixture, rebuilt

FIXTURES = [
    ("shufflenet_v2", "shufflenet_v2_1x_pose", 17),
    ("mobilenet_v3_large", "mobilenet_v3_large_pose", 16),
]


@pytest.mark.parametrize(("network", "file", "outputs"), FIXTURES)
def test_a_system_with_the_weights_of_public_code_gives_its_output(network, file, outputs, shared):
    known = fixture(shared, file)
    with torch.no_grad():
        ours = rebuilt(network, known, outputs)(known["input"].double())
    assert difference(ours, known["output64"]) < 1e-9
