import csv
import io

import pytest
from helpers.tables import nasty, pipe_rows

from archlab.report import tables
from archlab.report.tables import Cell, Column, Table


def test_markdown_has_a_cell_for_each_column_and_escapes_what_it_would_read() -> None:
    found = pipe_rows(tables.markdown(nasty()))
    assert {len(line) for line in found} == {4}
    assert len(found) == 4  # heads, rule, two rows
    assert found[0][1] == r"Group & Co<br>p\_1"
    assert found[2][0] == r"a\_b & 50% of \#1 $x$ \{y\} \~ ^ \\z \<t\> \|bar\| \*s\* \[q\] \`c\` Nₛ² ± −"
    assert found[2][1] == "1.0<sup>a</sup>"


def test_a_remark_stands_once_below_its_table() -> None:
    text = tables.markdown(nasty())
    assert text.count("See 50% of it\\_all.") == 1
    assert "<sup>a</sup> See" in text


def test_csv_has_every_column_and_reads_back() -> None:
    lines = list(csv.DictReader(io.StringIO(tables.comma_separated(nasty()))))
    assert lines == [{"a": "1", "b": "x,y", "c": ""}, {"a": "2.5", "b": "", "c": ""}]


def test_an_ill_formed_table_is_our_error() -> None:
    with pytest.raises(AssertionError):
        Table("x", (Column("a"), Column("b")), ((Cell("1"),),), ())
