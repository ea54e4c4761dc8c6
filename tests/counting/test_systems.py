"""The systems of the paper's tables: parameters and both counts, integer for integer, as public code gives them."""

from __future__ import annotations

import pytest

import archlab

# Network, (height, width), outputs, parameters, the paper's counter, fvcore's.
COUNTS = [
    ("mobilenet_v2", (256, 192), 17, 9_569_809, 1_587_256_320, 1_580_190_720),
    ("mobilenet_v2", (384, 288), 17, 9_569_809, 3_571_326_720, 3_555_429_120),
    ("mobilenet_v2", (256, 256), 16, 9_569_552, 2_115_289_088, 2_105_872_384),
    ("shufflenet_v2", (256, 192), 17, 7_550_965, 1_371_367_296, 1_368_161_664),
    ("shufflenet_v2", (384, 288), 17, 7_550_965, 3_085_576_416, 3_078_363_744),
    ("shufflenet_v2", (256, 256), 16, 7_550_708, 1_827_437_056, 1_823_166_976),
    ("mobilenet_v3_large", (256, 256), 16, 8_669_486, 1_955_860_268, 1_948_043_872),
]


@pytest.mark.parametrize(("name", "size", "outputs", "params", "paper", "fvcore"), COUNTS)
def test_a_systems_counts_are_those_of_public_code(name, size, outputs, params, paper, fvcore):
    cost = archlab.cost(archlab.load(name, input=(3, *size), outputs=outputs))
    assert (cost.params, cost.flops["paper"], cost.flops["fvcore"]) == (params, paper, fvcore)
