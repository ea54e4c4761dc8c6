"""The names of a search's numbers, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archlab.report.statistics import Interval
from archlab.search.results import Result


@dataclass(frozen=True)
class Quantity:
    """How a number is shown: its label, divisor, decimals (None: four significant digits) and unit."""

    label: str
    scale: float = 1.0
    digits: int | None = None
    unit: str = ""

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float | None) -> str:
        """Return the number alone."""
        if value is None or not math.isfinite(value):
            return "-"
        shown = value / self.scale
        if self.digits is None:
            return f"{shown:,.0f}" if 1e4 <= abs(shown) < 1e12 else f"{shown:.4g}"
        return f"{shown:,.{self.digits}f}"

    def phrase(self, value: float | None) -> str:
        """Return the number for a sentence: `205.2 M multiply-adds`, `PCK@0.1 71.0`."""
        if self.unit:
            return f"{self.text(value)}{' M' if self.scale == 1e6 else ''} {self.label}"
        return f"{self.label} {self.text(value)}"

    def with_error(self, found: Interval | None) -> str:
        """Return `mean ± half the interval`, or the single value."""
        if found is None:
            return "-"
        if found.high is None:
            return self.text(found.mean)
        return f"{self.text(found.mean)} ± {self.text(found.high - found.mean)}"


COSTS = {
    "params": Quantity("parameters", 1e6, 3, "10⁶"),
    "macs": Quantity("multiply-adds", 1e6, 1, "10⁶, fvcore"),
    "mflops": Quantity("MFLOPs", 1, 1, "2²⁰, the paper's counter"),
    "activations": Quantity("activations", 1e6, 2, "10⁶"),
    "latency": Quantity("latency", 1, 2, "ms"),
}
RUN = {
    "number": Quantity("trial number", 1, 0),
    "seconds": Quantity("training time", 1, 1, "s"),
    "finished": Quantity("finished after", 60, 1, "min"),
}


def quantity(name: str, result: Result) -> Quantity:
    """Return how a score, cost, proxy or other number of a candidate is shown."""
    for score in result.scores:
        if score.name == name:
            return Quantity(score.title, 1, score.digits)
    return COSTS.get(name) or RUN.get(name) or Quantity(name.replace("_", " "))


def product(result: Result) -> Quantity:
    """Return the hypervolume's unit, the product of the units of the objectives."""
    parts = [quantity(objective.name, result) for objective in result.objectives]
    unit = " × ".join(f"{part.label} ({part.unit.split(',')[0]})" if part.scale != 1 else part.label for part in parts)
    return Quantity("hypervolume", math.prod(part.scale for part in parts), None, unit)
