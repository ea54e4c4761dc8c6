"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli import failure
from archlab.cli.parser import Parser
from archlab.core.errors import InputError, Problem, shortened

if TYPE_CHECKING:
    from archlab.network.spec import Spec
    from archlab.yamlio import Item

REMOVED_IN = "0.2"
"""The version that no longer takes old spellings."""


def common(parser: Parser) -> None:
    """Add what every command takes."""
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS,
                        help="print more notes on stderr: files read and written, and the time taken")  # fmt: skip
    volume.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS,
                        help="print no progress or notes on stderr, only errors")  # fmt: skip
    parser.add_argument(failure.SHOW, action="store_true", default=argparse.SUPPRESS,
                        help="after an unexpected error, print where in the code it arose")  # fmt: skip


def plugin(parser: Parser) -> None:
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="module or .py file that adds blocks, data sets or tasks",
    )


def network(parser: Parser, *, of: str = "SPEC", help: str = "") -> None:
    text = help or "network: a built-in name (archlab list networks) or a YAML file"
    parser.add_argument("spec", metavar=of, help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="fields",
        help="override a field of the network, e.g. stages.modules=[3,8,3] or spatial_ratio=16",
    )


def recipe(parser: Parser, *, default: str | None = None) -> None:
    """Add the recipe and its changed fields. default: None for the studies' own."""
    text = f"a recipe's name or file (default: {default or 'from the studies'})"
    parser.add_argument("--recipe", default=default, metavar="RECIPE", help=text)
    recipe_set(parser)


def recipe_set(parser: Parser) -> None:
    parser.add_argument("--recipe-set", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the recipe, e.g. optimiser.lr=1e-3")  # fmt: skip


def recipe_changes(o: argparse.Namespace) -> dict[str, Any]:
    """Return the changed fields of the recipe by dotted path."""
    return dict(changes(o.recipe_set, "--recipe-set"))


def json_output(parser: Parser, what: str = "print one JSON object instead of a table") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def device(parser: Parser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cuda, mps or cpu (default: best available)")


def data(parser: Parser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR",
                        help="data folder (default: synthetic data generated from the recipe)")  # fmt: skip


def study(parser: Parser, *, help: str, old: str | None = None) -> None:
    """Add the name of a search, its database and data, and the folder of searches. old: that folder's old flag."""
    parser.add_argument("study", metavar="STUDY", help=help)
    searched(parser, old=old)


def searched(parser: Parser, *, old: str | None = None) -> None:
    """Add the database and the data of a search, and the folder of searches. old: that folder's old flag."""
    parser.add_argument(
        "--storage", metavar="URL", help="database, e.g. postgresql://... (default: a file in SEARCHES/STUDY)"
    )
    data(parser)
    folder(parser, "searches", old=old)


def folder(parser: Parser, what: str, *, old: str | None = None, default: str = "") -> None:
    """Add `--WHAT`, the folder of runs, searches or reports. old: its old flag. default: if not WHAT."""
    parser.add_argument(f"--{what}", type=Path, default=Path(default or what), metavar="DIR",
                        help=f"folder of {what} (default: {default or what})")  # fmt: skip
    if old:
        renamed(parser, old, f"--{what}", type=Path)


def renamed(parser: Parser, old: str, new: str, **read: Any) -> None:
    """Let the old spelling of an option work for one version, with a note."""
    action = parser.add_argument(old, action=_Renamed, help=argparse.SUPPRESS, **read)
    action.dest, action.default, action.metavar = new[2:].replace("-", "_"), argparse.SUPPRESS, new


def kind(parser: Parser, kinds: tuple[str, ...], *, old: Mapping[str, str], help: str, **count: Any) -> None:
    """Add the argument KIND. old: old spellings of kinds, which work for one version, with a note."""
    action = parser.add_argument("kind", choices=kinds, metavar="KIND", help=help, action=_Kind, **count)
    action.old = old  # type: ignore[attr-defined]


class _Renamed(argparse.Action):
    """Stores a value under an option's new name and remembers that the old one was used."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        _remember(namespace, str(option_string), str(self.metavar))


class _Kind(argparse.Action):
    """Stores a kind under its new spelling and remembers that the old one was used."""

    old: Mapping[str, str]

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, self.old.get(values, values))
        if values in self.old:
            _remember(namespace, values, self.old[values])


def _remember(namespace: argparse.Namespace, old: str, new: str) -> None:
    text = f"{old} is now {new}; the old spelling works until version {REMOVED_IN}"
    namespace.renamed = [*getattr(namespace, "renamed", []), text]


def size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, e.g. 256x192, found {text!r}") from None
    return height, width


def numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers, e.g. 1,2,3, found {text!r}") from None


MOST = 10**15
MOST_THREADS = 1024


def whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, found {shortened(text)!r}") from None
    if abs(value) > MOST:
        raise argparse.ArgumentTypeError(f"expected a number of at most {MOST:,}, found {shortened(text)!r}")
    return value


def positive(text: str) -> int:
    if not text.isdecimal() or whole(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {shortened(text)!r}")
    return whole(text)


def threads(text: str) -> int:
    return at_most(MOST_THREADS, text)


def at_most(most: int, text: str) -> int:
    value = positive(text)
    if value > most:
        raise argparse.ArgumentTypeError(f"expected at most {most}, found {text!r}")
    return value


def picture(text: str) -> Path:
    """Return the path of a drawing. Raises ArgumentTypeError unless it ends in .svg or .png."""
    if Path(text).suffix not in {".svg", ".png"}:
        raise argparse.ArgumentTypeError(f"{text!r} must end in .svg or .png")
    return Path(text)


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return value


def changes(texts: list[str], option: str) -> dict[str, Item]:
    """Return the values of a repeated FIELD=VALUE option by field. Raises InputError for those without a `=`."""
    from archlab import yamlio

    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise InputError(Problem(f"expected FIELD=VALUE, found {text!r}", option) for text in wrong)
    pairs = [text.split("=", 1) for text in texts]
    return {name.strip(): yamlio.item_of_text(value, file=option) for name, value in pairs}


def fields(o: argparse.Namespace) -> dict[str, Item]:
    """Return the overridden fields of the network. Raises InputError for the input size, which is not one of them."""
    found = changes(o.fields, "--set")
    for name in {"input", "input.1", "input.2"} & set(found):
        raise InputError(Problem("comes from the recipe, and from --input in `archlab build`", name, "--set"))
    return found


def spec(o: argparse.Namespace, *, input: tuple[int, int] | None, outputs: int | None) -> Spec:
    """Return the network that a command names, with the fields that it overrides."""
    from archlab.network.load import load_at

    overridden: Mapping[str, Any] = {"outputs": outputs, **fields(o)}
    return load_at(o.spec, input, plugin=o.plugin, **overridden)
