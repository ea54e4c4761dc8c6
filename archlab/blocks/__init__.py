"""The table of built-in blocks: name in a YAML file -> wiring function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archlab.blocks.basic import add, concat, conv, deconv, heat_maps, hrnet_stem, max_pool, norm, resize, upsample
from archlab.blocks.dynamic import dynamic_context_stem, dynamic_context_unit
from archlab.blocks.fusion import concat_head, finest, fusion, iterative_head, no_fusion, transition
from archlab.blocks.hourglass import hourglass, hourglass_stack, preactivation_residual
from archlab.blocks.pooled_context import pooled_context_stem, pooled_context_unit
from archlab.blocks.residual import basic_block, bottleneck, inverted_residual
from archlab.blocks.shuffle import shuffle_block, shuffle_down, shuffle_stem
from archlab.blocks.unidimensional import unidimensional_unit
from archlab.blocks.weighting import conditional_channel_weighting

BLOCKS: dict[str, Callable[..., Any]] = {
    "add": add,
    "basic_block": basic_block,
    "bottleneck": bottleneck,
    "concat": concat,
    "concat_head": concat_head,
    "conditional_channel_weighting": conditional_channel_weighting,
    "conv": conv,
    "deconv": deconv,
    "dynamic_context_stem": dynamic_context_stem,
    "dynamic_context_unit": dynamic_context_unit,
    "finest": finest,
    "fusion": fusion,
    "heat_maps": heat_maps,
    "hourglass": hourglass,
    "hourglass_stack": hourglass_stack,
    "hrnet_stem": hrnet_stem,
    "inverted_residual": inverted_residual,
    "iterative_head": iterative_head,
    "max_pool": max_pool,
    "no_fusion": no_fusion,
    "norm": norm,
    "pooled_context_stem": pooled_context_stem,
    "pooled_context_unit": pooled_context_unit,
    "preactivation_residual": preactivation_residual,
    "resize": resize,
    "shuffle_block": shuffle_block,
    "shuffle_down": shuffle_down,
    "shuffle_stem": shuffle_stem,
    "transition": transition,
    "unidimensional_unit": unidimensional_unit,
    "upsample": upsample,
}
