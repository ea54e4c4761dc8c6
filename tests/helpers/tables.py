"""Tables with every sign that a form could stumble over, and how their forms are taken apart."""

import re

from archlab.report.tables import Cell, Column, Table, TableSet

NASTY = r"a_b & 50% of #1 $x$ {y} ~ ^ \z <t> |bar| *s* [q] `c` Nₛ² ± −"


def nasty() -> TableSet:
    columns = (Column("Name", align="l"), Column("p_1", "Group & Co"), Column("p_2", "Group & Co"), Column("plain"))
    body = ((Cell(NASTY), Cell("1.0", "See 50% of it_all."), Cell("-"), Cell("[x]")),) * 2
    table = Table("A_heading", columns, body, ("Caption with 100 % & more_.",))
    return TableSet("nasty", "T & T", "S_1", (table,), ({"a": 1, "b": "x,y"}, {"a": 2.5, "c": None}))


def pipe_rows(text: str) -> list[list[str]]:
    """The cells of each line of a pipe table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def cells(document: TableSet, heading: str, group: str, column: str) -> dict[str, str]:
    """Row name -> text of one column."""
    (table,) = [table for table in document.tables if table.heading.startswith(heading)]
    (at,) = [i for i, each in enumerate(table.columns) if (each.group, each.name) == (group, column)]
    return {row[0].text: row[at].text for row in table.rows}
