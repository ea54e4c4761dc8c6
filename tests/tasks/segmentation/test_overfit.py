"""A network can learn eight real photographs by heart: what is read, trained and scored belongs together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import street_folder
from helpers.training import train

from archlab.network.load import load_at
from archlab.tasks.segmentation.data.layout import load_pictures
from archlab.tasks.segmentation.task import SEGMENTATION
from archlab.training.recipe import Recipe
from archlab.training.runs import read_record
from archlab.training.schedule import Optimiser, Schedule


def halved(camvid: Path, root: Path) -> Path:
    """Eight training pictures of CamVid at half size, 180 x 240, as the training and the validation set."""
    pictures = load_pictures(camvid, "train", "camvid")
    for row in range(0, 8 * 46, 46):
        image, values = street_folder.load(pictures.images[row]), street_folder.load(pictures.labels[row])
        small = cv2.resize(image, (240, 180), interpolation=cv2.INTER_AREA)
        for split in ("train", "val"):
            street_folder.add(root, split, pictures.names[row], values[1::2, 1::2], small)
    return root


@pytest.mark.slow
def test_lite_hrnet_learns_eight_pictures_of_camvid_by_heart(shared: Path, tmp_path: Path):
    """Its map of a quarter of the size cannot give more than about 93."""
    root = halved(shared / "data" / "camvid", tmp_path / "eight")
    pictures = load_pictures(root, "train", "camvid")
    counts = sum(np.bincount(pictures.label(row).ravel(), minlength=256)[:11] for row in range(8))
    assert (counts > 0).all()
    recipe = Recipe.of(
        task=SEGMENTATION,
        dataset="camvid",
        input=(192, 256),
        iterations=400,
        batch=8,
        optimiser=Optimiser(lr=4e-3),
        schedule=Schedule(warm_up=10, decay="poly"),
        class_weights=tuple(np.sqrt(counts.max() / counts).round(1).tolist()),  # thin classes are rare
        threads=1,
    )
    spec = load_at("lite_hrnet_18_seg", (192, 256), outputs=11)
    record = read_record(train(spec, recipe, root, out=tmp_path / "runs"))
    scores = record.scores["pictures"]
    assert None not in scores.values()
    assert scores["miou"] > 80
