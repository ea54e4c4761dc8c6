"""Commands that score result files of any tool."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archlab.cli import options
from archlab.cli.output import print_figures, print_json
from archlab.cli.parser import Command, Group, Parser


def score_coco(o: argparse.Namespace) -> None:
    """Score COCO keypoint results: pycocotools' ten figures, 0-100."""
    from archlab.tasks.pose.score_files import score_coco as figures

    _print(figures(o.truth, o.results), o.json)


def coco_arguments(p: Parser) -> None:
    p.add_argument("truth", type=Path, metavar="GT.json", help="annotations in COCO's layout")
    p.add_argument("results", type=Path, metavar="RESULTS.json", help="a list of COCO keypoint results")
    options.plugin(p)
    options.json_output(p)


def score_mpii(o: argparse.Namespace) -> None:
    """Score MPII predictions: PCKh by joint and two means, 0-100."""
    from archlab.tasks.pose.score_files import score_mpii as figures

    _print(figures(o.truth, o.predictions), o.json)


def mpii_arguments(p: Parser) -> None:
    p.add_argument("truth", type=Path, metavar="GT.mat", help="MPII's ground truth")
    p.add_argument("predictions", type=Path, metavar="PREDICTIONS.mat", help="`preds`, in pixels counted from 1")
    options.plugin(p)
    options.json_output(p)


def score_segmentation(o: argparse.Namespace) -> None:
    """Score label pictures: IoU by class and its mean, 0-100.

    The mean is over the classes in the ground truth, from one confusion matrix."""
    from archlab.tasks.segmentation.score_files import score_folders

    _print(score_folders(o.truth, o.predictions, classes=o.classes, label_ids=o.label_ids), o.json)


def segmentation_arguments(p: Parser) -> None:
    p.add_argument("truth", type=Path, metavar="GT_DIR", help="a folder of label pictures, .png")
    p.add_argument("predictions", type=Path, metavar="PRED_DIR", help="a folder of predictions with the same stems")
    p.add_argument(
        "--label-ids",
        action="store_true",
        help="values are label ids, as Cityscapes' server takes",
    )
    p.add_argument("--classes", metavar="NAME", help="cityscapes, camvid or a classes.yaml (default: cityscapes with "
                   "--label-ids, else numbers)")  # fmt: skip
    options.plugin(p)
    options.json_output(p)


def _print(figures: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(figures)
    else:
        print_figures(figures)


GROUP = Group(
    "score result files of any tool",
    (
        Command("score coco", score_coco, coco_arguments, "score coco person_keypoints_val2017.json results.json"),
        Command("score mpii", score_mpii, mpii_arguments, "score mpii gt_valid.mat predictions.mat"),
        Command(
            "score segmentation",
            score_segmentation,
            segmentation_arguments,
            "score segmentation gtFine/val found",
        ),
    ),
)
