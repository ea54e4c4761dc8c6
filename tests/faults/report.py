"""Run all hostile trials and write the page: cd tests && python -m faults.report --yaml 1000 --files 200."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from faults.files import damaged_files, mutated_yaml
from faults.trials import Outcome
from helpers.paths import REPOSITORY

from archlab.core.files import write_text
from archlab.report.tables import Cell, Column, Table, TableSet, markdown
from archlab.training.circumstances import circumstances

PAGE = REPOSITORY / "reports" / "faults.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yaml", type=int, default=1000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            _row(
                "shipped YAML files with one to three changes", o.yaml, mutated_yaml(_in(folder, "a"), o.yaml, o.seed)
            ),
            _row("runs and data with damaged files", o.files, damaged_files(_in(folder, "b"), o.files, o.seed)),
        ]
    write_text(PAGE, markdown(_tables(rows, o.seed)))


def _in(folder: str, name: str) -> Path:
    (Path(folder) / name).mkdir()
    return Path(folder) / name


def _row(name: str, trials: int, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    codes: Counter[int] = Counter()
    wrong = 0
    for outcome in outcomes:
        codes[outcome.code] += 1
        wrong += bool(outcome.wrong)
        if outcome.wrong:
            print(f"archlab {' '.join(outcome.arguments)}: {outcome.wrong}", flush=True)
    return (name, f"{trials:,}", f"{codes.total():,}", *(f"{codes[code]:,}" for code in (0, 1, 2)), str(wrong))


def _tables(rows: list[tuple[str, ...]], seed: int) -> TableSet:
    columns = (
        Column("What is changed", align="l"), Column("trials"), Column("commands"), Column("exit 0"), Column("exit 1"),
        Column("exit 2"), Column("wrong"),
    )  # fmt: skip
    commit = circumstances()["commit"] or "unknown"
    caption = (
        "Wrong: a traceback, exit code 70, no end within 120 s, exit code 2 without an error, or a line of over 1,500 "
        f"characters. Seed {seed}, commit {commit[:7]}, {datetime.now(UTC):%Y-%m-%d}. `make test-all` runs a short form."
    )
    body = tuple(tuple(map(Cell, row)) for row in rows)
    return TableSet("faults", "Hostile files", "tests/faults", (Table("Trials", columns, body, (caption,)),), ())


if __name__ == "__main__":
    main()
