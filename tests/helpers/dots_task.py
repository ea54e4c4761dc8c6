"""Counting dots: a whole task in one plug-in file, to show what a task has to say and that archlab needs no more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from archlab.core.errors import InputError, Problem
from archlab.core.figures import new_figure, save_figure
from archlab.core.files import write_text
from archlab.tasks.base import Context
from archlab.tasks.metrics import Metric, Scores, View
from archlab.tasks.terms import Ratio, Scored, Terms, digest_of
from archlab.yamlio import Above, AtLeast

MOST = 4


@dataclass(frozen=True)
class DotsData:
    """Pictures of 1 to 4 dots, drawn by a seed."""

    train: Annotated[int, AtLeast(1), "Pictures to train on."] = 48
    val: Annotated[int, AtLeast(1), "Pictures to score on."] = 16

    @property
    def folder(self) -> str:
        return f"dots-{self.train}-{self.val}"


@dataclass(frozen=True)
class DotsOptions:
    """The fields of a recipe that counts dots."""

    dataset: Annotated[Literal["dots"], "The only one."] = "dots"
    data: DotsData | None = DotsData()
    brightness: Annotated[float, Above(0), "The value of a dot's pixel."] = 1.0


class DotsSamples:
    """Pictures (N, 3, 32, 32), with one pixel a dot, and maps (N, 1, 8, 8) that hold a 1 where a dot is."""

    def __init__(self, root: Path, split: str, context: Context[DotsOptions]) -> None:
        stored = np.load(root / f"{split}.npz")
        self.places, self.counts = stored["places"], stored["counts"]
        self.brightness = context.options.brightness

    def __len__(self) -> int:
        return len(self.counts)

    def set_epoch(self, epoch: int) -> None:
        pass

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        for numbers in rows:
            image, target = torch.zeros(len(numbers), 3, 32, 32), torch.zeros(len(numbers), 1, 8, 8)
            for i, row in enumerate(numbers):
                for y, x in self.places[row, : self.counts[row]]:
                    image[i, :, y, x] = self.brightness
                    target[i, 0, y // 4, x // 4] += 1
            yield {"image": image, "target": target, "index": torch.tensor(list(numbers))}

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        return {"pictures": list(rows)}


class Dots:
    """Dots in a picture, counted by the sum of a density map."""

    name = "dots"
    unit = "pictures"
    outputs_are = "densities"
    options = DotsOptions
    metrics = (
        Metric("count_error", "count_error", "count error", direction="minimize", unit="dots", digits=2),
        Metric("exact", "exact", "exact counts", colour="#2a9d5c"),
    )
    views = (View("pictures"),)
    baselines = {"mean_count": "the mean count"}  # noqa: RUF012

    def generate(self, data: DotsData, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for seed, (split, count) in enumerate({"train": data.train, "val": data.val}.items()):
            random = np.random.default_rng(seed)
            places = random.integers(0, 32, (count, MOST, 2))
            np.savez(folder / f"{split}.npz", places=places, counts=random.integers(1, MOST + 1, count))
        return folder

    def kind(self, root: Path, options: DotsOptions) -> str:
        return "synthetic dots"

    def fingerprint(self, root: Path, options: DotsOptions) -> str:
        return f"{self.count(root, options, (32, 32)):016x}"

    def outputs(self, root: Path | None, options: DotsOptions) -> int | None:
        return 1

    def output_names(self, root: Path, options: DotsOptions) -> tuple[str, ...] | None:
        return None

    def count(self, root: Path, options: DotsOptions, input: tuple[int, int]) -> int:
        return len(np.load(root / "train.npz")["counts"])

    def training(
        self, root: Path, context: Context[DotsOptions], *, seed: int, folder: Path | None = None, augment: bool = True
    ) -> DotsSamples:
        return DotsSamples(root, "train", context)

    def cannot_read(self, output: tuple[int, ...], main: tuple[int, ...]) -> str | None:
        return None if output == main else f"dots are counted on maps of {main}, not {output}"

    def loss(self, output: Tensor, batch: dict[str, Tensor], options: DotsOptions) -> Tensor:
        return nn.functional.mse_loss(output.float(), batch["target"])

    def validation(self, root: Path, context: Context[DotsOptions]) -> DotsSamples:
        if not (root / "val.npz").is_file():
            raise InputError(Problem("no pictures to score on", file=str(root / "val.npz")))
        return DotsSamples(root, "val", context)

    def score(
        self,
        network: nn.Module,
        validation: DotsSamples,
        context: Context[DotsOptions],
        *,
        results: Path | None = None,
        first_view: bool = False,
    ) -> Scored:
        counts = self._counted(network, validation, context)
        if results:
            write_text(results, json.dumps(counts.tolist()))
        exact = Ratio.of(np.abs(counts - validation.counts) < 0.5)
        terms = Terms(digest_of(range(len(validation))), {"exact": exact})
        return Scored({"pictures": _figures(counts, validation.counts)}, {"pictures": terms})

    def baseline(self, samples: DotsSamples, validation: DotsSamples) -> dict[str, Scores]:
        guesses = np.full(len(validation), samples.counts.mean())
        return {"mean_count": _figures(guesses, validation.counts)}

    def draw(
        self, network: nn.Module, validation: DotsSamples, context: Context[DotsOptions], title: str, path: Path
    ) -> None:
        figure = new_figure(4, 4)
        axes = figure.subplots()
        axes.scatter(validation.counts, self._counted(network, validation, context))
        axes.set(title=title, xlabel="dots", ylabel="counted")
        save_figure(figure, path)

    def _counted(self, network: nn.Module, samples: DotsSamples, context: Context[DotsOptions]) -> Any:
        rows = [range(i, min(i + context.batch, len(samples))) for i in range(0, len(samples), context.batch)]
        network.eval()
        with torch.inference_mode():
            maps = [network(batch["image"].to(context.device)) for batch in samples.batches(rows)]
        return torch.cat(maps).sum(dim=(1, 2, 3)).cpu().numpy()


def _figures(found: Any, counts: Any) -> Scores:
    errors = np.abs(found - counts)
    return {"count_error": float(errors.mean()), "exact": float(100 * (errors < 0.5).mean())}


TASKS = {"dots": Dots()}
