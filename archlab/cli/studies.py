"""Commands on a paper's studies: train their rows, write their reports."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli import options
from archlab.cli.output import print_json, print_sheets
from archlab.cli.parser import Command, Group, Parser
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.ablation.plan import Trainings
    from archlab.ablation.predictions import Drawn
    from archlab.ablation.run import AblationResult
    from archlab.ablation.study import Study
    from archlab.ablation.timed import Timing

PAPER = (
    "table6", "table7", "figure4", "table1", "table2", "table3", "table4", "table5", "table8", "figure1",
    "figure2", "figure3", "figure4_all", "section43", "discrepancies",
)  # fmt: skip


def ablate(o: argparse.Namespace) -> int:
    """Train the missing rows of studies and write their tables."""
    from archlab import ablation

    chosen = ablation.AblationOptions(
        recipe=o.recipe, recipe_changes=options.recipe_changes(o), data=o.data, seeds=o.seeds, jobs=o.jobs,
        device=o.device, plugin=o.plugin, out=o.runs, reports=o.reports, reuse_records=o.reuse_records,
        allow_dirty=o.allow_dirty, heavy=o.rows == "all", weights=o.weights,
    )  # fmt: skip
    if o.all and o.studies:
        raise InputError(Problem("all of the paper's studies, so name none", "--all"))
    studies = o.studies or PAPER
    if o.dry_run:
        _print_plan(ablation.plan_ablation(studies, chosen), o.json)
        return 0
    result = ablation.ablate(studies, chosen)
    if o.json:
        print_json(_as_json(result))
        return result.exit_code
    for each in result.tables:
        print(f"{each.source}: {each.title}")
        print_sheets(*each.tables)
    return result.exit_code


def _print_plan(planned: Trainings, as_json: bool) -> None:
    if as_json:
        print_json(planned.as_json())
        return
    for line in planned.lines():
        print(line)


def _as_json(result: AblationResult) -> dict[str, Any]:
    return {
        "runs": [asdict(record) for record in result.records],
        "failed": list(result.failed),
        "reports": [str(path) for path in result.reports],
        "stopped": result.stopped,
    }


def ablate_arguments(p: Parser) -> None:
    p.add_argument("studies", nargs="*", metavar="STUDY", help="names or files (default: all of the paper's)")
    p.add_argument("--all", action="store_true", help="bring all of the paper's tables and figures up to date")
    p.add_argument("--rows", choices=("light", "all"), default="light",
                   help="which rows to train (default: light; heavy ones are counted)")  # fmt: skip
    options.recipe(p)
    options.data(p)
    p.add_argument("--seeds", type=options.numbers, default=(), metavar="1,2,3",
                   help="random seeds, a run each (default: from the recipe)")  # fmt: skip
    p.add_argument("--jobs", type=options.whole, metavar="N",
                   help="runs at a time (default: one per core, or one on a GPU)")  # fmt: skip
    p.add_argument("--reuse-records", action="store_true",
                   help="count runs with a record in REPORTS/records or reports/records as done")  # fmt: skip
    _weights(p)
    _allow_dirty(p)
    p.add_argument("--dry-run", action="store_true", help="print what would run, and for how long; write nothing")
    options.folder(p, "runs", old="--out")
    options.folder(p, "reports", default="results")
    options.device(p)
    options.plugin(p)
    options.json_output(p, "print one JSON object: records, failed runs and the files written")


def report(o: argparse.Namespace) -> None:
    """Write tables or plots of studies from run records alone.

    The report of a search is written again from its result.json.
    """
    from archlab.ablation.load import load_study
    from archlab.ablation.predictions import check_weights
    from archlab.ablation.report import write_report
    from archlab.search.report.write import is_result, rewrite_search

    if o.records and not o.records.is_dir():
        raise InputError(Problem("no such folder of run records", "--records", str(o.records)))
    records = o.records or o.reports / "records"
    asked = [Path(name) if is_result(name) else load_study(name, o.plugin) for name in o.studies]
    check_weights(o.weights, asked)
    timing = _timing(o)
    if timing and (search := next((each for each in asked if isinstance(each, Path)), None)):
        rule = "a search shows latency if it is an objective or a limit of it; its page has it among the axes"
        raise InputError(Problem(rule, "--cost", str(search)))
    written: list[Path] = []
    for study in asked:
        if isinstance(study, Path):
            written += rewrite_search(study, plugin=o.plugin)
        else:
            written += write_report(study, records, o.reports, plugin=o.plugin, allow_dirty=o.allow_dirty,
                                    drawn=_drawn(study, o), timing=timing)  # fmt: skip
    if o.json:
        print_json([str(path) for path in written])
        return
    for path in written:
        print(path)


def _timing(o: argparse.Namespace) -> Timing | None:
    """Return the measured times that the tables and plots show; None for multiply-adds alone."""
    if o.cost != "latency":
        named = {"--latency": o.latency, "--runtime": o.runtime, "--threads": o.threads}
        if wrong := [option for option, value in named.items() if value is not None]:
            raise InputError(Problem("says which time is shown: ask for it by --cost latency", wrong[0]))
        return None
    from archlab.ablation.timed import read_timing

    return read_timing(o.latency or o.reports / "latency", runtime=o.runtime or "eager", threads=o.threads)


def _drawn(study: Study, o: argparse.Namespace) -> Drawn | None:
    """Return the weights and the pictures of a study of predictions, None for another study."""
    from archlab.ablation.drawings import Predictions

    if not isinstance(study, Predictions):
        return None
    from archlab.ablation.plan import AblationOptions, weights_of
    from archlab.ablation.predictions import Drawn

    found = weights_of(study, AblationOptions(data=o.data, plugin=o.plugin, out=o.runs, weights=o.weights))
    return Drawn(found, o.data, o.device)


def report_arguments(p: Parser) -> None:
    p.add_argument("studies", nargs="+", metavar="STUDY", help="names or files, or a search's result.json or folder")
    p.add_argument("--records", type=Path, metavar="DIR", help="run records (default: records/ in the report folder)")
    options.folder(p, "reports", old="--out", default="results")
    p.add_argument("--cost", choices=("flops", "latency"), default="flops", metavar="COST",
                   help="flops (default), or latency: measured milliseconds, in files NAME_latency")  # fmt: skip
    p.add_argument("--latency", type=Path, metavar="PATH",
                   help="record of bench --save, or its folder (default: latency/ in the report folder)")  # fmt: skip
    p.add_argument("--runtime", metavar="NAME", help="of the record (default: eager)")
    p.add_argument("--threads", type=options.threads, metavar="N", help="of the record (default: its fewest)")
    _weights(p)
    options.data(p)
    options.folder(p, "runs")
    options.device(p)
    _allow_dirty(p)
    options.plugin(p)
    options.json_output(p, "print one JSON list: the files written")


def index(o: argparse.Namespace) -> None:
    """Write index.html: one page with all reports and networks."""
    from archlab.site.build import write_index

    path = write_index(o.reports, o.searches)
    if o.json:
        print_json(str(path))
    else:
        print(path)


def index_arguments(p: Parser) -> None:
    options.folder(p, "reports", default="results")
    options.folder(p, "searches")
    options.json_output(p, "print one JSON string: the file written")


def _weights(p: Parser) -> None:
    p.add_argument("--weights", type=Path, metavar="PATH",
                   help="draw figure3 with these: a run's folder, or a file, ours or released")  # fmt: skip


def _allow_dirty(p: Parser) -> None:
    p.add_argument("--allow-dirty", action="store_true",
                   help="accept runs of uncommitted changes in a folder under version control")  # fmt: skip


GROUP = Group(
    "compare: the tables of a paper",
    (
        Command("ablate", ablate, ablate_arguments, "ablate table6 table7 --seeds 1,2,3"),
        Command("report", report, report_arguments, "report table6 figure4"),
        Command("index", index, index_arguments, "index --reports results"),
    ),
)
