"""Run folders: their names and their records."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archlab import yamlio
from archlab.core import notes
from archlab.core.errors import InputError, Problem, nearest
from archlab.core.files import read_json, write_json
from archlab.tasks import find_task, tasks
from archlab.tasks.metrics import Scores
from archlab.tasks.terms import Terms, terms_of
from archlab.yamlio import Item

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from archlab.network.module import Network
    from archlab.network.spec import Spec

FORMAT = 1
LATER = {"reason", "weights", "fusion", "processes", "task", "budgets", "terms"}
"""Fields newer than the format; a record may lack them."""

State = Literal["running", "stopped", "done", "failed"]


@dataclass(frozen=True)
class AtBudget:
    """What a run scored at a budget of its recipe.

    budget: the samples that the recipe names. samples: those seen by the scored weights, in whole steps.
    scores, terms: as in a record.
    """

    budget: int
    samples: int
    scores: dict[str, Scores]
    terms: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What one run was and what it scored: the contract between training and reports.

    scores: figures by view and metric key, as `{"ground_truth_boxes": {"AP": 61.2, "pck": None}}`; None if undefined.
    baseline: likewise for guesses that use no network.
    samples: seen in training by the scored weights. seconds: spent training and scoring. Both are over all restarts.
    """

    fingerprint: str
    state: State
    spec: str
    spec_hash: str
    fields: dict[str, Any]
    recipe: str
    recipe_hash: str
    data: dict[str, Any]
    seed: int
    input: tuple[int, ...]
    outputs: int
    cost: dict[str, Any]
    scores: dict[str, Scores]
    baseline: dict[str, Scores]
    samples: int
    seconds: float
    device: str
    threads: int
    versions: dict[str, str]
    commit: str | None
    command: str
    date: str
    reason: str = ""
    weights: str = ""
    """The checkpoint that initialised the network, as file name and hash."""
    fusion: str = "spec"
    """The recipe's choice; with `plain`, `spec_hash` is of the network with plain sums."""
    processes: int = 1
    """The number of processes that trained together, as of the last start."""
    task: str = "pose"
    budgets: tuple[AtBudget, ...] = ()
    """The scores at each budget, increasing; `scores` are those of the last."""
    terms: dict[str, Any] = field(default_factory=dict)
    """By view, what each validation sample adds to the figures; with budgets each has its own. Read by `terms_of`."""
    format: int = FORMAT

    @property
    def train_samples(self) -> int:
        """The number of training samples, which the record names by the task's unit: `train_people`."""
        return int(self.data[f"train_{self.unit}"])

    @property
    def val_samples(self) -> int:
        """The number of validation samples."""
        return int(self.data[f"val_{self.unit}"])

    @property
    def unit(self) -> str:
        """The record's name for samples: `people`."""
        return next(name.removeprefix("train_") for name in self.data if name.startswith("train_"))

    def is_done(self, budgets: Iterable[int] = ()) -> bool:
        """Return whether the run is trained and scored, at each of the recipe's `budgets` if it has any."""
        return self.state == "done" and set(budgets) <= {each.budget for each in self.budgets}

    def scores_at(self, budgets: Sequence[int]) -> dict[str, Scores]:
        """Return the scores at the last of a recipe's `budgets`; the record's own without any."""
        return next((each.scores for each in self.budgets if each.budget in budgets[-1:]), self.scores)

    @property
    def rounding(self) -> tuple[str, int]:
        """What decides how sums round: the device and, on a CPU, the number of threads. Runs that share it repeat."""
        return self.device, self.threads if self.device.startswith("cpu") else 0

    def rounds_with(self, threads: int) -> bool:
        """Return whether the run computes as one with `threads` CPU threads on its device does."""
        return self.rounding == replace(self, threads=threads).rounding

    def problems(self, item: Item) -> Iterator[Problem]:
        """Yield the rules that a damaged or foreign record breaks; its fingerprint names a file, and is no path."""
        if not re.fullmatch(r"[\w-]*", self.fingerprint, re.ASCII):
            yield item.problem(f"must be letters, digits, - and _, not {self.fingerprint!r}", "fingerprint")
        if not any(name.startswith("train_") and isinstance(value, int) for name, value in self.data.items()):
            yield item.problem("lacks the number of training samples, `train_...`", "data")
        if not all(isinstance(self.data.get(name), str) for name in ("root", "kind", "fingerprint")):
            yield item.problem("lacks a text `root`, `kind` or `fingerprint`", "data")
        flops = self.cost.get("flops")
        counts = [self.cost.get("params"), self.cost.get("activations"), *(flops.values() if flops else [])]
        if not flops or not all(isinstance(each, int) for each in counts):
            yield item.problem("lacks a whole number of `params`, `activations` or `flops`", "cost")

    def terms_of(self, view: str, budget: int | None = None) -> Terms | None:
        """Return what each validation sample adds to a view's figures, at a budget or at the end; None if not recorded.

        Raises InputError if it is damaged.
        """
        last = self.budgets[-1:] if budget is None else [each for each in self.budgets if each.budget == budget]
        found = last[0].terms if last else {} if budget else self.terms
        return terms_of(found, view, file=self.fingerprint)

    def write(self, folder: Path) -> Record:
        """Write record.json to the run folder; return the record."""
        write_json(folder / "record.json", asdict(self))
        return self


