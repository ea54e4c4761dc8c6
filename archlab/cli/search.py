"""Commands that search a space and draw networks from one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.cli import options
from archlab.cli.output import print_json, print_plan, print_table
from archlab.cli.parser import Command, Parser
from archlab.core import notes

if TYPE_CHECKING:
    from archlab.search.options import SearchOptions


def search(o: argparse.Namespace) -> int:
    """Search a space: run trials, re-train the front, write a page.

    A search that was interrupted resumes.
    """
    from archlab.search import run

    chosen = search_options(o)
    if o.dry_run:
        print_plan(run.plan_search(chosen).as_json(), o.json)
        return 0
    if o.worker:
        return run.worker(chosen)
    code = run.search(chosen)
    if o.json:
        _print_result(o)
    return code


def _print_result(o: argparse.Namespace) -> None:
    """Print what the search has found so far, if it was reported."""
    from archlab.core import builtin
    from archlab.search import candidates
    from archlab.search.results import read_result

    folder = o.searches / builtin.find(o.study, "studies", "*.yaml", "search").stem
    if (folder / "result.json").is_file():
        result = read_result(folder / "result.json")
        front = [candidates.as_json(result, each) for each in candidates.best(result)]
        counts = {"asked": result.asked, "finished": len(result.candidates), "complete": len(result.complete)}
        print_json({"study": result.study, "folder": str(folder), "trials": counts, "front": front})


def search_options(o: argparse.Namespace) -> SearchOptions:
    """Return how a search is run, from the command's arguments."""
    from archlab.search.options import STORAGE, SearchOptions

    plugin = tuple(o.plugin)
    storage = o.storage or (os.environ.get(STORAGE) if o.worker else None)
    return SearchOptions(o.study, o.trials, o.jobs, storage, o.data, o.device, o.searches, plugin, o.engine, o.grace)


def search_arguments(p: Parser) -> None:
    options.study(p, help="a search's name (archlab list searches) or file", old="--out")
    p.add_argument("--trials", type=options.whole, metavar="N",
                   help="finished trials in total (default: from the search)")  # fmt: skip
    p.add_argument("--jobs", type=options.whole, metavar="N", help="workers (default: one per core, or one per GPU)")
    p.add_argument("--engine", choices=["processes", "ray"], default="processes", metavar="ENGINE",
                   help="run workers as local processes or on a Ray cluster: processes (default) or ray")  # fmt: skip
    p.add_argument(
        "--grace",
        type=options.whole,
        default=60,
        metavar="SECONDS",
        help="seconds without a heartbeat before a remote worker is considered dead (default: 60)",
    )
    p.add_argument("--dry-run", action="store_true", help="print the resolved search and its progress; write nothing")
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options.device(p)
    options.plugin(p)
    options.json_output(p, "print one JSON object: trials and front")


def sample(o: argparse.Namespace) -> None:
    """Draw distinct networks from a space, counted, not trained."""
    from archlab.core.files import write_text
    from archlab.core.progress import progress
    from archlab.search.space import sample as sampling
    from archlab.search.space.gate import Gate
    from archlab.search.space.uncounted import warn_uncounted

    space = sampling.space_of(o.space, input=o.input, outputs=o.outputs, plugin=tuple(o.plugin))
    lines = None if sys.stdout.isatty() else sys.stdout  # on a terminal, the bar lets through what is printed
    gate, found = Gate(sampling.limited(space, o.limit), exact=True), list[sampling.Sampled]()
    notes.note(sampling.about(gate.space))
    warn_uncounted(gate.space, gate.space.limits)
    try:
        with progress("sample", o.count) as advance:
            for each in sampling.sample(gate, o.count, seed=o.seed):
                found.append(each)
                if o.out:
                    write_text(o.out / f"{each.spec.name}.yaml", each.as_yaml(space))
                if o.json:
                    print(json.dumps(each.as_json()), file=lines, flush=True)
                advance()
    finally:
        if found and not o.json:
            print_table(sampling.table(found, space))
        notes.note(sampling.share(gate))


def sample_arguments(p: Parser) -> None:
    p.add_argument("space", metavar="SPACE", help="a space's name (archlab list spaces) or file, or a search's")
    p.add_argument("-n", "--count", type=options.positive, default=10, metavar="N", help="networks (default: 10)")
    p.add_argument("--seed", type=options.whole, default=1, metavar="N", help="random seed (default: 1)")
    p.add_argument("--limit", action="append", default=[], metavar="COST=LEAST..MOST",
                   help="a limit that replaces the space's, e.g. macs=1e8..3e8 or params=..1.5e6")  # fmt: skip
    p.add_argument("--input", type=options.size, metavar="HxW", help="input size (default: from the base network)")
    p.add_argument("--outputs", type=options.positive, metavar="K",
                   help="number of heat-maps (default: from the base network)")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="DIR", help="write each network's file too")
    options.plugin(p)
    options.json_output(p, "print one JSON object per line")


COMMANDS = (
    Command("sample", sample, sample_arguments, "sample lite_hrnet -n 5 --limit macs=..1e8"),
    Command("search", search, search_arguments, "search lite_hrnet_quick --jobs 2"),
)
