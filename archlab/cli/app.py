"""The command line: parse, load, call, print; a command is a function."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

import archlab
from archlab import yamlio
from archlab.cli import search as cli_search
from archlab.cli.options import command, console, device, first_line, numbers, size
from archlab.cli.options import study as which_study
from archlab.core.errors import InputError, Problem
from archlab.yamlio import Item

LISTED = ("networks", "spaces", "studies", "recipes", "blocks", "datasets")

if TYPE_CHECKING:
    from archlab.search.run import Options
    from archlab.training.recipe import Recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 for a failed run, 2 for a mistake in the input, 130 or 143 when stopped."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def build(o: argparse.Namespace) -> None:
    """Assemble a network and print its cost."""
    from archlab.counting import count as counting
    from archlab.counting import table as summary

    spec = _spec(o)
    graph = archlab.assemble(spec)
    cost = counting.cost(graph)
    if o.weights:
        from archlab.network import checkpoint
        from archlab.network import module as network

        kind = checkpoint.load_weights(network.build(graph), o.weights)
        print(f"{o.weights}: {kind}, every tensor fits", file=sys.stderr)
    if o.draw:
        from archlab.core.files import write_text
        from archlab.report.drawing import draw

        write_text(o.draw, draw(graph))
        print(f"wrote {o.draw}", file=sys.stderr)
    if o.json:
        print(json.dumps(summary.as_json(graph, cost)))
    else:
        console().print(summary.as_table(graph, cost))


def show_list(o: argparse.Namespace) -> None:
    """What archlab ships and what plug-ins add, by name."""
    from archlab.blocks import registry
    from archlab.core import builtin
    from archlab.search.space import space

    known: dict[str, Mapping[str, Any]] = {
        "networks": {n: p for n, p in builtin.names("search_spaces", "*/*.yaml").items() if n not in {"base", "space"}},
        "spaces": space.names(),
        "studies": builtin.names("studies", "*.yaml"),
        "recipes": builtin.names("studies", "recipes/*.yaml"),
        "blocks": registry.blocks(o.plugin),
        "datasets": registry.datasets(o.plugin),
    }
    if o.json:
        print(json.dumps({kind: [*names] for kind, names in known.items()}))
        return
    for kind, names in known.items():
        if names and o.kind in (None, kind):
            table = Table(title=kind, title_style="bold", title_justify="left", show_header=False, box=None)
            for name, what in names.items():
                table.add_row(name, _about(what) if isinstance(what, Path) else first_line(what))
            console().print(table)


def train(o: argparse.Namespace) -> None:
    """Train and score one network."""
    from archlab.core.distributed import is_first_process
    from archlab.training import run as training
    from archlab.training.recipe import load_recipe
    from archlab.training.runs import read_record

    recipe = load_recipe(o.recipe)
    o.input = o.input or recipe.input
    spec = _fitting_spec(o, recipe)
    folder = training.train(
        spec, recipe, o.data, seed=o.seed, out=o.out, fields={n: v.plain() for n, v in _fields(o).items()},
        device=o.device, threads=o.threads, resume=not o.fresh, weights=o.weights,
        tensorboard=o.tensorboard,
    )  # fmt: skip
    if is_first_process():
        _print_scores(read_record(folder).scores, str(folder))


def show_runs(o: argparse.Namespace) -> None:
    """The runs of a folder: state, scores, disk use."""
    from archlab.training.runs import list_runs, runs_table

    rows = list_runs(o.folder)
    if o.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        console().print(runs_table(rows))


def evaluate(o: argparse.Namespace) -> None:
    """Score a finished run again, on the same or on other data."""
    from archlab.training.evaluate import evaluate_run

    scores = evaluate_run(o.run, o.data, boxes=o.boxes, device=o.device, results=o.results, plugin=o.plugin)
    if o.json:
        print(json.dumps(scores))
    else:
        _print_scores(scores, str(o.run))


def synthesise(o: argparse.Namespace) -> None:
    """Draw synthetic people in COCO's layout, and print their statistics."""
    from archlab.tasks.pose import synthetic

    out = synthetic.generate(o.out, level=o.level, train=o.train, val=o.val, seed=o.seed, processes=o.jobs)
    table = Table(title=str(out), title_style="bold", title_justify="left", show_header=False)
    annotations = json.loads((out / "annotations" / "person_keypoints_val2017.json").read_text())
    for name, value in synthetic.statistics(annotations).items():
        table.add_row(name.replace("_", " "), f"{value:.2f}" if value != int(value) else f"{value:.0f}")
    console().print(table)


def convert(o: argparse.Namespace) -> None:
    """Write a data set that a plug-in reads in COCO's layout."""
    from archlab.tasks.pose.data.convert import convert as write

    for split, people in write(o.name, o.source, o.out, plugin=o.plugin).items():
        print(f"{o.out} {split}: {people} labelled people")


def ablate(o: argparse.Namespace) -> int:
    """Train the rows of studies that are missing and print and write their tables."""
    from archlab.ablation.run import ablate as run

    return run(
        o.studies, recipe=o.recipe, data=o.data, seeds=o.seeds, jobs=o.jobs, dry_run=o.dry_run, device=o.device,
        plugin=o.plugin, out=o.out, reports=o.reports, reuse_records=o.reuse_records,
    )  # fmt: skip


