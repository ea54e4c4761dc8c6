"""A study's storage with several workers at once: trials a second, and what a study adds to each trial.

python benchmarks/search_storage.py --out benchmarks/results/search_storage.json

Workers run archlab's own loop on the space around Lite-HRNet, whose candidates are not trained: what is left is the
claim with its proposal and all that a trial writes. Journal and SQLite take turns. Where one worker is alone, its
seconds a trial are what a study adds to a training; their share in one of 60 seconds stands beside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import optuna
import torch
from common import describe
from rich.console import Console
from rich.table import Table

from archlab.core.errors import InputError
from archlab.core.files import write_json
from archlab.network.spec import Spec
from archlab.search import worker as loop
from archlab.search.load import load_search
from archlab.search.recovery import counts
from archlab.search.storage import StudyStorage
from archlab.search.trial import Bench
from archlab.search.worker import Session, open_study

TRAINING_SECONDS = 60
STORAGES = {"journal": "{folder}/study.journal", "SQLite": "sqlite:///{folder}/study.db"}


def opened(study: str, url: str, folder: Path) -> Session:
    return open_study(load_search(study), StudyStorage(url, folder), data="")


def untrained(
    bench: Bench, study: optuna.Study, trial: optuna.Trial, spec: Spec, cost: Mapping[str, float]
) -> list[float]:
    """What a trial writes on its way, without training."""
    scores = {"pck": 50.0, "AP": 40.0}
    rung = {"label": "40 iterations", "values": [50.0, cost["macs"]], "scores": scores, "goes_on": True}
    trial.set_user_attr("proxies", {"naswot": 1.0})
    trial.set_user_attr("rungs", [rung])
    trial.set_user_attr("scores", scores)
    return [50.0, cost["macs"]]


def work(study: str, url: str, folder: Path, trials: int) -> None:
    """A worker's own loop, whose candidates are not trained."""
    session = opened(study, url, folder)
    loop.score = untrained
    print("ready", flush=True)
    sys.stdin.readline()
    loop.work(session, Bench(session.search, folder), trials)


def seconds(study: str, name: str, workers: int, trials: int) -> float:
    """From the first claim to the last trial told."""
    with tempfile.TemporaryDirectory() as folder:
        url = STORAGES[name].format(folder=folder)
        opened(study, url, Path(folder))
        command = [sys.executable, __file__, "--study", study, "--trials", str(trials), "--worker", url, folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running = [subprocess.Popen(command, text=True, **pipes) for _ in range(workers)]
        for process in running:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        start = time.perf_counter()
        for process in running:
            process.communicate("go\n") if process is running[-1] else _go(process)
        for process in running:
            process.wait()
        taken = time.perf_counter() - start
        finished = counts(opened(study, url, Path(folder)).study)[0]
        if finished != trials:
            raise InputError(f"{name}: {finished} trials instead of {trials}")
        return taken


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="lite_hrnet_quick")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.worker:
        work(o.study, o.worker[0], Path(o.worker[1]), o.trials)
        return
    cases = [(name, workers) for workers in (1, 6) for name in STORAGES]
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(o.turns):
        for case in cases:
            best[case] = min(best[case], seconds(o.study, *case, o.trials))
    rows = [
        {
            "storage": name,
            "workers": workers,
            "trials": o.trials,
            "trials_per_second": o.trials / taken,
            "seconds_per_trial": taken / o.trials,
            "percent_of_60_s_training": 100 * taken / o.trials / TRAINING_SECONDS if workers == 1 else None,
        }
        for (name, workers), taken in best.items()
    ]
    result = {**describe("search_storage", torch.device("cpu")), "turns": o.turns, "rows": rows}
    table = Table("storage", "workers", "trials/s", "ms a trial", "of a 60 s training", title=result["device"])
    for row in rows:
        share = row["percent_of_60_s_training"]
        figures = f"{row['trials_per_second']:.1f}", f"{1e3 * row['seconds_per_trial']:.0f}"
        table.add_row(row["storage"], str(row["workers"]), *figures, "-" if share is None else f"{share:.2f} %")
    Console().print(table)
    if o.out:
        write_json(o.out, result)
    else:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
