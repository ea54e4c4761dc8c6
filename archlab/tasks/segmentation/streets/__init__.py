"""Synthetic street scenes in Cityscapes' layout: a data set without a download."""

from archlab.tasks.segmentation.streets.write import VERSION, generate

__all__ = ["VERSION", "generate"]
