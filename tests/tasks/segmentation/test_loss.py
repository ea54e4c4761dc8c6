"""Cross-entropy with ignored pixels and class weights, against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from archlab.tasks.segmentation.loss import segmentation_loss
from archlab.tasks.segmentation.options import SegmentationOptions

PLAIN = SegmentationOptions()
ONES = torch.ones(2)


def logits(*pixels: tuple[float, float]) -> Tensor:
    """(1, 2, 1, pixels)"""
    return torch.tensor(pixels).T[None, :, None]


def labels(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8)[None, None]


def test_it_is_the_mean_over_the_pixels_that_are_not_ignored():
    # -log softmax((log 3, 0))[0] = log(4 / 3), and [1]: log 4
    output = logits((math.log(3), 0), (math.log(3), 0), (9, -9))
    loss = segmentation_loss(output, labels(0, 1, 255), ONES, PLAIN)
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_class_weights_make_it_a_weighted_mean():
    output = logits((math.log(3), 0), (math.log(3), 0))
    loss = segmentation_loss(output, labels(0, 1), torch.tensor([1.0, 3.0]), PLAIN)
    assert loss.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(4)) / 4)


def test_a_batch_without_a_labelled_pixel_has_no_loss_and_no_gradient():
    output = logits((1.0, 2.0)).requires_grad_()
    loss = segmentation_loss(output, labels(255), ONES, PLAIN)
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert output.grad.tolist() == [[[[0.0]], [[0.0]]]]


def test_logits_are_resized_to_the_label_or_the_label_to_the_logits():
    torch.manual_seed(0)
    output, label = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 16, 20)).byte()
    larger = F.interpolate(output, size=(16, 20), mode="bilinear", align_corners=False)
    weight = torch.ones(3)
    at_label = segmentation_loss(output, label, weight, PLAIN)
    assert at_label.item() == pytest.approx(F.cross_entropy(larger, label.long()).item(), rel=1e-6)
    at_network = segmentation_loss(output, label, weight, SegmentationOptions(loss_at="network"))
    assert at_network.item() == pytest.approx(F.cross_entropy(output, label[:, ::4, ::4].long()).item(), rel=1e-6)
