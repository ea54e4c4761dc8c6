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


# Network, (height, width), parameters, the paper's counter, fvcore's, HRNet's summary, whether the public code resizes
# its logits to the image, which fvcore alone counts: 4 an element.
SEGMENTATION = [
    ("bisenet_v1_r18", (768, 1536), 12_894_163, 58_674_642_048, 58_642_744_064, 58_344_439_808, True),
    ("bisenet_v1_x39", (768, 1536), 1_541_963, 15_796_745_088, 15_838_003_968, 15_616_081_920, True),
    ("bisenet_v2", (512, 1024), 3_358_883, 24_759_122_688, 24_713_544_192, 24_603_312_128, False),
    ("fast_scnn", (1024, 2048), 1_138_051, 7_037_400_704, 7_104_720_928, 6_708_323_168, True),
    ("fasterseg", (1024, 2048), 3_454_643 - 32_768, 27_956_707_328, 28_120_973_312, 27_770_486_784, True),
    ("swiftnet_rn18", (512, 1024), 11_797_071, 26_021_214_208, 26_034_001_920, 25_892_210_688, True),
    ("swiftnet_rn18", (1024, 2048), 11_797_071, 104_081_953_792, 104_133_169_152, 103_566_133_248, True),
    # The public code of DFANet holds a 1x1 convolution that it never runs; linear layers are none for HRNet's summary.
    ("dfanet", (512, 1024), 2_187_216 - 12_416, 3_903_168_504, 3_951_645_696, 3_782_787_072 + 6 * 192_000, True),
    # That of ShelfNet calls ReLU after sums and strided convolutions, and the pools of its gates, as functions.
    (
        "shelfnet18",
        (1024, 2048),
        14_320_256,
        93_126_697_728 + 7_864_320 + 1_622_400,
        99_132_416_768 + 1_572_864,
        98_706_694_144,
        True,
    ),
    # The reference has a fifth window of 49x49 in the gate, as if its stride were 16 along the width too.
    ("mobilenet_v2_seg", (1024, 2048), 280_950, 4_315_563_920 - 80 * 49**2, 4_189_102_080, 3_850_018_816, False),
    ("mobilenet_v3_seg", (1024, 2048), 1_505_550, 9_842_372_848 - 480 * 49**2, 9_757_960_320, 9_317_951_616, False),
    ("mobilenet_v3_small_seg", (1024, 2048), 467_486, 2_861_929_008 - 288 * 49**2, 2_857_172_736, 2_689_335_040, False),
]


@pytest.mark.parametrize(("name", "size", "params", "paper", "fvcore", "summary", "resized"), SEGMENTATION)
def test_a_segmentation_systems_counts_are_the_public_codes(name, size, params, paper, fvcore, summary, resized):
    """FasterSeg's fusion holds 32,768 parameters that its code never runs."""
    found = archlab.cost(archlab.load(name, input=(3, *size), outputs=19)).total
    assert (found.params, found.paper, found.summary) == (params, paper, summary)
    assert found.fvcore + (4 * 19 * size[0] * size[1] if resized else 0) == fvcore


# Network, parameters with auxiliary outputs, and those that the public code holds and never runs.
AUXILIARY = [
    ("bisenet_v1_r18", 13_494_777, 0),
    ("bisenet_v1_x39", 1_842_289, 0),
    ("cpn_r50", 27_010_538, 0),
    ("fasterseg", 4_385_689, 32_768),
    ("shelfnet18", 14_600_768, 37_184),
]


@pytest.mark.parametrize(("name", "params", "never_run"), AUXILIARY)
def test_the_parameters_of_training_are_those_of_public_code(name, params, never_run):
    found = archlab.cost(archlab.load(name))
    assert found.params + found.auxiliary_params == params - never_run


def test_cpn_with_all_its_outputs_counts_as_public_code():
    """The public code resizes the finest auxiliary output to its own size too: 4 a position, by fvcore 4 an element."""
    training = archlab.assemble(archlab.load("cpn_r50")).training
    assert training
    found = archlab.cost(training).total
    assert (found.params, found.summary) == (27_010_538, 7_230_615_552)
    assert (found.paper + 4 * 64 * 48, found.fvcore + 4 * 17 * 64 * 48) == (7_276_398_528, 7_282_747_392)


