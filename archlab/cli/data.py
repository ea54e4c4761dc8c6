"""Commands that make data: synthetic people, and other data sets in a layout that archlab reads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from archlab.cli import options
from archlab.cli.output import print_json, print_table
from archlab.cli.parser import Command, Group, Parser


def synthesise(o: argparse.Namespace) -> None:
    """Draw synthetic people in COCO's layout.

    Prints their statistics."""
    from rich.table import Table

    from archlab.tasks.pose import synthetic

    out = synthetic.generate(o.out, level=o.level, train=o.train, val=o.val, seed=o.seed, processes=o.jobs)
    annotations = json.loads((out / "annotations" / "person_keypoints_val2017.json").read_text(encoding="utf-8"))
    statistics = synthetic.statistics(annotations)
    if o.json:
        print_json({"folder": str(out), "statistics": statistics})
        return
    table = Table(title=str(out), title_style="bold", title_justify="left", show_header=False)
    for name, value in statistics.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}" if value != int(value) else f"{value:.0f}")
    print_table(table)


def synthesise_arguments(p: Parser) -> None:
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    p.add_argument("--level", choices=["quick", "full"], default="quick", metavar="LEVEL",
                   help="quick: one large person an image; full: crowds (default: quick)")  # fmt: skip
    p.add_argument("--train", type=options.whole, default=2000, metavar="N", help="training images (default: 2000)")
    p.add_argument("--val", type=options.whole, default=500, metavar="N", help="validation images (default: 500)")
    p.add_argument("--seed", type=options.whole, default=1, metavar="N", help="random seed (default: 1)")
    p.add_argument("--jobs", type=options.whole, metavar="N",
                   help="processes (default: one per core); the images do not depend on it")  # fmt: skip
    options.plugin(p)
    options.json_output(p, "print one JSON object: the folder and its statistics")


def convert(o: argparse.Namespace) -> None:
    """Write a data set in the layout that archlab reads."""
    from archlab.tasks.convert import convert as write

    made = write(o.name, o.source, o.out, plugin=o.plugin)
    if o.json:
        print_json({"folder": str(o.out), made.unit: made.counts})
        return
    for split, count in made.counts.items():
        print(f"{o.out} {split}: {count} labelled {made.unit}")


def convert_arguments(p: Parser) -> None:
    p.add_argument("name", metavar="NAME", help="a data set (archlab list datasets)")
    p.add_argument("source", type=Path, metavar="SOURCE", help="its file or folder")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    options.plugin(p)
    options.json_output(p, "print one JSON object: the folder and its people or pictures by split")


GROUP = Group(
    "make data",
    (
        Command("data synth", synthesise, synthesise_arguments, "data synth --out data/people --level full"),
        Command("data convert", convert, convert_arguments, "data convert mine mine.csv --out data/mine"),
    ),
)
