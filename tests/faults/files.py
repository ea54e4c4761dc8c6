"""The files that hostile trials change, and the commands that read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from faults.trials import Outcome, call, damaged_bytes, mutated_text
from helpers.paths import REPOSITORY

NETWORK = """
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block}
"""
RECIPE = """
input: [64, 64]
iterations: 4
batch: 4
flip_test: false
threads: 1
checkpoint_every: 2
data: {level: quick, train: 12, val: 6, seed: 1}
"""
Command = tuple[str | Path, ...]


def mutated_yaml(folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Yield how commands end on `count` shipped YAML files with random changes."""
    random = Random(seed)
    (folder / "tiny.yaml").write_text(NETWORK, encoding="utf-8")
    shipped = sorted(path for kind in ("search_spaces", "studies") for path in (REPOSITORY / kind).rglob("*.yaml"))
    for number in range(count):
        source = random.choice(shipped)
        text = source.read_text(encoding="utf-8")
        changed = folder / f"{number}.yaml"
        changed.write_text(mutated_text(text, random), encoding="utf-8", errors="surrogatepass")
        yield from (call(*command) for command in _readers(source, text, changed))


def _readers(source: Path, text: str, changed: Path) -> list[Command]:
    """Return the commands that read a file of this kind without training."""
    tiny = changed.with_name("tiny.yaml")
    if source.parent.name == "recipes":
        return [("train", tiny, "--recipe", changed, "--dry-run")]
    if source.is_relative_to(REPOSITORY / "search_spaces"):
        return [("sample", changed, "-n", "2")] if source.stem == "space" else [("build", changed, "--json")]
    if "kind: search" in text:
        return [("search", changed, "--dry-run")]
    return [("report", changed, "--reports", changed.with_suffix("")), ("ablate", changed, "--dry-run")]


@dataclass(frozen=True)
class Scene:
    """A finished run with its data, its predictions and the files that made it, in one folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Scene:
        """Train the run in the folder."""
        scene = cls(folder)
        folder.mkdir(parents=True)
        (folder / "tiny.yaml").write_text(NETWORK, encoding="utf-8")
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        assert call("data", "synth", "--out", scene.data, "--train", "12", "--val", "6").code == 0
        assert scene.train().code == 0
        assert call("eval", scene.run, "--data", scene.data, "--results", scene.results).code == 0
        return scene

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def run(self) -> Path:
        return next((self.folder / "runs").iterdir())

    @property
    def results(self) -> Path:
        return self.folder / "results.json"

    @property
    def truth(self) -> Path:
        return self.data / "annotations" / "person_keypoints_val2017.json"

    def train(self, *options: str | Path, runs: str = "runs") -> Outcome:
        files = self.folder / "tiny.yaml", "--recipe", self.folder / "recipe.yaml", "--data", self.data
        return call("train", *files, "--runs", self.folder / runs, *options)

    def copy(self, folder: Path) -> Scene:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Scene(folder)

    def eval(self) -> Outcome:
        return call("eval", self.run, "--data", self.data)


def damaged_files(folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Yield how commands end on a run and its data, of which some files are damaged, `count` times."""
    random = Random(seed)
    sound = Scene.made(folder / "sound")
    for _ in range(count):
        scene = sound.copy(folder / "damaged")
        yield from random.choice(_DAMAGES)(scene, partial(_damage, random=random))


def _damage(path: Path, random: Random) -> None:
    path.write_bytes(damaged_bytes(path.read_bytes(), random))


Damage = Callable[[Path], None]


def _record(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.run / "record.json")
    yield call("runs", scene.folder / "runs")
    yield scene.eval()
    yield scene.train()
    yield call("report", "table6", "--runs", scene.folder / "runs", "--reports", scene.folder / "reports")


def _metrics(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.run / "metrics.jsonl")
    _unfinish(scene)
    yield scene.train()


def _inputs(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.run / "spec.yaml")
    yield scene.eval()
    damage(scene.run / "recipe.yaml")
    yield scene.eval()


def _weights(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.run / "checkpoint.pt")
    yield scene.eval()
    weights = scene.run / "checkpoint.pt"
    yield call("build", scene.folder / "tiny.yaml", "--input", "64x64", "--weights", weights)
    yield scene.train("--weights", weights, runs="more")


def _checkpoint(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.run / "checkpoint.pt")
    _unfinish(scene)
    yield scene.train()


def _annotations(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    for path in (scene.data / "annotations").iterdir():
        damage(path)
    yield scene.train(runs="more")
    yield scene.eval()
    yield call("score", "coco", scene.truth, scene.results)


def _images(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    for path in sorted(scene.data.glob("*2017/*"))[::2]:
        damage(path)
    yield scene.train(runs="more")
    yield scene.eval()


def _predictions(scene: Scene, damage: Damage) -> Iterator[Outcome]:
    damage(scene.results)
    yield call("score", "coco", scene.truth, scene.results)


_DAMAGES = (_record, _metrics, _inputs, _weights, _checkpoint, _annotations, _images, _predictions)


def _unfinish(scene: Scene) -> None:
    """Turn the record into that of a killed run."""
    path = scene.run / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": "running"}), encoding="utf-8")
