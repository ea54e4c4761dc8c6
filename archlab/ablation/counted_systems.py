"""The rows of a study of systems, each counted at its own input, with its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from archlab.ablation.printed import Printed, Verdict
from archlab.ablation.records import of_task
from archlab.ablation.rows import Counter, Reported, count_network, match_runs
from archlab.ablation.systems import System, Systems
from archlab.counting.rules import Count
from archlab.training.runs import Record


@dataclass(frozen=True)
class CountedSystem:
    """A row with its count at its own input and its runs; neither for a system that is only quoted."""

    system: System
    count: Count | None = None
    auxiliary_params: int = 0
    reported: Reported | None = None

    @property
    def hash(self) -> str:
        """Return the canonical hash at the input of the count, empty for a system that is only quoted."""
        return next(iter(self.reported.counted.values())).hash if self.reported else ""

    def value(self, printed: Printed) -> float | None:
        """Return the count in the unit of a printed cost."""
        return printed.value(self.count, self.auxiliary_params) if self.count else None

    def verdict(self, printed: Printed) -> Verdict:
        """Return the verdict on a printed cost."""
        return printed.verdict(self.count, self.auxiliary_params)


def counted_systems(study: Systems, records: Sequence[Record], plugin: Sequence[str] = ()) -> list[CountedSystem]:
    """Return every row, counted, with its runs."""
    counter, known = partial(count_network, plugin=plugin), of_task(records, study.recipe, plugin)
    return [_counted(study, system, known, counter) for system in study.rows]


def _counted(study: Systems, system: System, records: Sequence[Record], counter: Counter) -> CountedSystem:
    if not system.spec:
        return CountedSystem(system)
    at = study.counted_at(system)
    (reported,) = match_runs([system.row], records, counter, counted_at=[at])
    network = reported.counted[at]
    return CountedSystem(system, network.count, network.auxiliary_params, reported)
