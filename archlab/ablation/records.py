"""The run records that a report is made from: one JSON file per run, in one folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from archlab.core.errors import InputError, Problem
from archlab.core.files import write_json
from archlab.training.circumstances import circumstances
from archlab.training.recipe import load_recipe
from archlab.training.runs import Record, read_record, sound_records

COMMITTED = Path("reports")
"""The folder of the reports and records that come with a clone."""


def read_records(folder: Path) -> list[Record]:
    """Return the records in a folder that can be read, by date; note the others. None if there is no such folder."""
    return [record for record, _ in sound_records(folder.glob("*.json"))]


def of_task(records: Iterable[Record], recipe: str, plugin: Sequence[str] = ()) -> list[Record]:
    """Return the records of the task of a study's recipe, none without a recipe.

    One graph may serve two tasks, so that records of either match the same row.
    """
    task = task_of(recipe, plugin)
    return [record for record in records if record.task == task]


def task_of(recipe: str, plugin: Sequence[str] = ()) -> str:
    """Return the name of a recipe's task, empty without a recipe."""
    return str(load_recipe(recipe, plugin=plugin).task.name) if recipe else ""


def keep_records(runs: Iterable[Path], folder: Path) -> list[Path]:
    """Copy the record of each run folder to `folder` as FINGERPRINT.json, and return the copies."""
    kept = []
    for run in runs:
        record = read_record(run)
        kept.append(folder / f"{record.fingerprint}.json")
        write_json(kept[-1], asdict(record))
    return kept


def copy_records(fingerprints: Iterable[str], sources: Sequence[Path], folder: Path) -> None:
    """Copy the records of some runs from the first source that has them to `folder`, unless they are there."""
    for name in (f"{fingerprint}.json" for fingerprint in fingerprints):
        found = next((source / name for source in sources if (source / name).is_file()), None)
        if found and not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, folder / name)


def is_tracked(folder: Path) -> bool:
    """Return whether git tracks any file in the folder."""
    if not folder.is_dir():
        return False
    try:
        found = subprocess.run(
            ["git", "ls-files", "--", "."], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(found.stdout.strip())


def check_records(records: Iterable[Record], reports: Path) -> None:
    """Raise InputError naming every record that a tracked folder of reports must not contain.

    Reports in version control must be reproducible, so their records come from clean commits only.
    """
    if is_tracked(reports):
        _raise_for(
            Problem(f"made from {_shown(record.commit)}; {_RULE}", file=f"{record.fingerprint}.json")
            for record in records
            if not _is_clean(record.commit)
        )


def check_checkout(reports: Path) -> None:
    """Raise InputError if runs of this checkout must not be reported in a tracked folder."""
    commit = circumstances()["commit"]
    if is_tracked(reports) and not _is_clean(commit):
        raise InputError(Problem(f"this checkout is at {_shown(commit)}; {_RULE}", "--reports", str(reports)))


_RULE = "reports in version control take runs of clean commits only (--allow-dirty overrides this)"


def _is_clean(commit: str | None) -> bool:
    return commit is not None and not commit.endswith("-dirty")


def _shown(commit: str | None) -> str:
    return "no commit" if commit is None else f"commit {commit[:8]} with changes"


def _raise_for(problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise InputError(found)
