"""Runs side by side on one page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from helpers import tiny
from helpers.browser import chromium, executable
from helpers.page_reader import Reader
from helpers.refused import refused
from helpers.training import train

from archlab.cli import main
from archlab.site.runs import write_runs
from archlab.training.recipe import load_recipe


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its pictures, and a copy of its folder as a kill would have left it."""
    folder = tmp_path_factory.mktemp("runs")
    data = tiny.make_data(folder / "data")
    recipe = load_recipe("smoke").changed(iterations=4, batch=2, log_every=2, input=(64, 64))
    run = train(tiny.make_spec(folder), recipe, data, out=folder / "runs", pictures=True)
    killed = shutil.copytree(run, run.parent / "killed")
    record = json.loads((killed / "record.json").read_text())
    record |= {"state": "running", "scores": {}, "samples": 0, "reason": "<b>a reason</b>", "fingerprint": "killed"}
    (killed / "record.json").write_text(json.dumps(record))
    for name in ("metrics.jsonl", "curves.png"):
        (killed / name).unlink()
    return folder / "runs"


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    return write_runs(runs, runs.parent / "runs.html")


def test_runs_are_compared_by_scores_costs_curves_and_predictions(runs: Path, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    record = json.loads(next(path for path in runs.glob("*/record.json") if path.parent.name != "killed").read_text())
    rows = [re.findall(r"<t[dh][^>]*>(?:<a[^>]*>)?([^<]*)", row) for row in re.findall(r"<tr data-name.*?</tr>", text)]
    names = [re.sub(r"<.*?>", "", name) for name in re.findall(r'data-sort="\d+">(.*?)</button>', text)]
    done, killed = (dict(zip(names, row, strict=True)) for row in sorted(rows, key=lambda row: row[0] == "killed"))
    assert done["state"] == "done"
    assert killed["state"] == "stopped"
    assert done["AP"] == f"{record['scores']['ground_truth_boxes']['AP']:.1f}"
    assert killed["AP"] == "-"
    assert done["parameters"] == killed["parameters"] == f"{record['cost']['params']:,}"
    assert (done["samples"], killed["samples"]) == ("8", "0")
    assert text.count("data:image/svg+xml") == 1
    assert text.count("data:image/png") == 3
    assert "&lt;b&gt;a reason&lt;/b&gt;" in text


def test_the_page_loads_nothing(page: Path) -> None:
    reader = Reader(page.read_text(encoding="utf-8"))
    assert len(reader.ids) == len(set(reader.ids))
    assert all(address.startswith(("data:", "#")) for address in reader.loads)


def test_the_command_writes_the_page_next_to_its_list(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", str(runs), "--page", str(tmp_path / "all.html"), "--json"]) == 0
    captured = capsys.readouterr()
    assert [row["state"] for row in json.loads(captured.out)] == ["done", "stopped"]
    assert str(tmp_path / "all.html") in captured.err
    with refused(file=tmp_path):
        write_runs(tmp_path, tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.system
@pytest.mark.parametrize("width", [1400, 390])
def test_a_browser_shows_the_runs_whole(page: Path, tmp_path: Path, width: int) -> None:
    assert executable(), "needs Chromium"
    with chromium(tmp_path) as browser:
        browser.open(page, width=width, height=900, dark=width == 390)
        assert browser.run("document.documentElement.scrollWidth") == width
        browser.run("location.hash = '#run-killed'")
        browser.settle()
        assert browser.run("document.querySelector('#run-killed').open")
        assert browser.messages == []
