"""Fill colours for kinds of blocks: light tints of a colour-blind-safe palette, for dark text."""

from __future__ import annotations

from collections.abc import Iterable

WHITE, PALE, PLAIN = "#ffffff", "#f4f5f7", "#e4e6ea"
SKY, BLUE, ORANGE, GREEN = "#bfe0f4", "#b9c9ee", "#fbd08c", "#a9dcc8"
PURPLE, YELLOW, RED, LIME, SAND = "#e9c3dc", "#f5ec9a", "#f6bda0", "#d2e6a4", "#e2d2bd"
TINTS = (SKY, ORANGE, GREEN, PURPLE, YELLOW, BLUE, RED, LIME, SAND)
FILLS = (WHITE, PALE, PLAIN, *TINTS)

BLOCK_FILLS = {
    "add": PLAIN,
    "concat": PLAIN,
    "finest": PLAIN,
    "max_pool": PLAIN,
    "norm": PLAIN,
    "resize": PLAIN,
    "upsample": PLAIN,
    "conv": SKY,
    "hrnet_stem": SKY,
    "shuffle_stem": SKY,
    "dynamic_context_stem": SKY,
    "pooled_context_stem": SKY,
    "bottleneck": SAND,
    "heat_maps": BLUE,
    "basic_block": ORANGE,
    "conditional_channel_weighting": ORANGE,
    "dynamic_context_unit": ORANGE,
    "pooled_context_unit": ORANGE,
    "unidimensional_unit": ORANGE,
    "shuffle_block": ORANGE,
    "shuffle_down": GREEN,
    "hourglass": GREEN,
    "hourglass_stack": ORANGE,
    "preactivation_residual": SAND,
    "attention_refinement": PURPLE,
    "feature_fusion": PURPLE,
    "grid_pyramid": YELLOW,
    "lr_aspp": YELLOW,
    "pyramid_pooling": YELLOW,
    "global_pool": PLAIN,
    "context_embedding": LIME,
    "gather_expansion": ORANGE,
    "guided_aggregation": PURPLE,
    "pyramid_sum": YELLOW,
    "pre_conv": LIME,
    "separable_conv": LIME,
    "summed_maps": BLUE,
    "xception_block": SAND,
    "double_conv": GREEN,
    "zoomed_conv": ORANGE,
    "inverted_residual": GREEN,
    "transition": GREEN,
    "fusion": PURPLE,
    "deconv": RED,
    "iterative_head": YELLOW,
    "concat_head": YELLOW,
}
OPERATOR_FILLS = {
    "conv": SKY,
    "dynamic_conv": LIME,
    "depthwise": GREEN,
    "deconv": RED,
    "weighting": ORANGE,
    "module": YELLOW,
}


def block_fills(blocks: Iterable[str]) -> dict[str, str]:
    """Return a fill for each kind of block, in order of first appearance.

    A kind gets its own tint; if it has none, or another kind has taken it, the first free one. Plain blocks share a
    fill, and all kinds that remain when the tints are used up are white.
    """
    kinds = list(dict.fromkeys(blocks))
    fills: dict[str, str] = {}
    for kind in sorted(kinds, key=lambda kind: kind not in BLOCK_FILLS):
        free = [tint for tint in TINTS if tint not in fills.values()]
        own = BLOCK_FILLS.get(kind)
        fills[kind] = own if own and (own == PLAIN or own in free) else [*free, WHITE][0]
    return {kind: fills[kind] for kind in kinds}
