"""Scoring a set of COCO val2017's size: ours against pycocotools, and our OKS-NMS against the reference's loop.

    python benchmarks/evaluation.py --out reports/benchmarks/evaluation.json

Everything is drawn from a seed: 5,000 images, 11,004 annotated people, 104,125 detections as the usual detector file
holds. Peer and ours alternate in one process on one thread, timed by its processor seconds, which a busy machine
changes little. What is compared must be equal or the run fails. Reading the JSON files is left out: all share it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import contextlib
import copy
import datetime
import importlib.util
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from archlab.core.files import write_json
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.coco_ap import FIGURES, keypoint_figures, score_keypoints
from archlab.tasks.pose.metrics.coco_files import found_from, read_truth
from archlab.tasks.pose.metrics.nms import suppress_doubles
from archlab.tasks.pose.metrics.oks import oks_nms

IMAGES, PEOPLED, PEOPLE, CROWDS, LABELLED, DETECTIONS = 5000, 2693, 11_004, 227, 6352, 104_125
"""Of val2017: its images, those with people, annotated people, of them crowds and people with labelled keypoints; and
the boxes of the usual detector file."""


@dataclass(frozen=True)
class Detected:
    """What a network says of D detected people: a row each."""

    images: np.ndarray
    points: np.ndarray
    heights: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


@dataclass(frozen=True)
class Row:
    what: str
    peer: str
    peer_cpu_seconds: float
    our_cpu_seconds: float
    ratio: float
    aim: float | None


def draw_truth(random: np.random.Generator) -> dict[str, Any]:
    """An annotation document with val2017's counts; people of one image overlap."""
    peopled = random.permutation(IMAGES)[:PEOPLED]
    image = np.concatenate((peopled, random.choice(peopled, PEOPLE - PEOPLED, p=random.dirichlet(np.ones(PEOPLED)))))
    kind = random.permutation(PEOPLE)
    annotations = []
    for row in range(PEOPLE):
        height = float(np.exp(random.uniform(np.log(20), np.log(450))))
        box = [*random.uniform(0, 400, 2), height * random.uniform(0.3, 0.9), height]
        points = np.zeros((COCO.count, 3))
        if kind[row] < LABELLED:
            seen = random.random(COCO.count) < 0.65
            seen[random.integers(COCO.count)] = True
            points[seen] = np.c_[box[:2] + random.random((seen.sum(), 2)) * box[2:], np.full(seen.sum(), 2)].round(2)
        annotations.append({
            "id": row + 1, "image_id": int(image[row]), "category_id": 1, "bbox": list(map(float, box)),
            "area": float(box[2] * box[3] * random.uniform(0.4, 0.7)), "iscrowd": int(kind[row] >= PEOPLE - CROWDS),
            "num_keypoints": int((points[:, 2] > 0).sum()), "keypoints": points.flatten().tolist(),
        })  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO.names)}]
    return {"images": [{"id": i} for i in range(IMAGES)], "annotations": annotations, "categories": categories}


def draw_detections(random: np.random.Generator, document: dict[str, Any]) -> Detected:
    """Per person up to four detections of differing quality, the rest false alarms anywhere with low scores."""
    truth = read_truth(document, joints=COCO.count)
    real = np.repeat(np.arange(len(truth)), random.integers(0, 5, len(truth)))
    alarms = DETECTIONS - len(real)
    boxes = np.concatenate(
        (truth.boxes[real], np.c_[random.uniform(0, 400, (alarms, 2)), random.uniform(20, 200, (alarms, 2))])
    )
    images = np.concatenate((truth.images[truth.cell[real]], random.integers(0, IMAGES, alarms)))
    guess = truth.boxes[:, None, :2] + random.random(truth.points.shape) * truth.boxes[:, None, 2:]
    poses = np.where(truth.labelled[:, :, None], truth.points, guess)
    anywhere = boxes[len(real) :, None, :2] + random.random((alarms, COCO.count, 2)) * boxes[len(real) :, None, 2:]
    points = np.concatenate((poses[real], anywhere))
    spread = random.choice([0.002, 0.01, 0.03, 0.1], DETECTIONS) * np.sqrt(boxes[:, 2] * boxes[:, 3])
    points += random.normal(0, 1, points.shape) * spread[:, None, None]
    scores = np.where(
        np.arange(DETECTIONS) < len(real), random.uniform(0.2, 1, DETECTIONS), random.beta(1, 8, DETECTIONS)
    )
    order = np.argsort(images, kind="stable")
    areas = boxes[:, 2] * boxes[:, 3] * 1.25**2
    heights = random.uniform(0.1, 1, (DETECTIONS, COCO.count))
    return Detected(*(column[order] for column in (images, points, heights, scores, areas)))


def by_image(found: Detected) -> list[np.ndarray]:
    return np.split(np.arange(DETECTIONS), np.flatnonzero(np.diff(found.images)) + 1)


def loop_nms(found: Detected, threshold: float = 0.9) -> np.ndarray:
    """OKS-NMS as HRNet and Lite-HRNet run it: one detection after another against the rest of its image, in a loop."""
    variances = (np.array(COCO.sigmas) * 2) ** 2
    kept = []
    for rows in by_image(found):
        flat = found.points[rows].reshape(len(rows), -1)
        scores, areas = found.scores[rows], found.areas[rows]
        order, keep = scores.argsort()[::-1], []
        while order.size > 0:
            best, rest = order[0], order[1:]
            keep.append(best)
            likeness = np.zeros(len(rest))
            for n, other in enumerate(rest):
                dx, dy = flat[other, 0::2] - flat[best, 0::2], flat[other, 1::2] - flat[best, 1::2]
                e = (dx**2 + dy**2) / variances / ((areas[best] + areas[other]) / 2 + np.spacing(1)) / 2
                likeness[n] = np.sum(np.exp(-e)) / e.shape[0]
            order = rest[np.where(likeness <= threshold)[0]]
        kept.append(rows[keep])
    return np.concatenate(kept)


