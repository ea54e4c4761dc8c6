"""The commands that look at a space or at what a search found; `archlab search` itself stands in `cli`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli.options import command, console, positive, size, study
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.report.tables import Table
    from archlab.search.results import Result

RESULT = "a search's name or file, or the result.json that one wrote"


def sample(o: argparse.Namespace) -> None:
    """Draw networks from a space: distinct ones within its limits, counted but not trained."""
    from archlab.core.files import write_text
    from archlab.core.progress import progress
    from archlab.search.space import sample as sampling
    from archlab.search.space.gate import Gate

    shape = (3, *o.input) if o.input else None
    space = sampling.space_of(o.space, input=shape, outputs=o.outputs, plugin=tuple(o.plugin))
    lines = None if sys.stdout.isatty() else sys.stdout  # on a terminal, the bar lets through what is printed
    gate, found = Gate(sampling.limited(space, o.limit), exact=True), list[sampling.Sampled]()
    print(sampling.about(gate.space), file=sys.stderr)
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
            console().print(sampling.table(found, space))
        print(sampling.share(gate), file=sys.stderr)


def best(o: argparse.Namespace) -> None:
    """The front of a search, or with --objective the best trials by one figure."""
    from archlab.search import candidates as reading
    from archlab.search import tables

    result = _result(o)
    found = reading.best(result, by=o.objective, most=o.count)
    if o.json:
        print(json.dumps([reading.as_json(result, candidate) for candidate in found]))
    else:
        _print(tables.best(result, found, o.objective))


def show(o: argparse.Namespace) -> None:
    """One trial of a search: what became of it, its scores, costs and choices, and its network's file."""
    from archlab.search import candidates as reading
    from archlab.search import tables

    result = _result(o)
    candidate = reading.candidate_of(result, o.number)
    if o.json:
        print(json.dumps(reading.in_full(result, candidate, o.plugin)))
    else:
        _print(*tables.trial(result, candidate))
        print(f"\n{candidate.spec}", end="")


def compare(o: argparse.Namespace) -> None:
    """Two networks field by field, with their costs and scores: trials by number, or any networks by name or file."""
    from archlab.network.differences import differences
    from archlab.search import candidates as reading
    from archlab.search import tables

    result = _result(o)
    a, b = (reading.side(result, name, o.plugin) for name in (o.a, o.b))
    found = differences(a.spec, b.spec, o.plugin)
    if o.json:
        sides = {key: each.as_json(result) for key, each in {"a": a, "b": b}.items()}
        print(json.dumps({**sides, "fields": [asdict(each) for each in found]}))
    else:
        _print(*tables.compared(result, a, b, found))


def export(o: argparse.Namespace) -> None:
    """Write a trial's network as an ordinary variant, which archlab build, train and others take."""
    from archlab.core.files import write_text
    from archlab.search import candidates as reading

    if o.out and o.out.suffix not in {".yaml", ".yml"}:
        raise InputError(Problem("a network's file ends in .yaml", "--out", str(o.out)))
    result = _result(o)
    text = reading.as_variant(result, reading.candidate_of(result, o.number))
    if o.out:
        write_text(o.out, text)
        print(f"wrote {o.out}", file=sys.stderr)
    else:
        print(text, end="")


def add(commands: Any) -> None:
    """The parsers of these commands."""
    p = command(commands, "sample", sample)
    p.add_argument("space", metavar="SPACE", help="a space's name or file (archlab list spaces), or a search's")
    p.add_argument("-n", type=positive, default=10, metavar="N", dest="count", help="how many (default: 10)")
    p.add_argument("--seed", type=int, default=1, metavar="S", help="the same networks for the same seed (default: 1)")
    p.add_argument("--limit", action="append", default=[], metavar="COST=LEAST..MOST",
                   help="a limit in place of the space's, as macs=1e8..3e8 or params=..1.5e6")  # fmt: skip
    p.add_argument("--input", type=size, metavar="HxW", help="input size, in place of the base network's")
    p.add_argument("--outputs", type=positive, metavar="K", help="heat-maps, in place of the base network's")
    p.add_argument("--out", type=Path, metavar="DIR", help="write each as a variant's file too")
    p.add_argument("--json", action="store_true", help="print one JSON object a line and nothing else")

    p = _reading(commands, "best", best)
    p.add_argument("--objective", metavar="NAME", help="the best by this objective, score or cost, not the front")
    p.add_argument("-n", type=positive, metavar="K", dest="count", help="at most so many (default: the front, or 10)")
    p = _reading(commands, "show", show)
    p.add_argument("number", metavar="NUMBER", help="of the trial")
    p = _reading(commands, "compare", compare)
    for name in ("a", "b"):
        p.add_argument(name, metavar=name.upper(), help="a trial's number, or a network's name or file")
    p = _reading(commands, "export", export, as_json=False)
    p.add_argument("number", metavar="NUMBER", help="of the trial")
    p.add_argument("--out", type=Path, metavar="FILE.yaml", help="(default: printed)")


def _reading(commands: Any, name: str, function: Any, *, as_json: bool = True) -> Any:
    p = command(commands, name, function)
    study(p, help=RESULT, place="--searches")
    if as_json:
        p.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return p


def _result(o: argparse.Namespace) -> Result:
    from archlab.search.candidates import result_of

    return result_of(o.study, searches=o.searches, storage=o.storage, data=o.data, plugin=tuple(o.plugin))


def _print(*tables: Table) -> None:
    from archlab.report.tables import terminal

    shown = console()
    text = terminal(tables, shown.width)
    text.rstrip()
    shown.print(text, soft_wrap=True)