def test_mobilenet_v3_without_the_activations_of_its_projections_counts_as_mmpose_s_later_form():
    """Both round to the printed 8.7M and 1.82 G, so that print cannot tell them apart."""
    nodes = ("s2", "s4", "s4b", "s8", "s16", "s16b", "s32")
    linear = archlab.load("mobilenet_v3_large", **{f"nodes.{node}.project": "none" for node in nodes})
    found = archlab.cost(linear).total
    assert (found.params, found.paper, found.fvcore) == (8_669_486, 1_955_077_932, 1_948_043_872)
    assert found.summary == 6_713_385_568


@pytest.mark.parametrize(
    ("name", "channels", "params", "paper", "fvcore", "summary"),
    [
        ("mobilenet_v2_seg", 80, 280_950, 1_078_650_880, 1_047_275_520, 962_504_704),
        ("mobilenet_v3_small_seg", 288, 467_486, 714_833_808, 714_428_160, 672_468_736),
    ],
)
def test_the_mobilenets_for_segmentation_are_a_quarter_as_costly_at_the_input_that_table_8_prints(
    name, channels, params, paper, fvcore, summary
):
    """On the map of 32x64 our gate has one window of 32x49 positions, of which the reference counts none."""
    found = archlab.cost(archlab.load(name, input=(3, 512, 1024), outputs=19)).total
    assert (found.params, found.fvcore, found.summary) == (params, fvcore, summary)
    assert found.paper - channels * 32 * 49 == paper


def test_the_head_of_small_hrnet_for_segmentation_has_the_convolutions_of_the_print():
    """7.774 G by HRNet's summary, printed 7.8; by the paper's counter it would be 7.876."""
    assert archlab.cost(archlab.load("small_hrnet_w16_seg")).total.summary == 8_347_713_536


def test_mobilenext_has_the_parameters_of_its_public_code():
    """The features and the linear layer of 1000 classes, 3.5M in its table."""
    assert archlab.cost(archlab.load("mobilenext", outputs=1000)).params == 3_535_416


def test_icnets_parameters_and_convolutions_are_those_of_its_prototxt():
    found = archlab.cost(archlab.load("icnet")).total
    assert (found.params, found.summary) == (6_699_987, 29_811_584_064)


def test_an_hourglass_counts_as_its_public_code_except_for_one_relu_layer_that_stem_and_stacks_share():
    """The public code calls it nine times, which the paper's counter sees once: 256 channels at 64x48, as the stem's."""
    found = archlab.cost(archlab.load("hourglass_8")).total
    assert (found.params, found.fvcore, found.summary) == (25_598_472, 21_190_803_456, 21_082_669_056)
    assert found.paper - 8 * 256 * 64 * 48 == 21_260_660_736
    large = archlab.cost(archlab.load("hourglass_8", input=(3, 256, 256), outputs=16, joints=16)).total
    assert (large.params, large.fvcore, large.summary) == (25_594_624, 28_238_675_968, 28_094_496_768)
    assert large.paper - 8 * 256 * 64 * 64 == 28_331_786_240


def test_our_reading_of_the_head_of_the_dynamic_mobilenets_is_near_their_print_and_not_equal():
    """Printed are 16.1M, 1.01 G and 9.0M, 1.03 G; the heads are not public. Figures of ours, not of public code."""
    dynamic = archlab.cost(archlab.load("dy_mobilenet_v2")).total
    relu = archlab.cost(archlab.load("dy_relu_mobilenet_v2")).total
    assert (dynamic.params, round(dynamic.paper / 2**30, 3)) == (15_700_545, 0.995)
    assert (relu.params, round(relu.paper / 2**30, 3)) == (7_180_957, 0.985)