def read_record(path: Path) -> Record:
    """Read a record by its file or its run folder.

    Raises InputError with every problem if it is missing, broken or of another format.
    """
    path = path / "record.json" if path.is_dir() else path
    values = read_json(path, "run record")
    known = {each.name for each in fields(Record)}
    absent = sorted(known - LATER - (set(values) if isinstance(values, dict) else set()))
    if absent:
        raise InputError(Problem(f"not a run record: it lacks {', '.join(absent)}", file=str(path)))
    if values["format"] != FORMAT:
        raise InputError(Problem(f"record format {values['format']!r}; this archlab reads {FORMAT}", file=str(path)))
    item = yamlio.item_of({name: value for name, value in values.items() if name in known}, file=str(path))
    return yamlio.parse(item, Record)


@dataclass(frozen=True)
class Run:
    """A run by its folder, for notebooks. plugin: modules or files with the blocks and tasks that it uses."""

    folder: Path
    plugin: tuple[str, ...] = ()

    @property
    def record(self) -> Record:
        return read_record(self.folder)

    @property
    def scores(self) -> dict[str, Scores]:
        """The figures by view, as `{"ground_truth_boxes": {"AP": 61.2, ...}}`."""
        return self.record.scores

    @property
    def budgets(self) -> tuple[AtBudget, ...]:
        """The curve of a run with `budgets`: the samples seen and the figures by view at each, increasing."""
        return self.record.budgets

    def curves(self) -> Figure:
        """Draw loss and learning rate by iteration, and validation scores by iteration or by budget."""
        from archlab.training.curves import curves
        from archlab.training.metrics_log import read_rows

        rows = read_rows(self.folder / "metrics.jsonl")
        return curves(rows, self.record, find_task(self.record.task, self.plugin))

    def network(self) -> Network:
        """Build the run's network with its trained weights, on the CPU, in evaluation mode."""
        from archlab.network.checkpoint import load_weights
        from archlab.network.graph import assemble
        from archlab.network.module import build

        network = build(assemble(spec_of(self.folder, self.plugin)))
        load_weights(network, self.folder / "checkpoint.pt")
        return network.eval()


def spec_of(folder: Path, plugin: Sequence[str] = ()) -> Spec:
    """Return the network of the run in a folder, under its own name, which is not that of its file."""
    from archlab.network.load import load

    return replace(load(folder / "spec.yaml", plugin=plugin), name=read_record(folder).spec)


def record_of(folder: Path) -> Record | None:
    """Return the record of the run in a folder, None without one. Raises InputError if it is broken."""
    return read_record(folder) if (folder / "record.json").is_file() else None


def find_runs(root: Path) -> list[Record]:
    """Return the records of all runs in the folder `root`, oldest first; a record that cannot be read is noted.

    Unfinished runs (running, failed or killed) are included, with their state.
    """
    return [record for record, _ in runs_in(root)]


def runs_in(root: Path) -> list[tuple[Record, Path]]:
    """Return the record and its file of all runs in the folder `root`, oldest first."""
    return sound_records(root.glob("*/record.json"))


def runs_of_tasks(root: Path, plugin: Iterable[str] = ()) -> list[tuple[Record, Path]]:
    """Return what `runs_in` does, without runs of tasks that neither archlab nor a plug-in has; note each of them."""
    known, found = tasks(plugin), []
    for record, path in runs_in(root):
        if record.task in known:
            found.append((record, path))
        else:
            notes.note(f"left out: {path}: task: no task is called {record.task!r}{nearest(record.task, known)}")
    return found


def sound_records(files: Iterable[Path]) -> list[tuple[Record, Path]]:
    """Return the records that can be read and their files, oldest first; note each that cannot, with the reason."""
    found = []
    for path in files:
        try:
            found.append((read_record(path), path))
        except InputError as error:
            notes.note(f"left out: {error.problems[0]}")
    return sorted(found, key=lambda pair: (pair[0].date, pair[0].spec, pair[0].seed, pair[0].fingerprint))


def digest(value: Any) -> str:
    """Return a short hash of JSON-able data; it does not depend on the order of keys or on the process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(*, spec_hash: str, recipe_hash: str, data: str, seed: int, weights: str = "") -> str:
    """Return the name of a run's folder: equal for runs that compute the same, whatever their spec and recipe names."""
    initial = {"weights": weights} if weights else {}
    return digest({"spec": spec_hash, "recipe": recipe_hash, "data": data, "seed": seed, **initial})