def our_nms(found: Detected) -> np.ndarray:
    columns = (found.points, found.scores, found.areas)
    return np.concatenate([rows[oks_nms(*(c[rows] for c in columns), COCO.sigmas)] for rows in by_image(found)])


def as_results(found: Detected, rows: np.ndarray) -> list[dict[str, Any]]:
    triples = np.concatenate((found.points, found.heights[:, :, None]), axis=2)[rows].reshape(len(rows), -1)
    columns = (found.images[rows].tolist(), triples.tolist(), found.scores[rows].tolist())
    return [
        {"image_id": image, "category_id": 1, "keypoints": points, "score": score}
        for image, points, score in zip(*columns, strict=True)
    ]


def peer_figures(
    reader: Any, evaluation: Any, document: dict[str, Any], results: list[dict[str, Any]]
) -> dict[str, float]:
    """The ten figures by a package with pycocotools' interface; it writes into what it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = reader()
        truth.dataset = document
        truth.createIndex()
        run = evaluation(truth, truth.loadRes(results), "keypoints")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {name: 100.0 * float(value) for name, value in zip(FIGURES, run.stats, strict=False)}


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    answer = action()
    return time.process_time() - start, answer


def compare(
    peer: str,
    theirs: Callable[[], Callable[[], Any]],
    ours: list[tuple[str, Callable[[], Any], float | None]],
    repeats: int,
) -> list[Row]:
    """A row for each of our ways (name, action, aim): medians of alternating runs, an error where answers differ.

    `theirs` prepares a fresh run, untimed: the peers write into what they are given.
    """
    times: dict[str, list[float]] = {name: [] for name in (peer, *(what for what, _, _ in ours))}
    for _ in range(repeats):
        seconds, expected = timed(theirs())
        times[peer].append(seconds)
        for what, action, _ in ours:
            seconds, answer = timed(action)
            times[what].append(seconds)
            assert np.array_equal(answer, expected), f"{what}: {peer} says {expected} and ours {answer}"
    median = {name: statistics.median(values) for name, values in times.items()}
    return [
        Row(what, peer, round(median[peer], 4), round(median[what], 4), round(median[peer] / median[what], 2), aim)
        for what, _, aim in ours
    ]


def measure(seed: int, repeats: int) -> tuple[list[Row], int]:
    """The rows of the table, and how many detections OKS-NMS keeps."""
    random = np.random.default_rng(seed)
    document = draw_truth(random)
    found = draw_detections(random, document)
    columns = (found.images, found.points, found.scores, found.areas, COCO.sigmas)
    at_once = ("OKS-NMS, all at once", lambda: suppress_doubles(*columns), 10.0)
    by_image = ("OKS-NMS, image by image", lambda: our_nms(found), None)
    rows = compare("reference loop", lambda: lambda: loop_nms(found), [at_once, by_image], repeats)
    kept = suppress_doubles(*columns)
    results = as_results(found, kept)
    truth = read_truth(document, joints=COCO.count)
    arrays = (found.images[kept], 1, found.points[kept], found.scores[kept])
    for name, reader, evaluation, aim in peers():

        def fresh(reader: Any = reader, evaluation: Any = evaluation) -> Callable[[], Any]:
            inputs = copy.deepcopy((document, results))
            return lambda: peer_figures(reader, evaluation, *inputs)

        from_lists = ("ten figures, from lists", lambda: score_keypoints(document, results), aim)
        from_arrays = ("ten figures, from arrays", lambda: keypoint_figures(truth, found_from(truth, *arrays)), aim)
        rows += compare(name, fresh, [from_lists, from_arrays], repeats)
    return rows, len(kept)


def peers() -> Iterator[tuple[str, Any, Any, float | None]]:
    """Names, classes and aims of the packages to compare with; faster-coco-eval where it is installed."""
    from pycocotools import coco, cocoeval

    yield "pycocotools", coco.COCO, cocoeval.COCOeval, 3.0
    if importlib.util.find_spec("faster_coco_eval"):
        import faster_coco_eval

        yield "faster-coco-eval", faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster, None


def circumstances() -> dict[str, Any]:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    device = f"{models[0] if models else platform.machine()}, 1 of {os.cpu_count()} threads"
    versions = {"python": platform.python_version()}
    for name in ("numpy", "pycocotools", "faster-coco-eval"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {"date": datetime.date.today().isoformat(), "device": device, "versions": versions}


def show(rows: list[Row]) -> None:
    table = Table(title="Scoring a set of val2017's size, on one thread")
    for heading in ("what", "peer", "peer CPU s", "ours CPU s", "times faster", "aim"):
        table.add_column(heading, justify="left" if heading in ("what", "peer") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in asdict(row).values()))
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    choice = parser.parse_args()
    rows, kept = measure(choice.seed, choice.repeats)
    show(rows)
    if choice.out:
        drawn = {"images": IMAGES, "people": PEOPLE, "detections": DETECTIONS, "after_nms": kept, "seed": choice.seed}
        head = {"benchmark": "evaluation", **circumstances(), "set": drawn, "repeats": choice.repeats}
        write_json(choice.out, head | {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
