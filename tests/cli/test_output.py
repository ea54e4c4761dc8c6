"""Tables on narrow terminals: a number is shown whole or its column is named as left out."""

from __future__ import annotations

import re

import pytest
from helpers.search_results import make_result
from rich.console import Console
from rich.table import Table

from archlab.cli.app import main
from archlab.cli.output import fit, print_figures, print_scores, print_table
from archlab.search.results import write_result
from archlab.training.listing import RunRow, runs_table

WIDTHS = (40, 60, 80, 120)


def printed(capsys, monkeypatch, width, print_it):
    """What is printed in so many columns, without what is below the table, and the columns left out."""
    monkeypatch.setenv("COLUMNS", str(width))
    print_it()
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    found = re.search(r"left out at \d+ columns: ([^\n]*(\n[^\n│┃]+)*)", out)
    return out[: found.start()] if found else out, found[1] if found else ""


def numbers(text):
    return set(re.findall(r"\d[\d.,:x/-]*\d|\d", text))


@pytest.mark.parametrize("width", WIDTHS)
def test_build_shows_every_number_or_names_its_column(width, capsys, monkeypatch):
    wide, nothing = printed(capsys, monkeypatch, 200, lambda: main(["build", "lite_hrnet_18"]))
    assert nothing == ""
    narrow, left_out = printed(capsys, monkeypatch, width, lambda: main(["build", "lite_hrnet_18"]))
    assert "…" not in narrow
    heads = ["stage", "nodes", "output", "params", "share", "fvcore MFLOPs", "paper MFLOPs", "activations"]
    table = [line for line in wide.splitlines() if line.startswith("│")]
    shown = numbers(narrow)
    for line in table:
        for head, cell in zip(heads, line.strip("│").split("│"), strict=True):
            assert head in left_out or numbers(cell) <= shown, (head, cell)
    assert ("activations" in left_out) == (width < 120)
    if width >= 60:
        assert "320x8x6" in narrow


def row(number):
    return RunRow(f"{number:016x}", "wider_naive_lite_hrnet_18_one_1x1_dropped", "quick_search", number, "done", "AP",
                  61.25, 2400, 31.5, 7_654_321, "2026-11-23", "")  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_are_shown_with_whole_folders_scores_and_dates_or_their_columns_named(width, capsys, monkeypatch):
    text, left_out = printed(capsys, monkeypatch, width, lambda: print_table(runs_table([row(7), row(8)])))
    for head, cell in (("run", f"{7:016x}"), ("score", "61.2"), ("samples", "2400"), ("date", "2026-11-23")):
        assert head in left_out or cell in text, (head, text)
    assert f"{7:016x}" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_scores_and_figures_lose_nothing_at_any_width(width, capsys, monkeypatch):
    names = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL", "mean_oks", "pck"]
    scores = {kind: {name: 10.0 + i + 50 * j for i, name in enumerate(names)}
              for j, kind in enumerate(("ground_truth_boxes", "detector_boxes"))}  # fmt: skip
    text, left_out = printed(capsys, monkeypatch, width, lambda: print_scores(scores, "runs/0123456789abcdef"))
    assert left_out == ""
    assert {f"{value:.1f}" for of in scores.values() for value in of.values()} <= numbers(text)
    text, left_out = printed(capsys, monkeypatch, width, lambda: print_figures(scores["detector_boxes"]))
    assert left_out == ""
    assert {f"{value:.3f}" for value in scores["detector_boxes"].values()} <= numbers(text)


@pytest.mark.parametrize("width", [80, 120])
def test_samples_show_what_was_chosen_before_the_least_of_the_costs(width, capsys, monkeypatch):
    text, left_out = printed(capsys, monkeypatch, width, lambda: main(["sample", "lite_hrnet", "-n", "2", "-q"]))
    assert ("activations" in left_out) == (width == 80)
    words = " ".join(re.sub("[│┃]", " ", text).split())
    assert words.count("spatial_ratio") == 2
    assert all(head in words for head in ("params", "fvcore", "paper", "choices"))


@pytest.mark.parametrize("arguments", [["best"], ["show", "3"], ["compare", "3", "4"]])
def test_tables_of_a_search_go_on_below_with_whole_numbers(arguments, capsys, monkeypatch, tmp_path):
    write_result(make_result(40), tmp_path / "result.json")
    name, *rest = arguments
    shown = {}
    for width in (80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main([name, str(tmp_path), *rest]) == 0
        shown[width] = capsys.readouterr().out
    assert numbers(shown[200]) <= numbers(shown[80])
    assert "…" not in shown[80]


@pytest.mark.parametrize(
    ("width", "left_out"), [(80, []), (50, ["b"]), (31, ["a", "b"]), (25, ["a", "text", "b"]), (5, ["a", "text", "b"])]
)
def test_columns_are_dropped_from_the_right_figures_first_and_never_the_first(width, left_out):
    table = Table("name", "a", "text", "b")
    for column in (table.columns[1], table.columns[3]):
        column.justify = "right"
    table.add_row("x" * 20, "1" * 12, "two", "2" * 12)
    assert fit(table, Console(width=width)) == left_out
