"""A folder in which every command of archlab can run: data, finished runs, a study and a search."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faults.processes import start
from faults.trials import Outcome
from helpers import lsp_folder, mpii_folder, street_folder
from scipy.io import savemat

from archlab.tasks.pose.data.coco import load_people

FILES = {
    "tiny.yaml": """\
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block}
""",
    "recipe.yaml": """\
input: [64, 64]
iterations: 6
batch: 4
flip_test: false
boxes: ground_truth
threads: 1
log_every: 1
checkpoint_every: 2
validate_every: 3
""",
    "rows.yaml": """\
kind: ablation
title: Small networks
source: Nowhere
recipe: recipe.yaml
rows:
  - {name: One block, spec: tiny.yaml}
  - {name: Two blocks, spec: tiny.yaml, fields: {nodes.more.repeat: 2}}
""",
    "space.yaml": """\
version: 1
title: Tiny networks
base: tiny.yaml
vary:
  width: {field: nodes.quarter.width, from: 8, to: 24, step: 8}
""",
    "tries.yaml": """\
kind: search
title: Tiny networks
space: space.yaml
recipe: recipe.yaml
objectives: {pck: maximize, params: minimize}
trials: 3
sampler: {name: random}
""",
}


@dataclass(frozen=True)
class Command:
    """A command of archlab in a scene; what it writes lies under `out`, and `wanted` files are there in the end.

    is_once: it refuses what is there already.
    """

    name: str
    arguments: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    is_once: bool = False


RUN = "{run}"
WITH_DATA = ("--data", "data", "--device", "cpu")
COMMANDS = (
    Command("build", ("build", "tiny.yaml", "--draw", "out/a.svg"), ("a.svg",)),
    Command("build --draw .png", ("build", "tiny.yaml", "--draw", "out/a.png"), ("a.png",)),
    Command("list", ("list", "networks")),
    Command("schema", ("schema", "networks")),
    Command("completion", ("completion", "bash")),
    Command("train", ("train", "tiny.yaml", "--recipe", "recipe.yaml", *WITH_DATA, "--runs", "out/runs")),
    Command("runs", ("runs", "runs")),
    Command("runs --page", ("runs", "runs", "--page", "out/runs.html"), ("runs.html",)),
    Command("clean", ("clean", "runs", "searches", "--dry-run")),
    Command("eval", ("eval", RUN, *WITH_DATA, "--results", "out/r.json"), ("r.json",)),
    Command(
        "predict",
        ("predict", RUN, "data/val2017", "--device", "cpu", "--out", "out/drawn"),
        ("drawn/predictions.json",),
    ),
    Command("export", ("export", RUN, "--out", "out/a.yaml"), ("a.yaml",)),
    Command("export --save-weights", ("export", RUN, "--save-weights", "out/a.safetensors"), ("a.safetensors",)),
    Command("export --python", ("export", RUN, "--python", "out/a.py"), ("a.py",)),
    Command("bench", ("bench", "tiny.yaml", "--rounds", "1", "--threads", "1", "--save", "out/times"), ("times",)),
    Command("index", ("index", "--reports", "tables")),
    Command("data synth", ("data", "synth", "--out", "out/people", "--train", "4", "--val", "4"), ("people",)),
    Command("data convert", ("data", "convert", "lsp", "lsp/source", "--out", "out/lsp"), ("lsp",), is_once=True),
    Command(
        "ablate", ("ablate", "rows.yaml", "--jobs", "2", *WITH_DATA, "--runs", "out/runs", "--reports", "out/tables")
    ),
    Command("report", ("report", "rows.yaml", "--records", "tables/records", "--reports", "out/tables")),
    Command("sample", ("sample", "space.yaml", "-n", "2", "--out", "out/drawn")),
    Command("search", ("search", "tries.yaml", "--jobs", "2", *WITH_DATA, "--searches", "out/searches")),
    Command("best", ("best", "tries.yaml", "--data", "data", "--searches", "searches")),
    Command("show", ("show", "tries.yaml", "0", "--data", "data", "--searches", "searches")),
    Command("compare", ("compare", "tries.yaml", "0", "1", "--data", "data", "--searches", "searches")),
    Command("score coco", ("score", "coco", "data/annotations/person_keypoints_val2017.json", "results.json")),
    Command("score mpii", ("score", "mpii", "mpii/annot/gt_valid.mat", "mpii/found.mat")),
    Command("score segmentation", ("score", "segmentation", "labels", "labels")),
)


@dataclass(frozen=True)
class Scene:
    """The folder, and the outcome of each command in it when nothing disturbs it."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(self, command: Command) -> Outcome:
        return start(self.folder, *self.arguments(command)).end()

    def arguments(self, command: Command) -> tuple[str, ...]:
        """Return a command's arguments, with the finished run in its place."""
        run = next(path for path in (self.folder / "runs").iterdir())
        return tuple(f"runs/{run.name}" if text == RUN else text for text in command.arguments)

    def empty(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    @classmethod
    def made(cls, folder: Path) -> Scene:
        """Lay the files out and run what the commands read."""
        scene = cls(folder)
        folder.mkdir(parents=True)
        for name, text in FILES.items():
            (folder / name).write_text(text, encoding="utf-8")
        scene._do("data", "synth", "--out", "data", "--train", "12", "--val", "6")
        scene._do("train", "tiny.yaml", "--recipe", "recipe.yaml", *WITH_DATA, "--runs", "runs")
        run = next((folder / "runs").iterdir())
        scene._do("eval", f"runs/{run.name}", *WITH_DATA, "--results", "results.json")
        scene._do("ablate", "rows.yaml", "--jobs", "2", *WITH_DATA, "--runs", "more", "--reports", "tables")
        scene._do("search", "tries.yaml", "--jobs", "2", *WITH_DATA, "--searches", "searches")
        scene._other_data()
        scene.empty()
        return scene

    def _do(self, *arguments: str) -> None:
        outcome = start(self.folder, *arguments).end()
        assert outcome.code == 0, outcome

    def _other_data(self) -> None:
        (self.folder / "lsp").mkdir()
        lsp_folder.source(self.folder / "lsp", "lsp")
        (self.folder / "labels").mkdir()
        street_folder.save(self.folder / "labels" / "a.png", street_folder.label(1))
        people = load_people(self.folder / "data", "val2017", aspect=1.0)
        root = mpii_folder.write_split(self.folder / "mpii", "valid", people)
        savemat(root / "found.mat", {"preds": np.ones((len(people), 16, 2))})
