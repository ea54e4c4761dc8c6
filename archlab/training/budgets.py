"""The budgets of a recipe: numbers of samples at which one training is scored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kM])")
_FACTORS = {"k": 1_000, "M": 1_000_000}


@dataclass(frozen=True)
class SampleCount:
    """The rule of a number of samples: a positive integer, or a text such as `8k` or `1.2M`."""

    def broken(self, value: Any) -> str:
        return "" if samples_of(value) >= 1 else "a positive number of samples, as 8000, 8k or 1.2M"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{_TEXT.pattern}$"}]}


Samples = Annotated[Any, SampleCount()]


def samples_of(value: Any) -> int:
    """Return the number of samples that an integer or a text such as `8k` states; 0 if it states no whole number."""
    if type(value) is int:
        return value
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    number = float(found[1]) * _FACTORS[found[2]] if found else 0.0
    return int(round(number, 6)) if round(number, 6).is_integer() else 0


def samples_text(samples: int) -> str:
    """Return a number of samples in short: 8000 as `8k`, 1200000 as `1.2M`."""
    return f"{samples / 1e6:g}M" if samples >= 1_000_000 else f"{samples / 1e3:g}k" if samples >= 1000 else str(samples)


@dataclass(frozen=True)
class Budget:
    """A budget as a number of steps.

    asked: the recipe's number of samples, which names the budget. steps: the whole steps that fit into it.
    fork: the step of the main line after which its branch starts; equal to `steps` without a branch.
    """

    asked: int
    steps: int
    fork: int


def budgets_in_steps(asked: Sequence[int], batch: int, cooldown: float | None) -> tuple[Budget, ...]:
    """Return the budgets at `batch` samples a step; a branch takes the last `cooldown` of the steps, at least one."""
    return tuple(_in_steps(each, each // batch, cooldown) for each in asked)


def falling(steps: int) -> Iterator[float]:
    """Yield the share of the main line's rate at each step of a branch: 1 - i / steps, linear towards 0."""
    return (1 - step / steps for step in range(steps))


def _in_steps(asked: int, steps: int, cooldown: float | None) -> Budget:
    return Budget(asked, steps, steps - max(1, round(cooldown * steps)) if cooldown else steps)
