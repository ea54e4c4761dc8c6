"""What a task is: the one seam between how networks are trained and what they are trained for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from archlab.tasks.metrics import Metric, Scores, View

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from archlab.core.distributed import World

    Batch = dict[str, Tensor]
    """`image` (N, C, H, W), `index` (N,), the numbers of the samples, and what the task's loss reads."""

Pipeline = Literal["samples", "batched"]
O = TypeVar("O")  # noqa: E741  the options of a task
V = TypeVar("V", bound=Sized)


class Embedded(Protocol):
    """A recipe's request for generated data: the name of its folder, and how many images there are to train on."""

    @property
    def folder(self) -> str: ...
    @property
    def train(self) -> int: ...


class TaskOptions(Protocol):
    """The fields that a task adds to a recipe; a dataclass in which every field has a default.

    dataset: how the data folder is laid out and scored. data: what to generate when no data folder is named.
    """

    @property
    def dataset(self) -> str: ...
    @property
    def data(self) -> Embedded | None: ...


@dataclass(frozen=True)
class Context(Generic[O]):
    """What a task works with: its options, and the recipe's and the process's settings for making batches.

    input: (H, W) of the network. batch: samples a batch in scoring. keep_gigabytes: for samples that the batched
    pipeline keeps decoded. workers: threads that load data.
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
    """Training samples by number, in batches on the host or on the device."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that augmentation follows from; called before its batches are asked for."""

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield a batch for each sequence of sample numbers."""

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return what a user needs to find these samples in the data, as JSON-able values."""


class Task(Protocol[O, V]):
    """One kind of problem that networks are trained for.

    unit: what samples are called, as `people`. outputs_are: what the network's outputs are called, as `keypoints`.
    options: the dataclass of its recipe fields (`TaskOptions`). metrics: its figures, the most important first.
    views: its ways of scoring a run. baselines: guesses without a network, by their key in a record, and their titles.
    """

    name: str
    unit: str
    outputs_are: str
    options: type[O]
    metrics: tuple[Metric, ...]
    views: tuple[View, ...]
    baselines: Mapping[str, str]

    def generate(self, data: Embedded, folder: Path) -> Path:
        """Generate the recipe's own data in the folder, unless it is there; return the folder."""

    def kind(self, root: Path, options: O) -> str:
        """Return what the data is, for a reader: `synthetic quick`, `coco`."""

    def fingerprint(self, root: Path, options: O) -> str:
        """Return a hex digest of the data; cheap, no pixel is read."""

    def outputs(self, root: Path | None, options: O) -> int | None:
        """Return how many outputs the data asks for, None if its file is missing; without a folder, generated data."""

    def count(self, root: Path, options: O, input: tuple[int, int]) -> int:
        """Return the number of training samples."""

    def training(
        self, root: Path, context: Context[O], *, seed: int, folder: Path | None = None, augment: bool = True
    ) -> Samples:
        """Return the training samples. Damaged images are replaced and listed in the run's `folder`, if given."""

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the loss, a scalar, of the network's output for a batch. The output may be bf16."""

    def validation(self, root: Path, context: Context[O]) -> V:
        """Read what a network is scored on. Raises InputError for what is missing or wrong in the data folder."""

    def score(
        self,
        network: nn.Module,
        validation: V,
        context: Context[O],
        *,
        results: Path | None = None,
        first_view: bool = False,
    ) -> dict[str, Scores]:
        """Return figures by view. `results`: also write the predictions. `first_view`: score in the first view only."""

    def baseline(self, samples: Samples, validation: V) -> dict[str, Scores]:
        """Return the figures of guesses that use no network."""

    def draw(self, network: nn.Module, validation: V, context: Context[O], title: str, path: Path) -> None:
        """Draw a sheet of predictions beside what is right."""
