"""How a command prints its answer: JSON, or tables that fit the terminal and never cut a number."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

    from archlab.report.tables import Table as Sheet

PIPED = 160
"""Characters a line where the output is no terminal and COLUMNS is not set."""

FOLDED = 16
"""The least width of a column whose words may be broken."""


def print_json(value: Any) -> None:
    print(json.dumps(value), flush=True)


def print_plan(plan: Mapping[str, Any], as_json: bool) -> None:
    """Print what a command would do, as JSON or as YAML."""
    if as_json:
        print_json(plan)
        return
    from archlab import yamlio

    print(yamlio.dump(dict(plan)), end="")


def console() -> Console:
    """Return the console that tables are printed on; what looks like markup in a name is text."""
    from rich.console import Console

    make = partial(Console, markup=False, emoji=False)
    made = make()
    return made if made.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else make(width=PIPED)


def print_table(table: Table, *below: str) -> None:
    """Print a table, and the lines below it, within the console's width."""
    shown = console()
    left_out = fit(table, shown)
    shown.print(table)
    notes = [f"left out at {shown.width} columns: {', '.join(left_out)}"] if left_out else []
    for line in (*notes, *below):
        shown.print(line, style="dim", highlight=False)


def fit(table: Table, shown: Console) -> list[str]:
    """Set the widths of a table's columns so that no word is cut; return the columns that were dropped for it.

    Text breaks at spaces, in columns with `overflow="fold"` anywhere. Where that is not enough, columns are dropped
    from the right, figures before text, never the first column.
    """
    heads = [str(column.header) for column in table.columns]
    while True:
        limits = [_limits(column) for column in table.columns]
        spare = shown.width - _overhead(table, shown, limits) - sum(least for least, _ in limits)
        if spare >= 0 or len(table.columns) == 1:
            break
        figures = [i for i, column in enumerate(table.columns) if i and column.justify == "right"]
        table.columns.pop(figures[-1] if figures else -1)
    for column, (least, most) in sorted(zip(table.columns, limits, strict=True), key=lambda pair: pair[1][1]):
        grown = min(most, least + max(spare, 0))
        spare -= grown - least
        column.width = grown
    kept = {str(column.header) for column in table.columns}
    return [head for head in heads if head not in kept]


def _limits(column: Column) -> tuple[int, int]:
    """Return the width of a column's longest word and of its longest line."""
    texts = [str(each) for each in (column.header, column.footer, *column.cells)]
    most = max(len(line) for text in texts for line in text.split("\n"))
    least = max((len(word) for text in texts for word in text.split()), default=0)
    if column.overflow == "fold":
        least = min(least, FOLDED)
    return (most if column.no_wrap else least), most


def _overhead(table: Table, shown: Console, limits: Iterable[tuple[int, int]]) -> int:
    """Return the characters a line that are no cell's: borders and padding."""
    from rich.measure import Measurement

    for column in table.columns:
        column.width = None
    wide = shown.options.update(width=100_000)
    return Measurement.get(shown, wide, table).maximum - sum(most for _, most in limits)


def print_sheets(*tables: Sheet) -> None:
    """Print tables of a report; one that is too wide continues below with its other columns."""
    from archlab.report.tables import terminal

    shown = console()
    text = terminal(tables, shown.width)
    text.rstrip()
    shown.print(text, soft_wrap=True)


def print_figures(figures: Mapping[str, Any]) -> None:
    """Print names and figures, one a line; the figures of a mapping are a section."""
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in figures.items():
        inner = value.items() if isinstance(value, dict) else [(name, value)]
        for each, figure in inner:
            table.add_row(each, "-" if figure is None else f"{figure:.3f}")
        if isinstance(value, dict):
            table.add_section()
    print_table(table)


def print_scores(scores: Mapping[str, Mapping[str, float | None]], title: str) -> None:
    """Print a run's scores, a line a figure and a column for each kind of boxes."""
    from rich.table import Table

    table = Table("score", title=title, title_style="bold", title_justify="left")
    for kind in scores:
        table.add_column(kind.removesuffix("_boxes").replace("_", " "), justify="right")
    for name in dict.fromkeys(name for figures in scores.values() for name in figures):
        found = [figures.get(name) for figures in scores.values()]
        table.add_row(name, *("-" if figure is None else f"{figure:.1f}" for figure in found))
    print_table(table)
