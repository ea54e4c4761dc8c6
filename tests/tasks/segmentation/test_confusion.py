"""The confusion matrix and its figures, against published and hand-computed values."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from archlab.tasks.segmentation.confusion import confusion, figures


def test_the_known_answer_is_reproduced(shared: Path):
    folder = shared / "data" / "known_answer" / "segmentation_bdd100k_toolkit"
    published = json.loads((folder / "expected.json").read_text())["published"]
    label, found = (torch.from_numpy(cv2.imread(str(folder / name), -1)) for name in ("gt_a.png", "pred_a.png"))
    counts = confusion(label, found, 2).numpy()
    assert counts.tolist() == published["confusion_matrix_rows_gt_columns_pred"]
    scores = figures(counts, ("0", "1"))
    assert scores["miou"] == pytest.approx(published["mIoU_percent"], abs=1e-12)
    assert scores["pixel_accuracy"] == published["pixel_accuracy_percent"]
    assert scores["frequency_weighted_iou"] == pytest.approx(published["frequency_weighted_IoU_percent"], abs=1e-12)


def test_ignored_pixels_are_left_out():
    label, found = torch.tensor([[0, 255, 1], [255, 1, 1]]).byte(), torch.tensor([[0, 0, 1], [1, 0, 1]])
    assert confusion(label, found, 2).tolist() == [[1, 0], [1, 2]]


def test_a_class_that_only_the_prediction_has_is_no_part_of_the_mean_but_costs_the_others():
    # Two of four pixels of class 0 are found, the others called class 2, which the ground truth lacks.
    scores = figures(np.array([[2, 0, 2], [0, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert (scores["iou_a"], scores["iou_b"], scores["iou_c"]) == (50.0, 100.0, None)
    assert scores["miou"] == 75.0
    assert scores["pixel_accuracy"] == 75.0


def test_a_set_without_labelled_pixels_has_no_figures():
    assert figures(np.zeros((2, 2), int), ("a", "b"))["miou"] is None