# Network, (height, width), outputs, parameters, the paper's counter, fvcore's and HRNet's summary of the released code,
# which evaluates f_i0 twice. Lite-HRNet for segmentation is the released pose network with logits for Cityscapes.
DESCENDANTS = [
    ("dite_hrnet_18", (256, 192), 17, 1_186_933, 219_991_891, 272_851_618, 243_161_720),
    ("dite_hrnet_18", (384, 288), 17, 1_186_933, 494_784_883, 613_725_058, 547_013_240),
    ("dite_hrnet_18", (256, 256), 16, 1_186_892, 293_103_187, 363_587_362, 324_024_952),
    ("dite_hrnet_30", (256, 192), 17, 1_862_549, 345_838_303, 438_477_770, 390_977_000),
    ("dite_hrnet_30", (384, 288), 17, 1_862_549, 777_805_295, 986_245_850, 879_527_720),
    ("dite_hrnet_30", (256, 256), 16, 1_862_508, 460_863_391, 584_385_418, 521_093_352),
    ("sx_hrnet_18", (256, 192), 17, 1_342_049, 203_887_232, 255_997_952, 233_927_168),
    ("sx_hrnet_18", (384, 288), 17, 1_342_049, 454_203_552, 571_210_752, 521_954_688),
    ("sx_hrnet_30", (256, 192), 17, 2_117_657, 314_796_736, 406_350_592, 371_085_568),
    ("sx_hrnet_30", (384, 288), 17, 2_117_657, 700_477_296, 906_050_112, 827_409_408),
    ("sx_hrnet_18", (256, 256), 16, 1_342_008, 270_528_000, 339_951_616, 310_626_304),
    ("sx_hrnet_30", (256, 256), 16, 2_117_616, 417_576_192, 539_544_576, 492_703_744),
    ("px_hrnet_18", (256, 256), 16, 1_138_872, 267_251_200, 336_674_816, 307_349_504),
    ("px_hrnet_30", (256, 256), 16, 1_781_328, 411_944_192, 533_912_576, 487_071_744),
    ("px_hrnet_18", (256, 192), 17, 1_138_913, 201_020_032, 253_130_752, 231_059_968),
    ("px_hrnet_18", (384, 288), 17, 1_138_913, 449_902_752, 566_909_952, 517_653_888),
    ("px_hrnet_30", (256, 192), 17, 1_781_369, 309_868_736, 401_422_592, 366_157_568),
    ("px_hrnet_30", (384, 288), 17, 1_781_369, 693_085_296, 898_658_112, 820_017_408),
    ("hf_hrnet_18", (256, 192), 17, 4_575_073, 639_523_200, 698_152_704, 644_502_528),
    ("hf_hrnet_18", (384, 288), 17, 4_575_073, 1_407_908_352, 1_540_172_736, 1_419_459_840),
    ("hf_hrnet_18", (256, 256), 16, 4_575_024, 852_496_896, 930_673_664, 859_140_096),
    ("hf_hrnet_30", (256, 192), 17, 7_426_657, 1_047_981_120, 1_152_339_072, 1_063_646_208),
    ("hf_hrnet_30", (384, 288), 17, 7_426_657, 2_311_429_248, 2_546_756_640, 2_347_197_696),
    ("hf_hrnet_30", (256, 256), 16, 7_426_608, 1_397_107_456, 1_536_255_488, 1_417_998_336),
    ("lite_hrnet_18_seg", (512, 1024), 19, 1_130_851, 2_296_315_264, 2_842_291_328, 2_586_614_912),
    ("lite_hrnet_30_seg", (512, 1024), 19, 1_763_799, 3_569_699_672, 4_530_979_936, 4_119_366_752),
]
NEVER_RUN = {"dite_hrnet_18": 1_456, "dite_hrnet_30": 2_508}
"""Parameters of the released Dite-HRNet that no output depends on."""
WEIGHTED = {"dite": 20, "hf": 48, "lite": 20}
"""Channels of the finest branch that are weighted across resolutions."""


@pytest.mark.parametrize(("name", "size", "outputs", "params", "paper", "fvcore", "summary"), DESCENDANTS)
def test_a_descendants_counts_are_those_of_its_released_code(name, size, outputs, params, paper, fvcore, summary):
    """fvcore also counts that the released code resizes the coarsest weights to their own size, in two units a module."""
    found = archlab.cost(archlab.load(name, input=(3, *size), outputs=outputs, doubled="twice")).total
    weighted, modules = WEIGHTED.get(name.split("_")[0], 0), (2, 4, 2) if "_18" in name else (3, 8, 3)
    positions = size[0] * size[1] // 16
    own_size = sum(2 * n * weighted * 2**s * positions // 4**s for s, n in enumerate(modules, start=1))
    assert found.params == params - NEVER_RUN.get(name, 0)
    assert (found.paper, found.fvcore, found.summary) == (paper, fvcore - own_size, summary)
    assert archlab.cost(archlab.load(name, input=(3, *size), outputs=outputs)).total.paper == paper
