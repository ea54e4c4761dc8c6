"""Commands that train one network, score it again, and list runs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archlab.cli import options
from archlab.cli.clean import clean, clean_arguments
from archlab.cli.output import print_json, print_plan, print_scores, print_table
from archlab.cli.parser import Command, Group, Parser
from archlab.core.errors import InputError, Problem


def train(o: argparse.Namespace) -> None:
    """Train and score one network; an interrupted run resumes."""
    import archlab
    from archlab.core.distributed import is_first_process
    from archlab.training.options import RunOptions
    from archlab.training.plan import plan_run
    from archlab.training.recipe import load_recipe
    from archlab.training.run import spec_for

    recipe = load_recipe(o.recipe, plugin=o.plugin, changes=options.recipe_changes(o))
    outputs = {} if o.outputs is None else {"outputs": o.outputs}
    spec = spec_for(o.spec, recipe, o.data, fields={**outputs, **options.fields(o)}, plugin=o.plugin)
    settings: dict[str, Any] = {
        "seed": o.seed, "out": o.runs, "fields": {name: value.plain() for name, value in options.fields(o).items()},
        "device": o.device, "threads": o.threads, "resume": not o.fresh, "weights": o.weights,
        "tensorboard": o.tensorboard, "plugin": tuple(o.plugin),
    }  # fmt: skip
    if o.dry_run:
        print_plan(plan_run(spec, recipe, o.data, RunOptions(**settings)).as_json(), o.json)
        return
    run = archlab.train(spec, recipe, data=o.data, **settings)
    if not is_first_process():
        return
    if o.json:
        print_json({"folder": str(run.folder), **asdict(run.record)})
    else:
        print_scores(run.scores, str(run.folder))


def train_arguments(p: Parser) -> None:
    options.network(p)
    options.recipe(p, default="quick")
    options.data(p)
    p.add_argument("--seed", type=options.whole, metavar="N", help="random seed (default: from the recipe)")
    options.folder(p, "runs", old="--out")
    p.add_argument(
        "--threads",
        type=options.threads,
        metavar="N",
        help="CPU threads (default: from the recipe); results repeat bit for bit at equal numbers",
    )
    p.add_argument("--weights", type=Path, metavar="FILE", help="initialise from a checkpoint (ours or released)")
    p.add_argument("--tensorboard", action="store_true", help="write TensorBoard events too (archlab[tensorboard])")
    p.add_argument("--fresh", action="store_true", help="start again, even if the run exists")
    p.add_argument("--outputs", type=options.whole, metavar="K",
                   help="number of heat-maps (default: the data's keypoints)")  # fmt: skip
    p.add_argument("--dry-run", action="store_true", help="print the resolved network and recipe; write nothing")
    options.device(p)
    options.plugin(p)
    options.json_output(p, "print the run's record as one JSON object")


def show_runs(o: argparse.Namespace) -> None:
    """List the runs of a folder with state, score and disk use."""
    from archlab.training.listing import list_runs, runs_table

    if o.page:
        from archlab.core.notes import note
        from archlab.site.runs import write_runs

        note(f"wrote {write_runs(o.folder, o.page, plugin=tuple(o.plugin))}")
    rows = list_runs(o.folder, plugin=tuple(o.plugin))
    if o.json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(runs_table(rows))


def runs_arguments(p: Parser) -> None:
    p.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR",
                   help="folder of runs (default: runs)")  # fmt: skip
    p.add_argument(
        "--page", type=Path, metavar="FILE", help="compare the runs in one HTML file, with curves and predictions"
    )
    options.plugin(p)
    options.json_output(p, "print one JSON list")


def evaluate(o: argparse.Namespace) -> None:
    """Score a finished run again, or a network with a file of weights."""
    import archlab
    from archlab.training.trained import run_folder

    run = run_folder(o.run)
    if o.weights and run:
        raise InputError(Problem("a run is scored with its own weights", "--weights", o.run))
    if o.recipe and not o.weights:
        raise InputError(Problem("a run is scored by its own recipe; --recipe-set changes a field", "--recipe"))
    changes = options.recipe_changes(o) | ({"boxes": o.boxes} if o.boxes else {})
    scores = archlab.evaluate(
        run or o.run, data=o.data, changes=changes, device=o.device, results=o.results, plugin=tuple(o.plugin),
        weights=o.weights, recipe=o.recipe,
    )  # fmt: skip
    if o.json:
        print_json(scores)
    else:
        print_scores(scores, str(o.run))


def evaluate_arguments(p: Parser) -> None:
    p.add_argument("run", metavar="RUN", help="a run folder; with --weights, a network's name or file")
    p.add_argument("--weights", type=Path, metavar="FILE", help="weights of the network, ours or released")
    p.add_argument("--recipe", metavar="RECIPE", help="how weights are scored (default: coco_256x192)")
    p.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the run's data)")
    p.add_argument("--boxes", choices=["ground_truth", "detector", "both"], metavar="KIND",
                   help="ground_truth, detector or both (default: from the recipe)")  # fmt: skip
    options.recipe_set(p)
    p.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="write the predictions: keypoints to a file, label pictures to a folder",
    )
    options.device(p)
    options.plugin(p)
    options.json_output(p)


GROUP = Group(
    "train and score",
    (
        Command("train", train, train_arguments, "train lite_hrnet_18 --recipe quick"),
        Command("runs", show_runs, runs_arguments, "runs"),
        Command("clean", clean, clean_arguments, "clean --dry-run"),
        Command("eval", evaluate, evaluate_arguments, "eval runs/FINGERPRINT --boxes detector"),
    ),
)
