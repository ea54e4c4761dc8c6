"""Run all hostile trials and write the page: cd tests && python -m faults.report (an hour on two cores)."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from faults.files import damaged_files, mutated_yaml
from faults.kills import KILLED, kills
from faults.limits import disk_full, few_files, may_mount, read_only, twice
from faults.scenes import COMMANDS, Command, Scene
from faults.trials import Outcome, Trial
from helpers.paths import REPOSITORY

from archlab.core.files import write_text
from archlab.report.tables import Cell, Column, Table, TableSet, markdown
from archlab.training.circumstances import circumstances

PAGE = REPOSITORY / "reports" / "faults.md"
FEW = (12, 20, 32, 64)
"""Limits on open files."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (("yaml", 1000), ("files", 200), ("kills", 20), ("levels", 20), ("seed", 2), ("threads", 4)):
        parser.add_argument(f"--{name}", type=int, default=count)
    o = parser.parse_args()
    assert not str(circumstances()["commit"]).endswith("-dirty"), "the page names a commit: commit first"
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(o.threads) as pool:
        folder = Path(name)
        scene = Scene.made(folder / "scene")
        rows = {
            "a command of three, killed and started again": (partial(kills, count=o.kills, seed=o.seed), KILLED),
            f"a command on a disk that is full at {o.levels} levels": (partial(disk_full, levels=o.levels), COMMANDS),
            "a command in a folder that cannot be written": (read_only, COMMANDS),
            f"a command with {FEW[0]} to {FEW[-1]} open files": (partial(few_files, limits=FEW), COMMANDS),
            "two of a command at once": (twice, COMMANDS),
        }
        begun = {row: [pool.submit(_seen, trial, scene, each) for each in of] for row, (trial, of) in rows.items()}
        yaml = [*_shown(mutated_yaml(_in(folder, "a"), o.yaml, o.seed))]
        files = [*_shown(damaged_files(_in(folder, "b"), o.files, o.seed))]
        ends: dict[str, list[Outcome | Trial]] = {
            row: [end for each in futures for end in each.result()] for row, futures in begun.items()
        }
    ends[f"{o.yaml:,} shipped YAML files with one to three changes"] = yaml
    ends[f"{o.files:,} runs and data with damaged files"] = files
    write_text(PAGE, markdown(_tables([_row(row, found) for row, found in ends.items()], o.seed)))


def _in(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _seen(trials: Callable[..., Iterator[Trial]], scene: Scene, command: Command) -> list[Outcome | Trial]:
    """Return the trials of a command in a copy of the scene, which they have to themselves."""
    with tempfile.TemporaryDirectory(dir=scene.folder.parent) as name:
        copy = Path(name) / "scene"
        shutil.copytree(scene.folder, copy)
        return [*_shown(trials(Scene(copy), commands=(command,)))]


def _shown(outcomes: Iterable[Outcome | Trial]) -> Iterator[Outcome | Trial]:
    """Pass outcomes on, and print those that are wrong."""
    for outcome in outcomes:
        if outcome.wrong:
            print(outcome, file=sys.__stderr__, flush=True)  # commands of other trials may redirect the others
        yield outcome


def _row(name: str, outcomes: Sequence[Outcome | Trial]) -> tuple[str, ...]:
    codes = Counter(each.code for each in outcomes)
    wrong = sum(bool(each.wrong) for each in outcomes)
    return (name, f"{codes.total():,}", *(f"{codes[code]:,}" for code in (0, 1, 2, -9)), str(wrong))


def _tables(rows: list[tuple[str, ...]], seed: int) -> TableSet:
    columns = (
        Column("Trials", align="l"), Column("commands"), Column("exit 0"), Column("exit 1"), Column("exit 2"),
        Column("killed"), Column("wrong"),
    )  # fmt: skip
    commit = circumstances()["commit"] or "unknown"
    disk = (
        "Every other level is a small file system, the others limit a file's size"
        if may_mount()
        else "A file's size is limited"
    )
    notes = (
        "Wrong: a traceback, exit code 70, no end within some minutes, an exit code without an error, a line of over"
        " 1,500 characters. After a kill also: a process that lives on, or runs, losses, scores, weights or files that"
        " are not those of the undisturbed command. After a limit, the command runs again without it: wrong if it then"
        " does not end with what the undisturbed command makes.",
        f"{disk}; once, the standard output is full.",
        f"Seed {seed}, commit {commit[:7]}, {datetime.now(UTC):%Y-%m-%d}. `make test-all` runs a short form.",
    )
    body = tuple(tuple(map(Cell, row)) for row in rows)
    return TableSet("faults", "Hostile trials", "tests/faults", (Table("Trials", columns, body, notes),), ())


if __name__ == "__main__":
    main()
