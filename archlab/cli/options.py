"""What the commands of the command line share: how options are read, and where tables are printed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console


def command(commands: Any, name: str, function: Callable[..., Any], *, network: bool = False) -> Any:
    """The parser of a command that `function` runs, described by its docstring."""
    parser = commands.add_parser(name, help=first_line(function), description=function.__doc__)
    parser.set_defaults(command=function, plugin=[])
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="a module with blocks or data sets of your own"
    )
    if network:
        parser.add_argument("spec", metavar="SPEC", help="a network's YAML file, or a built-in name (archlab list)")
        parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="fields",
                            help="override a field, as stages.modules=[3,8,3] or spatial_ratio=16")  # fmt: skip
    return parser


def device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cuda, mps or cpu (default: the first of them that is there)")


def study(parser: argparse.ArgumentParser, *, help: str, place: str = "--out") -> None:
    """Which search, and where it lies; `place` is the option that says in which folder."""
    parser.add_argument("study", metavar="STUDY", help=help)
    parser.add_argument(
        "--storage",
        metavar="URL",
        help=f"a database, as postgresql://... (default: a file in {place[2:].upper()}/STUDY)",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="a data folder (default: made as the recipe says)")
    parser.add_argument(
        place, type=Path, default=Path("searches"), metavar="DIR", help="where searches lie (default: searches)"
    )


def size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 256x192, found {text!r}") from None
    return height, width


def numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 1,2,3, found {text!r}") from None


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def console() -> Console:
    """Wide enough for a table where the output is no terminal."""
    made = Console()
    return made if made.is_terminal else Console(width=160)


def first_line(thing: Any) -> str:
    return str(thing.__doc__ or "").strip().split("\n")[0]
