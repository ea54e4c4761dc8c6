"""A printed cost with the rule by which it was counted, and whether our count gives it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from archlab.core.errors import Problem
from archlab.counting.rules import Count
from archlab.yamlio import Item

Verdict = Literal["reproduced", "differs", "published only"]
REPRODUCED: Verdict = "reproduced"
DIFFERS: Verdict = "differs"
PUBLISHED_ONLY: Verdict = "published only"

UNITS = {"10^6": 10**6, "10^9": 10**9, "2^20": 2**20, "2^30": 2**30}
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Printed:
    """A printed cost.

    printed: the figure as printed, in quotes, since its decimals decide how exactly it must be met.
    counter: what counts it: parameters, also with those of auxiliary outputs (training_params), or multiply-adds by the
    paper's counter, fvcore or HRNet's summary.
    unit: what the count is divided by. truncated: whether the print cuts off further decimals in place of rounding.
    reason: why our count differs, for a figure that does.
    """

    printed: str
    counter: Literal["params", "training_params", "paper", "fvcore", "summary"] = "params"
    unit: Literal["10^6", "10^9", "2^20", "2^30"] = "10^6"
    truncated: bool = False
    reason: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that the figure is a number."""
        try:
            sound = math.isfinite(float(self.printed))
        except ValueError:
            sound = False
        if not sound:
            yield item.entries["printed"].problem(f"must be a number, and is {self.printed!r}", "printed")

    @property
    def digits(self) -> int:
        """The number of printed decimals."""
        return len(self.printed.partition(".")[2])

    @property
    def rule(self) -> str:
        """The counter, the unit and the way of cutting decimals, for a table: `paper, 2³⁰, truncated`."""
        base, _, power = self.unit.partition("^")
        return f"{self.counter}, {base}{power.translate(RAISED)}" + (", truncated" if self.truncated else "")

    def value(self, count: Count, auxiliary: int = 0) -> float:
        """Return our count in the figure's unit. auxiliary: the parameters of auxiliary outputs."""
        counted = count.params + auxiliary if self.counter == "training_params" else getattr(count, self.counter)
        return float(counted / UNITS[self.unit])

    def verdict(self, count: Count | None, auxiliary: int = 0) -> Verdict:
        """Return whether our count, rounded or truncated to the printed decimals, is the figure."""
        return PUBLISHED_ONLY if count is None else self.judged(self.value(count, auxiliary))

    def judged(self, value: float) -> Verdict:
        """Return the verdict on a value in the figure's unit."""
        return REPRODUCED if self.meets(value) else DIFFERS

    def meets(self, value: float) -> bool:
        """Return whether a value, rounded or truncated to the printed decimals, is the figure."""
        above, last, tiny = value - float(self.printed), 10.0**-self.digits, 1e-9
        return -tiny <= above < last - tiny if self.truncated else abs(above) <= last / 2 + tiny
