"""Synthetic people in COCO's layout: the data set that needs no download."""

from archlab.data.synthetic.statistics import statistics
from archlab.data.synthetic.write import VERSION, generate

__all__ = ["VERSION", "generate", "statistics"]
