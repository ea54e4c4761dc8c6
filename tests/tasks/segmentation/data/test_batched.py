"""Batches computed on the device: the samples of the host's path, with the same labels and nearly the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import street_folder
from helpers.refused import refused

from archlab.core.distributed import ALONE
from archlab.tasks.base import Context
from archlab.tasks.pixels import STD
from archlab.tasks.segmentation.data.batched import BatchedWindows, bilinear, nearest
from archlab.tasks.segmentation.data.dataset import TrainingWindows
from archlab.tasks.segmentation.data.layout import load_pictures
from archlab.tasks.segmentation.options import SegmentationOptions, WindowAugmentation
from archlab.tasks.segmentation.samples import PictureSamples

CPU = torch.device("cpu")
SIZE = (64, 96)
EVERY = WindowAugmentation(colour=0.4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = street_folder.write(tmp_path / "streets", train=6)
    values = street_folder.label(3, (90, 120))
    street_folder.add(root, "train", "large", values, street_folder.picture(values, 3))
    return root


def windows(root: Path, augmentation: WindowAugmentation | None, **options) -> TrainingWindows:
    pictures = load_pictures(root, "train", "cityscapes")
    return TrainingWindows(pictures, SIZE, SegmentationOptions(**options), augmentation=augmentation, seed=5)


def grey_levels(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference of two normalised batches, in grey levels."""
    return float(((a - b).abs() * torch.tensor(STD)[:, None, None] * 255).max())


@pytest.mark.parametrize("augmentation", [None, WindowAugmentation(), EVERY], ids=["none", "paper", "colour"])
@pytest.mark.parametrize("size", ["picture", "input"])
def test_a_batch_holds_the_samples_of_the_hosts_path(root: Path, augmentation: WindowAugmentation | None, size: str):
    own = windows(root, augmentation, size=size)
    batched = BatchedWindows(own, device=CPU, budget_bytes=10**6)
    for epoch in range(4):
        own.epoch = epoch
        rows = [5, 0, 6, 3]
        (batch,) = batched.stream([rows])
        samples = [own[row] for row in rows]
        assert batch["index"].tolist() == rows
        assert torch.equal(batch["label"], torch.stack([sample["label"] for sample in samples]))
        levels = 1.05 if augmentation is not EVERY else 3.1  # tones multiply a difference
        expected = torch.stack([sample["image"] for sample in samples])
        assert grey_levels(batch["image"], expected) <= levels
        assert abs(float((batch["image"] - expected).mean())) * 255 * min(STD) < 0.05  # rounded alike
        assert batch["class_weight"].shape == (4, 3)
        outside = batch["label"][0] == 255
        assert batch["image"].is_contiguous(memory_format=torch.channels_last)
        assert outside.any() or epoch


@pytest.mark.parametrize(("budget", "kept"), [(0, 0), (30_000, 2), (10**6, 7)])
def test_pictures_are_kept_within_the_budget_and_decoded_once(
    root: Path, budget: int, kept: int, monkeypatch: pytest.MonkeyPatch
):
    own = windows(root, WindowAugmentation())
    read: list[int] = []
    take = own.cache.take
    monkeypatch.setattr(own.cache, "take", lambda row: (read.append(row), take(row))[1])
    whole = list(BatchedWindows(own, device=CPU, budget_bytes=10**6).stream([range(7)] * 2))
    read.clear()
    for workers in (0, 3):
        read.clear()
        batched = BatchedWindows(own, device=CPU, budget_bytes=budget, workers=workers)
        found = list(batched.stream([range(7)] * 2))
        assert len(read) == 14 - kept
        for one, other in zip(found, whole, strict=True):
            assert torch.equal(one["image"], other["image"])
            assert torch.equal(one["label"], other["label"])


def test_it_is_chosen_by_the_recipe_and_replaces_damaged_pictures(root: Path, tmp_path: Path):
    street_folder.write(root, train=120)
    bad = root / "leftImg8bit" / "train" / "town" / "town_002_leftImg8bit.png"
    bad.write_bytes(bad.read_bytes()[:-40])
    pictures = load_pictures(root, "train", "cityscapes")
    at = pictures.images.index(bad)
    found = []
    for pipeline in ("samples", "batched"):
        context = Context(SegmentationOptions(augmentation=EVERY), SIZE, CPU, ALONE, pipeline=pipeline)
        samples = PictureSamples(pictures, context, seed=1, folder=tmp_path)
        (batch,) = samples.batches([[at, at + 1]])
        found.append(batch["label"])
        assert torch.equal(batch["label"][0], batch["label"][1])
    assert torch.equal(*found)
    with refused(file=bad):
        list(BatchedWindows(samples.windows, device=CPU).stream([[at]]))


def test_reading_between_pixels_and_beyond_the_edge():
    image = torch.tensor([[0, 10], [20, 30]], dtype=torch.uint8)[..., None]
    rows, columns = torch.tensor([-1.0, 0.0, 0.5, 4.0]), torch.tensor([0.25, 1.0])
    assert bilinear(image, rows, columns)[..., 0].tolist() == [[2.5, 10], [2.5, 10], [12.5, 20], [22.5, 30]]
    assert nearest(image[..., 0], rows, columns).tolist() == [[0, 10], [0, 10], [20, 30], [20, 30]]


def test_it_agrees_with_opencv_on_a_resized_picture():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), (5, 5), 1)
    resized = cv2.resize(image, (90, 30), interpolation=cv2.INTER_LINEAR)
    rows, columns = ((torch.arange(n) + 0.5) * m / n - 0.5 for n, m in ((30, 40), (90, 60)))
    assert np.abs(bilinear(torch.from_numpy(image), rows, columns).numpy() - resized).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_batches_of_the_cpu(root: Path):
    own = windows(root, EVERY)
    for one, other in zip(
        BatchedWindows(own, device=torch.device("cuda"), budget_bytes=40_000, workers=2).stream([range(7)] * 3),
        BatchedWindows(own, device=CPU).stream([range(7)] * 3),
        strict=True,
    ):
        assert torch.equal(one["label"].cpu(), other["label"])
        assert grey_levels(one["image"].cpu(), other["image"]) <= 3.1