def search(o: argparse.Namespace) -> int:
    """Search a space: finish a study's trials, train its front again, write its page."""
    from archlab.search import run as explore

    return explore.worker(_exploring(o)) if o.worker else explore.search(_exploring(o))


def score_coco(o: argparse.Namespace) -> None:
    """Score any tool's COCO keypoint results: pycocotools' ten figures, 0 to 100."""
    from archlab.tasks.pose.score_files import score_coco as figures

    _print_figures(figures(o.truth, o.results), o.json)


def score_mpii(o: argparse.Namespace) -> None:
    """Score any tool's MPII predictions: PCKh by joint and its two means, 0 to 100."""
    from archlab.tasks.pose.score_files import score_mpii as figures

    _print_figures(figures(o.truth, o.predictions), o.json)


def report(o: argparse.Namespace) -> None:
    """Write a study's tables or plot from the records alone."""
    from archlab.ablation.report import report as write

    if o.records and not o.records.is_dir():
        raise InputError(Problem("no such folder of run records", "--records", str(o.records)))
    for study in o.studies:
        for path in write(study, o.records or o.out / "records", o.out, plugin=o.plugin):
            print(path)


def schema(o: argparse.Namespace) -> None:
    """A JSON Schema for an editor, of one kind of file."""
    from archlab.cli import schemas

    print(json.dumps(schemas.schema(o.kind, plugin=o.plugin), indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="archlab", description=archlab.__doc__)
    parser.add_argument("--version", action="version", version=f"archlab {archlab.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    p = command(commands, "build", build, network=True)
    p.add_argument("--input", type=size, metavar="HxW", help="input size, in place of the file's")
    p.add_argument("--outputs", type=int, metavar="K", help="heat-maps, in place of the file's")
    p.add_argument("--weights", type=Path, metavar="FILE", help="check that a checkpoint (ours or released) fits")
    p.add_argument("--draw", type=Path, metavar="FILE.svg", help="draw the block graph")
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    p = command(commands, "list", show_list)
    p.add_argument("kind", nargs="?", choices=LISTED)
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    p = command(commands, "train", train, network=True)
    p.add_argument("--recipe", default="quick", help="a recipe's name or file (default: quick)")
    p.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder in COCO's or MPII's layout (default: made as the recipe says)",
    )
    p.add_argument("--seed", type=int, metavar="N", help="in place of the recipe's")
    p.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR", help="where run folders lie (default: runs)"
    )
    p.add_argument("--threads", type=int, metavar="N", help="CPU threads; a run repeats bit for bit at the same number")
    p.add_argument("--weights", type=Path, metavar="FILE", help="begin with a checkpoint, ours or released")
    p.add_argument("--tensorboard", action="store_true", help="write TensorBoard events too (archlab[tensorboard])")
    p.add_argument("--fresh", action="store_true", help="start anew, also where a run is there already")
    p.add_argument("--input", type=size, metavar="HxW", help=argparse.SUPPRESS)
    p.add_argument("--outputs", type=int, metavar="K", help="heat-maps (default: as many as the data has keypoints)")
    device(p)

    p = command(commands, "runs", show_runs)
    p.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR", help="(default: runs)")
    p.add_argument("--json", action="store_true", help="print one JSON list and nothing else")

    p = command(commands, "eval", evaluate)
    p.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    p.add_argument("--data", type=Path, metavar="DIR", help="other data in COCO's layout (default: the run's)")
    p.add_argument("--boxes", choices=["ground_truth", "detector", "both"], help="in place of the recipe's")
    p.add_argument("--results", type=Path, metavar="FILE", help="write the COCO results")
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    device(p)

    data = commands.add_parser("data", help="make data").add_subparsers(required=True, metavar="WHAT")
    p = command(data, "synth", synthesise)
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
    p.add_argument("--level", choices=["quick", "full"], default="quick")
    p.add_argument("--train", type=int, default=2000, metavar="N", help="training images (default: 2000)")
    p.add_argument("--val", type=int, default=500, metavar="M", help="validation images (default: 500)")
    p.add_argument("--seed", type=int, default=1, metavar="S")
    p.add_argument(
        "--jobs", type=int, metavar="N", help="processes (default: one a core); the pictures do not depend on it"
    )

    p = command(data, "convert", convert)
    p.add_argument("name", metavar="NAME", help="a data set of yours (archlab list datasets)")
    p.add_argument("source", type=Path, metavar="SOURCE", help="its own file or folder")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")

    p = command(commands, "ablate", ablate)
    p.add_argument("studies", nargs="*", default=["table6", "table7", "figure4", "table1", "table2"], metavar="STUDY",
                   help="names or files (default: all of the paper's)")  # fmt: skip
    p.add_argument("--recipe", metavar="NAME", help="in place of the studies' own")
    p.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder in COCO's or MPII's layout (default: made as the recipe says)",
    )
    p.add_argument("--seeds", type=numbers, default=(), metavar="1,2,3", help="runs a row (default: the recipe's one)")
    p.add_argument("--jobs", type=int, metavar="N", help="runs at once (default: one a core, or one on a GPU)")
    p.add_argument(
        "--reuse-records", action="store_true", help="a record in REPORTS/records is as good as its run folder"
    )
    p.add_argument("--dry-run", action="store_true", help="say what would run, and for how long")
    p.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR", help="where run folders lie (default: runs)"
    )
    p.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="where tables go (default: reports)"
    )
    device(p)

    p = command(commands, "search", search)
    which_study(p, help="a search's name or file (archlab list studies)")
    device(p)
    p.add_argument("--trials", type=int, metavar="N", help="finished trials in all (default: as the search says)")
    p.add_argument("--jobs", type=int, metavar="N", help="workers (default: one a core, or one a GPU)")
    p.add_argument(
        "--engine", choices=["processes", "ray"], default="processes", help="where workers run (default: here)"
    )
    p.add_argument(
        "--grace", type=int, default=60, metavar="SECONDS", help="after which a silent machine's worker is lost"
    )
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)

    cli_search.add(commands)

    score = commands.add_parser("score", help="score result files of any tool").add_subparsers(
        required=True, metavar="WHAT"
    )
    p = command(score, "coco", score_coco)
    p.add_argument("truth", type=Path, metavar="GT.json", help="annotations in COCO's layout")
    p.add_argument("results", type=Path, metavar="RESULTS.json", help="a list of COCO keypoint results")
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    p = command(score, "mpii", score_mpii)
    p.add_argument("truth", type=Path, metavar="GT.mat", help="MPII's ground truth")
    p.add_argument("predictions", type=Path, metavar="PREDICTIONS.mat", help="`preds`, counting pixels from 1")
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    p = command(commands, "report", report)
    p.add_argument("studies", nargs="+", metavar="STUDY", help="names or files")
    p.add_argument("--records", type=Path, metavar="DIR", help="run records (default: records/ in the output folder)")
    p.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where tables go (default: reports)"
    )

    p = command(commands, "schema", schema)
    p.add_argument("kind", choices=["network", "space", "recipe", "study", "search"])
    return parser


