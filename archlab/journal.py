"""The course of a training as JSON lines: a restart leaves no row out and writes none twice."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archlab.files import write_text

Row = dict[str, Any]


@dataclass
class Journal:
    """Where a training stands, and its metrics.jsonl; `batch` people a step and `steps` an epoch.

    A row of training is {iteration, epoch, loss (the mean since the row before), lr, images_per_second}, one of
    validation {iteration, epoch, validation}.
    """

    path: Path
    batch: int
    steps: int
    iteration: int = 0
    note: str = ""
    began: float = field(default_factory=time.monotonic)
    row_began: float = field(default_factory=time.monotonic)
    row_from: int = 0

    @property
    def samples(self) -> int:
        return self.iteration * self.batch

    @property
    def seconds(self) -> float:
        """Spent on this training by this process and, up to its last checkpoint, by those before it."""
        return time.monotonic() - self.began

    def write_losses(self, losses: list[float], lr: float) -> None:
        """The row of the steps since the last one."""
        now = time.monotonic()
        speed = (self.iteration - self.row_from) * self.batch / max(now - self.row_began, 1e-9)
        mean = sum(losses) / len(losses)
        self.note = f"loss {mean:.3g}, {speed:.0f} images/s"
        self.append({"loss": mean, "lr": lr, "images_per_second": round(speed, 1)})
        self.row_began, self.row_from = now, self.iteration

    def append(self, row: Row) -> None:
        place = {"iteration": self.iteration, "epoch": round(self.iteration / self.steps, 4)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**place, **row}, allow_nan=False) + "\n")

    def go_on(self, iteration: int, seconds: float) -> None:
        """Take up the training after `iteration`: later rows, and one that a kill cut short, go."""
        kept = [row for row in read_rows(self.path) if row["iteration"] <= iteration]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        now = time.monotonic()
        self.iteration = self.row_from = iteration
        self.began, self.row_began = now - seconds, now


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl, a last one that is not whole left out; none if there is no such file."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
