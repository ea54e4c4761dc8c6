"""The metrics of a training as JSON lines; after a restart no row is missing or repeated."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from archlab.core import notes
from archlab.core.errors import InputError
from archlab.core.files import write_text

Row = dict[str, Any]
NUMBERS = ("loss", "lr", "images_per_second", "data_wait", "memory_mib")
"""What a training row measures."""
Batch = TypeVar("Batch")


@dataclass
class MetricsLog:
    """The progress of a training and its metrics.jsonl.

    A training row is {iteration, epoch, loss (mean since the last row), lr, images_per_second, data_wait (share of the
    time spent waiting for data), memory_mib (peak so far, of the GPU or else of the process)}; a validation row is
    {iteration, epoch, validation}; a row of a budget is {iteration, epoch, budget: {budget, samples, scores}}, at the
    iteration of the main line.

    batch: samples per step. steps: per epoch. writes: whether this process writes the file; only one does.
    validated: the iteration of the last validation, -1 before the first. scores: its result. terms: its samples' terms,
    which only the last validation has.
    budgets: the results at budgets, by budget.
    """

    path: Path
    batch: int
    steps: int
    iteration: int = 0
    note: str = ""
    began: float = field(default_factory=time.monotonic)
    row_began: float = field(default_factory=time.monotonic)
    row_from: int = 0
    waited: float = 0.0
    validated: int = -1
    scores: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    budgets: dict[int, dict[str, Any]] = field(default_factory=dict)
    writes: bool = True
    board: Any = None

    @property
    def samples(self) -> int:
        return self.iteration * self.batch

    @property
    def seconds(self) -> float:
        """The seconds spent on this training: by this process, and by earlier ones up to their last checkpoint."""
        return time.monotonic() - self.began

    def write_losses(self, losses: list[float], lr: float, *, memory_mib: float) -> None:
        """Write a row for the steps since the last row."""
        now = time.monotonic()
        passed = max(now - self.row_began, 1e-9)
        speed = (self.iteration - self.row_from) * self.batch / passed
        mean = sum(losses) / len(losses)
        self.note = f"loss {mean:.3g}, {speed:.0f} images/s"
        self.append(
            {
                "loss": mean,
                "lr": lr,
                "images_per_second": round(speed, 1),
                "data_wait": round(self.waited / passed, 4),
                "memory_mib": round(memory_mib, 1),
            }
        )
        self.row_began, self.row_from, self.waited = now, self.iteration, 0.0

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches and measure the time spent waiting for them."""
        while True:
            began = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited += time.monotonic() - began
            yield batch

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Return to this iteration after the block, and leave its time out of the speed of the next row."""
        iteration, waited, began = self.iteration, self.waited, time.monotonic()
        try:
            yield
        finally:
            self.iteration, self.waited = iteration, waited
            self.row_began += time.monotonic() - began

    def append(self, row: Row) -> None:
        """Write a row with the current iteration and epoch, also to TensorBoard if it is open."""
        if "validation" in row:
            self.validated, self.scores, self.terms = self.iteration, row["validation"], row.get("terms", {})
        if "budget" in row:
            self.budgets[row["budget"]["budget"]] = row["budget"]
        if not self.writes:
            return
        place = {"iteration": self.iteration, "epoch": round(self.iteration / self.steps, 4)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**place, **row}, allow_nan=False) + "\n")
        if self.board:
            for name, value in flat(row):
                self.board.add_scalar(name, value, self.iteration)

    def open_board(self, folder: Path) -> None:
        """Also write later rows to TensorBoard, in `folder`. Raises InputError if it is not installed."""
        if self.writes:
            self.board = summary_writer()(str(folder / "tensorboard"), purge_step=self.iteration + 1)

    def close(self) -> None:
        """Close TensorBoard's file, if it is open."""
        if self.board:
            self.board.close()

    def resume(self, iteration: int, seconds: float) -> None:
        """Resume after `iteration`: remove later rows and an incomplete last row."""
        kept = [row for row in read_rows(self.path) if row["iteration"] <= iteration]
        if self.writes:
            write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        scored = [(row["iteration"], row["validation"], row.get("terms", {})) for row in kept if "validation" in row]
        self.validated, self.scores, self.terms = scored[-1] if scored else (-1, {}, {})
        self.budgets = {row["budget"]["budget"]: row["budget"] for row in kept if "budget" in row}
        now = time.monotonic()
        self.iteration = self.row_from = iteration
        self.began, self.row_began = now - seconds, now


def summary_writer() -> Any:
    """Return TensorBoard's writer class. Raises InputError if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("TensorBoard is not installed; run pip install 'archlab[tensorboard]'") from None
    return SummaryWriter


def flat(row: Row, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a row by their path in it, as `validation/ground_truth_boxes/AP`."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a metrics.jsonl; none if the file does not exist.

    An incomplete last row, which a killed process leaves, is dropped. Damaged rows are noted and left out.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    rows = [_row(line) for line in lines]
    if damaged := [number for number, row in enumerate(rows, start=1) if row is None]:
        notes.note(f"{path}: left out {len(damaged)} damaged rows, the first in line {damaged[0]}")
    return [row for row in rows if row is not None]


def _row(line: str) -> Row | None:
    """Return the row of a line, None if it is damaged."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_row(found) else None


def _is_row(found: Row) -> bool:
    """Return whether the values of a row have the types of those that `MetricsLog` writes."""
    counts = isinstance(found.get("iteration"), int) and ("loss" in found) == ("lr" in found)
    numbers = _is_number(found.get("epoch")) and all(_is_number(found.get(name, 0)) for name in NUMBERS)
    budget = found.get("budget", {"budget": 0, "samples": 0, "scores": {}})
    if not (counts and numbers and isinstance(budget, dict)):
        return False
    places = isinstance(budget.get("budget"), int) and isinstance(budget.get("samples"), int)
    return places and _is_scores(budget.get("scores")) and _is_scores(found.get("validation", {}))


def _is_scores(found: object) -> bool:
    """Return whether a value holds figures by name by view."""
    return isinstance(found, dict) and all(
        isinstance(view, dict) and all(each is None or _is_number(each) for each in view.values())
        for view in found.values()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
