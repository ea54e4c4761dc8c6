"""Fill colours for kinds of blocks: light tints of a colour-blind-safe palette, for dark text."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

WHITE, PALE, PLAIN = "#ffffff", "#f4f5f7", "#e4e6ea"
SKY, BLUE, ORANGE, GREEN = "#bfe0f4", "#b9c9ee", "#fbd08c", "#a9dcc8"
PURPLE, YELLOW, RED, LIME, SAND = "#e9c3dc", "#f5ec9a", "#f6bda0", "#d2e6a4", "#e2d2bd"
TEAL, LAVENDER, ROSE = "#93d3d8", "#dccbfa", "#f9b4c3"
TINTS = (SKY, ORANGE, GREEN, PURPLE, YELLOW, BLUE, RED, LIME, SAND, TEAL, LAVENDER, ROSE)
FILLS = (WHITE, PALE, PLAIN, *TINTS)

BLOCK_FILLS = {
    "add": PLAIN,
    "aggregated_levels": ORANGE,
    "attention_refinement": PURPLE,
    "basic_block": LIME,
    "bottleneck": SAND,
    "concat": PLAIN,
    "concat_head": YELLOW,
    "conditional_channel_weighting": ORANGE,
    "context_embedding": GREEN,
    "conv": SKY,
    "deconv": LAVENDER,
    "double_conv": GREEN,
    "dynamic_context_stem": SKY,
    "dynamic_context_unit": ROSE,
    "dynamic_residual": LIME,
    "fcn_head": LAVENDER,
    "feature_fusion": ORANGE,
    "finest": PLAIN,
    "fusion": PURPLE,
    "gather_expansion": LIME,
    "global_pool": PLAIN,
    "grid_pyramid": YELLOW,
    "guided_aggregation": TEAL,
    "heat_maps": BLUE,
    "hourglass": PURPLE,
    "hourglass_stack": RED,
    "hrnet_stem": SKY,
    "inverted_residual": TEAL,
    "iterative_head": YELLOW,
    "level_heat_maps": RED,
    "lr_aspp": YELLOW,
    "max_pool": PLAIN,
    "no_fusion": PLAIN,
    "norm": PLAIN,
    "pooled_context_stem": SKY,
    "pooled_context_unit": LAVENDER,
    "pre_conv": SAND,
    "preactivation_residual": LIME,
    "pyramid_pooling": YELLOW,
    "pyramid_sum": YELLOW,
    "resize": PLAIN,
    "sandglass": SAND,
    "separable_conv": LAVENDER,
    "separable_residual": TEAL,
    "shared_residual": ROSE,
    "shuffle_block": RED,
    "shuffle_down": ORANGE,
    "shuffle_stem": SKY,
    "squeeze_excitation": GREEN,
    "summed_maps": BLUE,
    "transition": GREEN,
    "unidimensional_unit": SAND,
    "upsample": PLAIN,
    "xception_block": ROSE,
    "zoomed_conv": PURPLE,
}
"""The fill of each built-in block. Blocks that stand in one shipped network differ, except for plain ones."""
OPERATOR_FILLS = {
    "conv": SKY,
    "dynamic_conv": LIME,
    "depthwise": GREEN,
    "deconv": RED,
    "weighting": ORANGE,
    "module": YELLOW,
}


def block_fills(blocks: Iterable[str]) -> dict[str, str]:
    """Return a fill for each kind of block, in order of first appearance; it depends on the kind alone.

    A user's block has the tint of its name's checksum.
    """
    return {kind: BLOCK_FILLS.get(kind, TINTS[crc32(kind.encode()) % len(TINTS)]) for kind in blocks}
