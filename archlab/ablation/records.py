"""The run records that a report is made from: one JSON file per run, in one folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from archlab.core.errors import InputError, Problem
from archlab.core.files import write_json
from archlab.training.runs import Record, read_record


def read_records(folder: Path) -> list[Record]:
    """Return all records in a folder, by date; none if there is no such folder.

    Raises InputError with every file that is not a record.
    """
    records: list[Record] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_record(path))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return sorted(records, key=lambda record: (record.date, record.spec, record.seed, record.fingerprint))


def keep_records(runs: Iterable[Path], folder: Path) -> list[Path]:
    """Copy the record of each run folder to `folder` as FINGERPRINT.json, and return the copies."""
    kept = []
    for run in runs:
        values = json.loads((run / "record.json").read_text(encoding="utf-8"))
        kept.append(folder / f"{values['fingerprint']}.json")
        write_json(kept[-1], values)
    return kept
