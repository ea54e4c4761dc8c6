"""Synthetic people in COCO's layout: a data set without a download."""

from archlab.tasks.pose.synthetic.statistics import statistics
from archlab.tasks.pose.synthetic.write import VERSION, generate

__all__ = ["VERSION", "generate", "statistics"]
