"""Commands that look at what a search found."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from archlab.cli import options
from archlab.cli.output import print_json, print_sheets
from archlab.cli.parser import Command, Group, Parser
from archlab.cli.search import COMMANDS

if TYPE_CHECKING:
    from archlab.search.results import Result


def best(o: argparse.Namespace) -> None:
    """Print the front of a search, or its best trials by one figure."""
    from archlab.search import candidates, tables

    result = _result(o)
    found = candidates.best(result, by=o.objective, most=o.count)
    if o.json:
        print_json([candidates.as_json(result, candidate) for candidate in found])
    else:
        print_sheets(tables.best(result, found, o.objective))


def best_arguments(p: Parser) -> None:
    p.add_argument("--objective", metavar="NAME", help="rank by this objective, score or cost, not by the front")
    p.add_argument("-n", "--count", type=options.positive, metavar="N", help="at most N (default: the front, or 10)")


def show(o: argparse.Namespace) -> None:
    """Print one trial of a search: scores, costs, choices, network."""
    from archlab.search import candidates, tables

    result = _result(o)
    candidate = candidates.candidate_of(result, o.number)
    weights = candidates.weights_of(candidate, candidates.folder_of(o.study, result, o.searches))
    if o.json:
        run = str(weights.parent) if weights else None
        print_json({**candidates.in_full(result, candidate, o.plugin), "run": run})
    else:
        print_sheets(*tables.trial(result, candidate, weights))
        print(f"\n{candidate.spec}", end="")


def compare(o: argparse.Namespace) -> None:
    """Compare two networks field by field, with costs and scores.

    Each is a trial's number, or a network's name or file. Two names without a
    search before them are compared without scores.
    """
    from archlab.network.differences import differences
    from archlab.search import candidates, tables

    names = (o.a, o.b) if o.b else (o.study, o.a)
    result = _result(o) if o.b else None
    a, b = (candidates.side(result, name, o.plugin) for name in names)
    found = differences(a.spec, b.spec, o.plugin)
    if o.json:
        sides = {key: each.as_json(result) for key, each in {"a": a, "b": b}.items()}
        print_json({**sides, "fields": [asdict(each) for each in found]})
    else:
        print_sheets(*tables.compared(result, a, b, found))


def compare_arguments(p: Parser) -> None:
    text = "a trial's number, `best`, or a network's name or file"
    p.add_argument("a", metavar="A", help=text)
    p.add_argument("b", nargs="?", metavar="B", help=f"{text}; without B, the networks STUDY and A are compared")


def _number(p: Parser) -> None:
    p.add_argument("number", metavar="NUMBER", help="the trial's number, or best: the headline's")


def _result(o: argparse.Namespace) -> Result:
    from archlab.search.candidates import result_of

    return result_of(o.study, searches=o.searches, storage=o.storage, data=o.data, plugin=tuple(o.plugin))


def _reading(own: Callable[[Parser], None]) -> Callable[[Parser], None]:
    """Return the arguments of a command that reads a search, its own last."""

    def arguments(p: Parser) -> None:
        what = "a search's name or file, or the folder or result.json that it wrote"
        options.study(p, help=what)
        own(p)
        options.plugin(p)
        options.json_output(p, "print JSON instead of text")

    return arguments


GROUP = Group(
    "search a space of networks",
    (
        *COMMANDS,
        Command("best", best, _reading(best_arguments), "best lite_hrnet_quick"),
        Command("show", show, _reading(_number), "show lite_hrnet_quick 7"),
        Command("compare", compare, _reading(compare_arguments), "compare lite_hrnet_quick 7 lite_hrnet_18"),
    ),
)
