"""The task protocol: the one interface between training and the problem that networks are trained for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from archlab.tasks.metrics import Metric, Scores, View
from archlab.tasks.terms import Scored

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from archlab.blocks.wiring import Shape
    from archlab.core.distributed import World

    Batch = dict[str, Tensor]
    """`image` (N, C, H, W) float32, `index` (N,) int64 with the sample numbers, and the tensors of the task's loss."""

Pipeline = Literal["samples", "batched"]
O = TypeVar("O")  # noqa: E741  the options of a task
V = TypeVar("V", bound=Sized)


class Embedded(Protocol):
    """A recipe's request for generated data. folder: the name of its folder. train: its number of training images."""

    @property
    def folder(self) -> str: ...
    @property
    def train(self) -> int: ...


class TaskOptions(Protocol):
    """The fields that a task adds to a recipe: a frozen dataclass in which every field has a default.

    dataset: the layout and the scoring of the data folder. data: what to generate if no data folder is given.
    """

    @property
    def dataset(self) -> str: ...
    @property
    def data(self) -> Embedded | None: ...


@dataclass(frozen=True)
class Context(Generic[O]):
    """A task's options and the settings of the recipe and the process.

    input: (H, W) of the network, pixels. batch: samples per batch in scoring. bf16: use autocast.
    pipeline: prepare samples one by one or in batches. keep_gigabytes: memory for the samples that the batched pipeline
    keeps decoded, 1e9 bytes. workers: threads that load data.
    """

    options: O
    input: tuple[int, int]
    device: torch.device
    world: World
    batch: int = 32
    bf16: bool = False
    pipeline: Pipeline = "samples"
    keep_gigabytes: float = 4.0
    workers: int = 0


class Samples(Protocol):
    """Training samples, numbered from 0, in batches on the host or on the device."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that seeds the augmentation; called before the epoch's `batches`."""

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield a batch for each sequence of sample numbers, in the given order.

        Raises InputError if too many images are damaged.
        """

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return JSON-able values that identify these samples in the data, as file names."""


class Task(Protocol[O, V]):
    """One kind of problem that networks are trained for.

    name: in a recipe's `task`.
    unit: the plural for samples, as `people`.
    outputs_are: the plural for the network's outputs, as `keypoints`.
    options: the dataclass of its recipe fields (`TaskOptions`).
    metrics: its figures, the most important first.
    views: its ways of scoring a run; training scores the first.
    baselines: the titles of guesses without a network, by their key in a record.
    """

    name: str
    unit: str
    outputs_are: str
    options: type[O]
    metrics: tuple[Metric, ...]
    views: tuple[View, ...]
    baselines: Mapping[str, str]

    def generate(self, data: Embedded, folder: Path) -> Path:
        """Generate the recipe's data in the folder if it is not there yet; return the folder.

        Raises InputError if the folder holds anything else.
        """

    def kind(self, root: Path, options: O) -> str:
        """Return a short description of the data for readers: `synthetic quick`, `coco`."""

    def fingerprint(self, root: Path, options: O) -> str:
        """Return a hex digest of the data without reading a pixel. Raises InputError if the data is missing."""

    def outputs(self, root: Path | None, options: O) -> int | None:
        """Return the number of outputs that the data needs, or None if its annotations are missing.

        root: the data folder; None for generated data. Raises InputError if the annotations are wrong.
        """

    def output_names(self, root: Path, options: O) -> tuple[str, ...] | None:
        """Return the names of the outputs, in order; None if they have none, or if the data's annotations are missing.

        A run is only scored on data with the names of its own. Raises InputError if the annotations are wrong.
        """

    def count(self, root: Path, options: O, input: tuple[int, int]) -> int:
        """Return the number of training samples at an input of (H, W). Raises InputError as `training` does."""

    def training(
        self, root: Path, context: Context[O], *, seed: int, folder: Path | None = None, augment: bool = True
    ) -> Samples:
        """Return the training samples.

        seed: of augmentation. folder: the run's, where damaged images are listed; they are replaced by other samples.
        augment: False crops samples as in scoring. Raises InputError if the data is missing or wrong.
        """

    def cannot_read(self, output: Shape, main: Shape) -> str | None:
        """Return why `loss` cannot read an auxiliary output of (C, H, W), as a rule with values; None if it can.

        main: the shape of the network's main output.
        """

    def loss(self, output: Any, batch: Batch, options: O) -> Tensor:
        """Return the scalar loss of one of the network's outputs for a batch. The output may be bf16."""

    def validation(self, root: Path, context: Context[O]) -> V:
        """Return the data that networks are scored on; its `len` is the number of samples.

        Raises InputError if the data is missing or wrong.
        """

    def score(
        self,
        network: nn.Module,
        validation: V,
        context: Context[O],
        *,
        results: Path | None = None,
        first_view: bool = False,
    ) -> Scored:
        """Return the network's figures by view and metric key; the network is left in evaluation mode.

        Figures that are ratios of sums over the samples may come with their terms, by which runs are compared.

        results: a file for the predictions. first_view: score in the first view only.
        All processes call it, and each returns the same figures. Raises InputError if an image is damaged.
        """

    def baseline(self, samples: Samples, validation: V) -> dict[str, Scores]:
        """Return the figures of guesses that use no network, by their key in `baselines`."""

    def draw(self, network: nn.Module, validation: V, context: Context[O], title: str, path: Path) -> None:
        """Write a PNG sheet of predictions and the ground truth; only rank 0 calls it."""
