"""The table of built-in blocks: name in a YAML file -> wiring function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archlab.blocks.basic import (
    add,
    concat,
    conv,
    deconv,
    heat_maps,
    hrnet_stem,
    max_pool,
    norm,
    pre_conv,
    resize,
    separable_conv,
    upsample,
)
from archlab.blocks.bilateral import context_embedding, gather_expansion, guided_aggregation
from archlab.blocks.context import (
    double_conv,
    grid_pyramid,
    lr_aspp,
    pyramid_pooling,
    pyramid_sum,
    summed_maps,
    xception_block,
    zoomed_conv,
)
from archlab.blocks.dynamic import dynamic_context_stem, dynamic_context_unit
from archlab.blocks.dynamic_mobile import dynamic_residual
from archlab.blocks.fusion import concat_head, finest, fusion, iterative_head, no_fusion, transition
from archlab.blocks.gates import attention_refinement, feature_fusion, global_pool, squeeze_excitation
from archlab.blocks.heads import aggregated_levels, fcn_head, level_heat_maps
from archlab.blocks.hourglass import hourglass, hourglass_stack, preactivation_residual
from archlab.blocks.pooled_context import pooled_context_stem, pooled_context_unit
from archlab.blocks.residual import (
    basic_block,
    bottleneck,
    inverted_residual,
    sandglass,
    separable_residual,
    shared_residual,
)
from archlab.blocks.shuffle import shuffle_block, shuffle_down, shuffle_stem
from archlab.blocks.unidimensional import unidimensional_unit
from archlab.blocks.weighting import conditional_channel_weighting

BLOCKS: dict[str, Callable[..., Any]] = {
    "add": add,
    "aggregated_levels": aggregated_levels,
    "attention_refinement": attention_refinement,
    "basic_block": basic_block,
    "bottleneck": bottleneck,
    "concat": concat,
    "concat_head": concat_head,
    "conditional_channel_weighting": conditional_channel_weighting,
    "context_embedding": context_embedding,
    "conv": conv,
    "deconv": deconv,
    "double_conv": double_conv,
    "dynamic_context_stem": dynamic_context_stem,
    "dynamic_context_unit": dynamic_context_unit,
    "dynamic_residual": dynamic_residual,
    "fcn_head": fcn_head,
    "feature_fusion": feature_fusion,
    "finest": finest,
    "fusion": fusion,
    "gather_expansion": gather_expansion,
    "global_pool": global_pool,
    "grid_pyramid": grid_pyramid,
    "guided_aggregation": guided_aggregation,
    "heat_maps": heat_maps,
    "hourglass": hourglass,
    "hourglass_stack": hourglass_stack,
    "hrnet_stem": hrnet_stem,
    "inverted_residual": inverted_residual,
    "iterative_head": iterative_head,
    "level_heat_maps": level_heat_maps,
    "lr_aspp": lr_aspp,
    "max_pool": max_pool,
    "no_fusion": no_fusion,
    "norm": norm,
    "pooled_context_stem": pooled_context_stem,
    "pooled_context_unit": pooled_context_unit,
    "pre_conv": pre_conv,
    "preactivation_residual": preactivation_residual,
    "pyramid_pooling": pyramid_pooling,
    "pyramid_sum": pyramid_sum,
    "resize": resize,
    "sandglass": sandglass,
    "separable_conv": separable_conv,
    "separable_residual": separable_residual,
    "shared_residual": shared_residual,
    "shuffle_block": shuffle_block,
    "shuffle_down": shuffle_down,
    "shuffle_stem": shuffle_stem,
    "squeeze_excitation": squeeze_excitation,
    "summed_maps": summed_maps,
    "transition": transition,
    "unidimensional_unit": unidimensional_unit,
    "upsample": upsample,
    "xception_block": xception_block,
    "zoomed_conv": zoomed_conv,
}