def _exploring(o: argparse.Namespace) -> Options:
    from archlab.search.run import Options

    plugin = tuple(o.plugin)
    return Options(o.study, o.trials, o.jobs, o.storage, o.data, o.device, o.out, plugin, o.engine, o.grace)


def _spec(o: argparse.Namespace) -> archlab.Spec:
    size = (3, *o.input) if o.input else None
    fields: dict[str, Any] = {"outputs": o.outputs, **_fields(o)}
    return archlab.load(o.spec, input=size, plugin=o.plugin, **fields)


def _fitting_spec(o: argparse.Namespace, recipe: Recipe) -> archlab.Spec:
    """The network with as many outputs as the data labels keypoints, where the user does not say how many."""
    from archlab.core.distributed import is_first_process
    from archlab.tasks.pose.data.sets import labelled_keypoints

    spec = _spec(o)
    said = o.outputs is not None or "outputs" in _fields(o)
    labelled = None if said else labelled_keypoints(recipe.dataset, o.data)
    if labelled in (None, spec.outputs):
        return spec
    if is_first_process():
        print(f"{labelled} outputs, as the data labels, and not {spec.outputs}", file=sys.stderr)
    o.outputs = labelled
    return _spec(o)


def _fields(o: argparse.Namespace) -> dict[str, Item]:
    wrong = [text for text in o.fields if "=" not in text]
    if wrong:
        raise InputError(Problem(f"expected FIELD=VALUE, found {text!r}", "--set") for text in wrong)
    pairs = [text.split("=", 1) for text in o.fields]
    fields = {name.strip(): yamlio.item_of_text(value, file="--set") for name, value in pairs}
    if "input" in fields:
        raise InputError(Problem("is the recipe's, and for `archlab build` --input says it", "input", "--set"))
    return fields


def _print_scores(scores: dict[str, Any], title: str) -> None:
    names = list(dict.fromkeys(name for figures in scores.values() for name in figures))
    table = Table("boxes", *names, title=title, title_style="bold", title_justify="left")
    for kind, figures in scores.items():
        shown = ["-" if figures.get(name) is None else f"{figures[name]:.1f}" for name in names]
        table.add_row(kind.removesuffix("_boxes").replace("_", " "), *shown)
    console().print(table)


def _print_figures(figures: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    table = Table(show_header=False)
    for name, value in figures.items():
        inner = value.items() if isinstance(value, dict) else [(name, value)]
        for each, figure in inner:
            table.add_row(each, "-" if figure is None else f"{figure:.3f}")
        if isinstance(value, dict):
            table.add_section()
    console().print(table)


def _about(path: Path) -> str:
    """A file's own title, or else its first comment; that a study is a search is said before."""
    entries = yamlio.read(path).entries
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    comment = first.removeprefix("#").strip() if first.startswith("#") else ""
    about = str(entries["title"].value) if "title" in entries else comment
    return f"search: {about}" if "kind" in entries and entries["kind"].value == "search" else about
