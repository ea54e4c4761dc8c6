"""Commands for a trained network: predictions for pictures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli import options
from archlab.cli.bench import bench, bench_arguments
from archlab.cli.export import export, export_arguments
from archlab.cli.output import print_json, print_table
from archlab.cli.parser import Command, Group, Parser
from archlab.core import notes
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.deploy.boxes import BoxFile
    from archlab.deploy.predictor import Predictor
    from archlab.deploy.sources import Sources
    from archlab.tasks.prediction import Prediction

FORMATS = ("coco", "cityscapes")


def predict(o: argparse.Namespace) -> None:
    """Find people's keypoints, or pixels' classes, in pictures.

    NETWORK is a run folder, runs/NAME for the run of the network NAME in runs, a
    network's name or file with `--weights`, or a file of `archlab export --onnx`.
    A file that cannot be read is named and skipped.
    """
    from archlab.deploy.boxes import read_boxes
    from archlab.deploy.outputs import write_results
    from archlab.deploy.predictor import Predictor
    from archlab.deploy.sources import find_sources

    sources = find_sources(o.inputs)
    boxes = read_boxes(o.boxes, least=o.least_score) if o.boxes else None
    if boxes:
        boxes.check(sources.files)
    predictor = Predictor(o.spec, o.weights, recipe=o.recipe, device=o.device, batch=o.batch, fields=options.fields(o),
                          plugin=o.plugin)  # fmt: skip
    _check(o, predictor)
    results = list(_results(o, predictor, sources, boxes))
    if len(sources.skipped) == len(sources.files):
        raise InputError("no picture could be read")
    if o.out:
        write_results(o.out, results)
        notes.note(f"wrote {o.out}")
    if o.json or (o.format == "coco" and not o.out):
        print_json(results)
    elif o.format is None:
        _print(results)


def _check(o: argparse.Namespace, predictor: Predictor) -> None:
    """Raise InputError for a format or boxes that the task does not have."""
    task = predictor.task
    if o.format and o.format not in task.formats:
        raise InputError(Problem(f"{task.name} has the format {', '.join(task.formats)}", "--format"))
    if o.format == "cityscapes" and not o.out:
        raise InputError(Problem("label maps are written to a folder: name it by --out", "--format"))
    if o.boxes and not task.boxed:
        raise InputError(Problem(f"{task.name} looks at whole pictures", "--boxes"))


def _results(
    o: argparse.Namespace, predictor: Predictor, sources: Sources, boxes: BoxFile | None
) -> Iterator[dict[str, Any]]:
    """Yield the results of all pictures, writing those that are drawn as they come."""
    from archlab.core.progress import progress
    from archlab.deploy.outputs import OutputFolder, results_of
    from archlab.deploy.predictor import pictures_of

    start, count = time.perf_counter(), 0
    writer = OutputFolder(o.out, labels=o.format == "cityscapes") if o.out else nullcontext()
    with progress("predicting", len(sources)) as advance, writer as folder:

        def counted() -> Iterator[Prediction]:
            nonlocal count
            for found in predictor.predict(pictures_of(sources.frames(), boxes)):
                if folder:
                    folder.add(found)
                count += 1
                advance()
                yield found

        yield from results_of(counted(), o.format)
    seconds = time.perf_counter() - start
    notes.note(f"{count} pictures in {seconds:.1f} s, {count / seconds:.1f} a second")


def _print(results: list[dict[str, Any]]) -> None:
    """Print a line a picture: its people with their scores, or its largest classes."""
    from rich.table import Table

    people = any("people" in each for each in results)
    table = Table("picture", "people" if people else "classes", "score" if people else "share of pixels")
    table.columns[0].overflow = "fold"
    for each in results:
        if people:
            scores = ", ".join(f"{person['score']:.2f}" for person in each["people"])
            table.add_row(each["image"], str(len(each["people"])), scores)
        else:
            names, shares = zip(*list(each["classes"].items())[:4], strict=True)
            table.add_row(each["image"], ", ".join(names), ", ".join(f"{share:.0%}" for share in shares))
    print_table(table)


def predict_arguments(p: Parser) -> None:
    options.network(
        p, of="NETWORK", help="a run (its folder, or runs/NETWORK), a network with --weights, or an ONNX file"
    )
    p.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures, folders, patterns or videos")
    p.add_argument("--weights", type=Path, metavar="FILE", help="weights, ours or released (default: the run's)")
    p.add_argument("--recipe", metavar="RECIPE", help="gives task, input and decoding (default: the run's; else pose)")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--boxes", type=Path, metavar="FILE", help="boxes of people: COCO's detections or annotations")
    which.add_argument("--whole-image", action="store_true", help="one person fills each picture (default)")
    p.add_argument("--least-score", type=options.share, default=0.3, metavar="S",
                   help="leave out boxes of a lower score (default: 0.3)")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="DIR", help="folder for drawn pictures and predictions.json")
    p.add_argument("--format", choices=FORMATS, metavar="FORM",
                   help="coco: results in COCO's format; cityscapes: label maps too, with Cityscapes' ids")  # fmt: skip
    p.add_argument("--batch", type=options.positive, metavar="N", help="crops at a time (default: from the recipe)")
    options.device(p)
    options.plugin(p)
    options.json_output(p, "print the results as one JSON list")


GROUP = Group(
    "use a trained network",
    (
        Command("predict", predict, predict_arguments, "predict runs/FINGERPRINT photos --out drawn"),
        Command("bench", bench, bench_arguments, "bench lite_hrnet_18 hrnet_w32 --threads 1 --rounds 10"),
        Command("export", export, export_arguments, "export lite_hrnet_quick 7 --out mine.yaml"),
    ),
)
