"""150 candidates under limits that 2 % of the Lite-HRNet space meets: archlab's samplers and plain Optuna's.

    python benchmarks/search_proposals.py --out benchmarks/results/search_proposals.json

Ours propose only networks that pass and were not proposed before. The peer is plain Optuna over the same integer
parameters with soft constraints: how far outside each limit a trial is. Both are told parameters (up) and multiply-adds
(down) in the place of a score, so no training is in the times. Every sampler has a process of its own and begins from
an empty memory; one thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import optuna
import torch
from common import describe
from optuna.samplers import BaseSampler
from rich.console import Console
from rich.table import Table

from archlab.core.files import write_json
from archlab.search.config import SamplerForm
from archlab.search.samplers import GatedSampler
from archlab.search.space.gate import Checked, check
from archlab.search.space.points import sample
from archlab.search.space.space import METRICS, CostRange, Space, load_space

OURS = ("random", "tpe", "nsga2", "nsga3", "gp", "evolution")
PEERS: dict[str, Callable[[SamplerForm, int], BaseSampler]] = {
    "tpe": lambda form, seed: optuna.samplers.TPESampler(n_startup_trials=form.startup, seed=seed),
    "nsga2": lambda form, seed: optuna.samplers.NSGAIISampler(population_size=form.population, seed=seed),
}
SHARE = 0.02
SECONDS = 30.0
MACS = CostRange(200e6, 210e6)


@dataclass(frozen=True)
class Row:
    """Of `asked` trials: the seconds they took, how many met the limits, and how many different networks these were.

    `processor_seconds`: those of a core, which are fewer than the seconds where others use the machine too.
    """

    sampler: str
    asked: int
    seconds: float
    processor_seconds: float
    feasible: int
    distinct_feasible: int


def limited(name: str, draws: int) -> tuple[Space, float]:
    """The space with limits that about SHARE of `draws` points by chance meet, and the share that does."""
    space, random = replace(load_space(name), limits={"macs": MACS}), Random(0)
    drawn = [check(space, sample(space, random)) for _ in range(draws)]
    inside = sorted(found.cost.params for found in drawn if not found.excess and found.cost)
    kept = round(SHARE * draws)
    assert len(inside) > kept, "the band of multiply-adds alone is met by fewer"
    return replace(space, limits={"macs": MACS, "params": CostRange(max=inside[kept - 1])}), kept / draws


def ours(name: str, limits: dict[str, CostRange], sampler: str, trials: int) -> Row:
    space = replace(load_space(name), limits=limits)
    gated = GatedSampler(space, SamplerForm(name=sampler), 1)  # type: ignore[arg-type]
    return measured(f"archlab {sampler}", space, gated, gated.point, trials, soft=False)


def peer(name: str, limits: dict[str, CostRange], sampler: str, trials: int) -> Row:
    space = replace(load_space(name), limits=limits)
    point = GatedSampler(space, SamplerForm(), 1).point
    return measured(f"Optuna {sampler}, constraints", space, PEERS[sampler](SamplerForm(), 1), point, trials, soft=True)


def measured(
    name: str, space: Space, sampler: BaseSampler, point: Callable[..., Any], trials: int, *, soft: bool
) -> Row:
    quiet()
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    sizes = {p.name: len(p.labels) for p in space.parameters if len(p.labels) > 1}
    found: list[Checked] = []
    start, used = time.perf_counter(), time.process_time()
    for _ in range(trials):
        trial = study.ask()
        looked = check(space, point({each: trial.suggest_int(each, 0, size - 1) for each, size in sizes.items()}))
        found.append(looked)
        assert looked.cost is not None, "every choice of this space fits every other"
        for metric, band in space.limits.items() if soft else ():
            trial.set_constraint(metric, band.excess(METRICS[metric](looked.cost)))
        study.tell(trial, [looked.cost.params, looked.cost.fvcore])
    seconds, used = time.perf_counter() - start, time.process_time() - used
    feasible = [each.key for each in found if not each.excess]
    return Row(name, trials, seconds, used, len(feasible), len(set(feasible)))


def quiet() -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="lite_hrnet")
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--draws", type=int, default=5000, help="to find limits that 2 %% meet")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    quiet()
    space, share = limited(o.space, o.draws)
    limits = dict(space.limits)
    rows = []
    for kind, names in ((ours, OURS), (peer, tuple(PEERS))):
        for name in names:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                rows.append(process.submit(kind, o.space, limits, name, o.trials).result())
    params = limits["params"].max
    asked = (
        f"{o.trials} trials of `{o.space}` with 200 to 210 million multiply-adds and at most {params:,.0f} parameters, "
        f"which {share:.1%} of {o.draws:,} points by chance meet; {SECONDS:.0f} s allowed"
    )
    result = {
        **describe("search_proposals", torch.device("cpu")),
        "asked": asked,
        "load_average": round(os.getloadavg()[0], 1),
        "rows": [asdict(row) for row in rows],
    }
    table = Table("sampler", "seconds", "processor seconds", "feasible", "distinct, feasible", title=asked)
    for row in rows:
        times = f"{row.seconds:.1f}", f"{row.processor_seconds:.1f}"
        table.add_row(row.sampler, *times, str(row.feasible), str(row.distinct_feasible))
    Console().print(table)
    if o.out:
        write_json(o.out, result)
    else:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
