"""The systems of the paper's tables: parameters and multiply-adds by every counter, integer for integer, as public code gives them."""

from __future__ import annotations

import pytest

import archlab

# Network, (height, width), outputs, parameters, the paper's counter, fvcore's, HRNet's summary.
COUNTS = [
    ("cpn_r50", (256, 192), 17, 26_589_538, 6_845_642_688, 6_852_212_736, 6_803_423_232),
    ("hrnet_w32", (256, 192), 17, 28_536_113, 7_692_829_056, 7_685_342_208, 7_645_003_776),
    ("hrnet_w32", (384, 288), 17, 28_536_113, 17_308_865_376, 17_292_019_968, 17_201_258_496),
    ("hrnet_w48", (128, 96), 17, 63_595_745, 3_938_836_704, 3_936_461_184, 3_922_956_288),
    ("hrnet_w48", (384, 288), 17, 63_595_745, 35_449_530_336, 35_428_150_656, 35_306_606_592),
    ("mobilenet_v2", (256, 192), 17, 9_569_809, 1_587_256_320, 1_580_190_720, 5_339_916_288),
    ("mobilenet_v2", (384, 288), 17, 9_569_809, 3_571_326_720, 3_555_429_120, 12_014_811_648),
    ("mobilenet_v2", (256, 256), 16, 9_569_552, 2_115_289_088, 2_105_872_384, 7_118_839_808),
    ("mobilenet_v3_large", (256, 256), 16, 8_669_486, 1_955_860_268, 1_948_043_872, 6_713_385_568),
    ("shufflenet_v2", (256, 192), 17, 7_550_965, 1_371_367_296, 1_368_161_664, 4_986_155_136),
    ("shufflenet_v2", (384, 288), 17, 7_550_965, 3_085_576_416, 3_078_363_744, 11_218_849_056),
    ("shufflenet_v2", (256, 256), 16, 7_550_708, 1_827_437_056, 1_823_166_976, 6_647_158_272),
    ("simple_baseline_r50", (256, 192), 17, 33_999_697, 5_459_266_560, 5_450_219_520, 9_654_239_232),
    ("simple_baseline_r152", (384, 288), 17, 68_635_473, 28_714_666_752, 28_677_500_928, 38_086_115_328),
]


@pytest.mark.parametrize(("name", "size", "outputs", "params", "paper", "fvcore", "summary"), COUNTS)
def test_a_systems_counts_are_those_of_public_code(name, size, outputs, params, paper, fvcore, summary):
    found = archlab.cost(archlab.load(name, input=(3, *size), outputs=outputs)).total
    assert (found.params, found.paper, found.fvcore, found.summary) == (params, paper, fvcore, summary)
