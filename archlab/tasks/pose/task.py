"""Pose estimation as a task: keypoints of people, read from heat-maps."""

from __future__ import annotations

from archlab.tasks.metrics import Metric, View

GROUND_TRUTH, DETECTOR = "ground_truth_boxes", "detector_boxes"
_WEIGHTED = "without pelvis and thorax, each joint weighted by how often it is labelled"
_TABLE, _NOWHERE = frozenset({"table"}), frozenset[str]()


def _coco(name: str, title: str, uses: frozenset[str], *, views: tuple[str, ...] = ()) -> Metric:
    return Metric(name, title, title, uses=uses, views=views, datasets=("coco",))  # type: ignore[arg-type]


METRICS = (
    Metric("ap", "AP", "AP", datasets=("coco",)),
    _coco("ap50", "AP50", _TABLE),
    _coco("ap75", "AP75", _TABLE),
    _coco("apm", "APM", _NOWHERE),
    _coco("apl", "APL", _NOWHERE),
    _coco("ar", "AR", _TABLE),
    Metric(
        "mean_oks",
        "mean_oks",
        "mean OKS",
        "OKS",
        colour="#2a9d5c",
        uses=frozenset({"objective", "curve", "table"}),
        views=(GROUND_TRUTH,),
        datasets=("coco",),
        meaning="the mean over people",
    ),
    Metric(
        "pckh",
        "mean_weighted",
        "PCKh@0.5",
        views=(GROUND_TRUTH,),
        datasets=("mpii",),
        meaning=f"the share of joints within 0.5 of the head's size, {_WEIGHTED}",
    ),
    Metric("pckh_plain", "mean_plain", "PCKh@0.5, plain mean", uses=frozenset(), datasets=("mpii",)),
    Metric(
        "pckh_0.10",
        "mean_weighted_threshold_0.10",
        "PCKh@0.1",
        uses=frozenset({"table"}),
        views=(GROUND_TRUTH,),
        datasets=("mpii",),
        meaning=f"the share of joints within 0.1 of the head's size, {_WEIGHTED}",
    ),
    Metric("pckh_0.11", "mean_weighted_threshold_0.11", "PCKh@0.11", uses=frozenset(), datasets=("mpii",)),
    Metric(
        "pck",
        "pck",
        "PCK@0.1",
        "PCK",
        colour="#c8553d",
        views=(GROUND_TRUTH,),
        meaning="the share of joints within 0.1 of the box's longer side (on MPII, of the square that its scale spans)",
    ),
)
"""COCO's, the mean OKS, MPII's PCKh by the mean that counts joints and by the plain one, and PCK at 0.1 of the box."""


class Pose:
    """Keypoints of people: a top-down crop a person, a heat-map a keypoint."""

    name = "pose"
    metrics = METRICS
    views = (View(GROUND_TRUTH, "ground-truth boxes"), View(DETECTOR, "detector boxes"))


POSE = Pose()
