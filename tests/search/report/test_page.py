import base64
import csv
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import Page, chromium, executable
from helpers.page_reader import Reader
from helpers.search_results import make_result
from helpers.search_study import wait_for
from PIL import Image

import archlab
from archlab.ablation.captions import TOO_SMALL
from archlab.report import style
from archlab.search.report import text as words
from archlab.search.report.analysis import analyse
from archlab.search.report.write import write_search
from archlab.search.results import Objective, Result

HOSTILE = '</script ><script>alert(1)</script><!--<b title="x">&amp;'
PICTURES = ("front", "hypervolume", "hypervolume_by_time", "edf", "bands", "importance")


@pytest.fixture(scope="module")
def study() -> Result:
    return make_result(32)


@pytest.fixture(scope="module")
def written(study: Result, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_search(study, tmp_path_factory.mktemp("reports") / "study")


@pytest.fixture(scope="module")
def folder(written: list[Path]) -> Path:
    return written[0].parent


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the PNG and SVG files: the page draws each figure too, and these tests look at the page."""
    monkeypatch.setattr(style, "save", lambda figure, paths: None)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_report_is_a_page_a_summary_tables_and_pictures(written: list[Path]) -> None:
    names = [path.name for path in written]
    assert names[:4] == ["search.html", "search.md", "candidates.csv", "front.csv"]
    assert names[4:] == [f"{name}.{ending}" for name in PICTURES for ending in ("png", "svg")]
    assert all(path.stat().st_size > 200 for path in written)


def test_the_page_asks_for_nothing_from_anywhere(folder: Path) -> None:
    text = (folder / "search.html").read_text()
    read = Reader(text)
    assert all(load.startswith("#") for load in read.loads), read.loads
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(read.tags)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(", text)
    addresses = set(re.findall(r"https?://[^\s\"'<>]*", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in text


def test_ids_of_the_page_are_its_own_and_its_links_lead_somewhere(folder: Path) -> None:
    read = Reader((folder / "search.html").read_text())
    assert len(read.ids) == len(set(read.ids)), sorted({i for i in read.ids if read.ids.count(i) > 1})
    assert {load[1:] for load in read.loads} <= set(read.ids)


def test_the_page_holds_every_candidate_with_its_spec_and_its_drawing(study: Result, folder: Path) -> None:
    data = data_of((folder / "search.html").read_text())
    points = {point["id"]: point for point in data["points"]}
    assert len(points) == len(study.candidates) + len(study.references)
    assert all(points[f"c{c.number}"]["spec"] == c.spec for c in study.candidates)
    drawn = zlib.decompress(base64.b64decode(data["graphs"][study.candidates[0].hash])).decode()
    assert drawn.startswith("<svg")
    assert study.candidates[0].name in drawn
    assert set(data["graphs"]) == {c.hash for c in (*study.candidates, *study.references)}
    assert data["x"] == "macs"
    assert data["y"] == "pck"


def test_the_page_of_200_candidates_is_below_5_megabytes(study: Result, folder: Path) -> None:
    each = (folder / "search.html").stat().st_size / len(study.candidates)
    assert 200 * each < 5e6  # pictures and words, which do not grow, are counted 200 / 32 times


@pytest.mark.usefixtures("unsaved")
def test_names_and_reasons_are_text_and_never_mark_up(study: Result, tmp_path: Path) -> None:
    bad = replace(
        study.candidates[0], name=HOSTILE, reason=HOSTILE, point={"width": HOSTILE}, outcome="failed", spec=HOSTILE
    )
    reference = replace(study.references[0], name=HOSTILE)
    made = replace(
        study,
        title=HOSTILE,
        study=HOSTILE,
        device=HOSTILE,
        candidates=(bad, *study.candidates[1:4]),
        references=(reference,),
    )
    write_search(made, tmp_path)
    text = (tmp_path / "search.html").read_text()
    assert HOSTILE not in text
    assert text.count("</script>") == 2
    points = {point["id"]: point for point in data_of(text)["points"]}
    assert points["c0"]["spec"] == HOSTILE
    assert points["c0"]["graph"] is None
    assert HOSTILE not in (tmp_path / "search.md").read_text()


def test_the_table_of_candidates_reads_back_as_it_was_written(study: Result, folder: Path) -> None:
    with (folder / "candidates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(study.candidates) + len(study.references)
    for row, candidate in zip(rows, study.candidates, strict=False):
        assert (int(row["number"]), row["hash"], row["outcome"]) == (
            candidate.number,
            candidate.hash,
            candidate.outcome,
        )
        assert {name: float(row[name]) for name in candidate.cost} == dict(candidate.cost)
        assert row["point.width"] == str(candidate.point["width"])
        assert [float(row[f"pck@{rung.label}"]) for rung, _ in zip(study.rungs, candidate.rungs, strict=False)] == [
            scores["pck"] for scores in candidate.rungs
        ]
    with (folder / "front.csv").open(newline="") as file:
        held = list(csv.DictReader(file))
    assert [row["number"] for row in held] == [row["number"] for row in rows if row["on_front"] == "True"]
    assert held


def test_the_summary_says_what_was_run_and_what_it_does_not_show(folder: Path) -> None:
    text = (folder / "search.md").read_text()
    for expected in ("synthetic quick", TOO_SMALL, "(NSGA-II)", "32 of 32", "reference point",
                     "## Against the references", "## Front and references", "## Rank correlations"):  # fmt: skip
        assert expected in text


@pytest.mark.slow
def test_pictures_are_drawn_at_200_dpi_and_the_same_bytes_each_time(
    study: Result, folder: Path, tmp_path: Path
) -> None:
    with Image.open(folder / "front.png") as image:
        assert image.size == (1000, 680)
    small = replace(study, candidates=study.candidates[:5], references=())
    first = {path.name: path.read_bytes() for path in write_search(small, tmp_path / "a")}
    assert {path.name: path.read_bytes() for path in write_search(small, tmp_path / "b")} == first


def test_what_a_reference_is_told_follows_from_means_and_intervals(study: Result) -> None:
    reference = study.references[0]
    macs, pck = reference.cost["macs"], 71.0

    def beside(number: int, ahead: float, *seeds: float) -> Any:
        return replace(study.candidates[0], number=number, outcome="complete", cost={**reference.cost, "macs": macs - number},
                       values={"pck": pck + ahead, "macs": macs - number}, rungs=({"pck": pck + ahead},) * 3,
                       seeds={str(i): {"pck": pck + s} for i, s in enumerate(seeds)})  # fmt: skip

    still = replace(reference, seeds={str(i): {"pck": pck + s} for i, s in enumerate((-0.1, 0, 0.1))})
    cases = {
        "No candidate on the front beats it": [beside(1, -5)],
        "Number 1 dominates it on (PCK@0.1, multiply-adds), ": [beside(1, 5, 4.9, 5, 5.1)],
        "Number 1 has better means on (PCK@0.1, multiply-adds), but the 95 % intervals overlap": [
            beside(1, 5, 0, 5, 10)
        ],
        "Number 1 has better means on (PCK@0.1, multiply-adds), but at least one side has a single seed": [
            beside(1, 5)
        ],
    }
    for expected, candidates in cases.items():
        made = analyse(replace(study, candidates=tuple(candidates), references=(still,)))
        assert words.verdicts(made)[0][1].startswith(expected)


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(
    "changes",
    [
        {"candidates": (), "references": ()},
        {"outcome": "stopped"},
        {"outcome": "failed"},
        {"objectives": (Objective("pck", "maximize"), Objective("macs", "minimize"), Objective("params", "minimize"))},
        {"objectives": (Objective("mean_oks", "maximize"),)},
        {"objectives": (Objective("ap", "maximize"), Objective("macs", "minimize"))},
    ],
    ids=["empty", "none complete", "all failed", "three objectives", "one objective", "a score that nobody has"],
)
def test_any_study_has_a_report(study: Result, changes: dict[str, Any], tmp_path: Path) -> None:
    outcome, changes = changes.get("outcome"), {k: v for k, v in changes.items() if k != "outcome"}
    made = replace(study, candidates=study.candidates[:8], references=study.references[:1])
    if outcome:
        emptied = {"values": {}, "rungs": (), "seeds": {}} if outcome == "failed" else {}
        made = replace(made, candidates=tuple(replace(c, outcome=outcome, **emptied) for c in made.candidates))
    write_search(replace(made, **changes), tmp_path)
    text = (tmp_path / "search.html").read_text()
    assert "{{" not in text
    assert len(data_of(text)["points"]) == (0 if "candidates" in changes else 9)


@pytest.mark.usefixtures("unsaved")
def test_a_score_that_is_no_number_is_no_score(study: Result, tmp_path: Path) -> None:
    nothing = {"pck": float("nan"), "macs": 1.0}
    bad = replace(
        study.candidates[0], outcome="complete", values=nothing, rungs=(nothing,) * 3, seeds={}, proxies=nothing
    )
    made = replace(study, candidates=(bad, *study.candidates[1:6]))
    assert bad.number not in analyse(made).front_numbers
    write_search(made, tmp_path)
    assert "pck" not in data_of((tmp_path / "search.html").read_text())["points"][0]["values"]


def test_a_report_imports_neither_torch_nor_optuna() -> None:
    import subprocess
    import sys

    code = "import sys, archlab.search.report.page, archlab.search.report.drawings; print({'torch', 'optuna'} & set(sys.modules))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "set()"


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert executable(), "needs chromium (Debian's package of that name)"
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def colours(path: Path) -> int:
    with Image.open(path) as image:
        return len(image.convert("RGB").getcolors(1 << 24) or [])


@pytest.mark.system
def test_pointing_at_a_point_shows_its_spec_graph_and_cost(
    study: Result, folder: Path, browser: Page, tmp_path: Path
) -> None:
    browser.open(folder / "search.html", width=1280, height=900)
    on_front = browser.run("[...document.querySelectorAll('#plot .point.front')].map(g => g.dataset.id)")
    assert len(on_front) >= 3
    for name in (on_front[0], on_front[-1]):
        candidate = study.candidates[int(name[1:])]
        browser.hover(f'#plot [data-id="{name}"] .mark')
        assert browser.text("#panel-title") == f"Candidate {candidate.number}"
        assert browser.text("#spec-body") == candidate.spec
        assert candidate.hash in browser.text("#panel-kind")
        assert f"{candidate.cost['macs'] / 1e6:,.1f}" in browser.text("#panel-facts")
        assert str(candidate.point["width"]) in browser.text("#panel-facts")
        assert candidate.name in browser.text("#graph-body svg title")
    assert colours(browser.screenshot(tmp_path / "page.png")) > 50
    assert browser.messages == []
    assert {request.split(":")[0] for request in browser.requests} == {"file"}
    assert len(set(browser.requests)) == 1


@pytest.mark.system
def test_the_yaml_that_the_page_shows_builds_the_same_network(folder: Path, browser: Page, tmp_path: Path) -> None:
    browser.open(folder / "search.html", width=1280, height=900)
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.click("#copy")
    wait_for(lambda: browser.text("#copy") == "Copied")
    (tmp_path / "copied.yaml").write_text(browser.run("navigator.clipboard.readText()"))
    assert archlab.spec_hash(archlab.load(tmp_path / "copied.yaml")) in browser.text("#panel-kind")


@pytest.mark.system
def test_the_keyboard_reaches_and_walks_the_points(folder: Path, browser: Page) -> None:
    browser.open(folder / "search.html", width=1280, height=900)
    browser.run("document.querySelector('#legend button:last-child').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.classList.contains('point')")
    seen = []
    browser.press("Home")
    for _ in range(4):
        seen.append((browser.text("#panel-title"), browser.run("document.activeElement.dataset.id")))
        browser.press("ArrowRight")
    assert len(set(seen)) == 4
    browser.press("ArrowLeft")
    assert browser.run("document.activeElement.dataset.id") == seen[-1][1]
    label = browser.run("document.activeElement.getAttribute('aria-label')")
    assert seen[-1][0] in label
    assert "multiply-adds" in label
    browser.press("Tab")
    assert not browser.run("document.activeElement.classList.contains('point')")


@pytest.mark.system
def test_a_click_keeps_a_point_until_escape(folder: Path, browser: Page) -> None:
    browser.open(folder / "search.html", width=1280, height=900)
    on_front = browser.run("[...document.querySelectorAll('#plot .point.front')].map(g => g.dataset.id)")
    first, last = on_front[0], on_front[-1]
    browser.click(f'#plot [data-id="{first}"] .mark')
    kept = browser.text("#panel-title")
    browser.hover(f'#plot [data-id="{last}"] .mark')
    assert browser.text("#panel-title") == kept
    browser.run(f"document.querySelector('#plot [data-id=\"{first}\"]').focus()")
    browser.press("Escape")
    browser.hover(f'#plot [data-id="{last}"] .mark')
    assert browser.text("#panel-title") != kept


@pytest.mark.system
def test_axes_and_kinds_can_be_chosen_and_tables_lead_to_the_panel(study: Result, folder: Path, browser: Page) -> None:
    browser.open(folder / "search.html", width=1280, height=900)
    before = browser.run("document.querySelectorAll('#plot .point').length")
    assert before == len(study.complete) + len(study.references)
    browser.run(
        "(() => { const s = document.querySelector('#y-axis'); s.value = 'pck@0'; s.dispatchEvent(new Event('change')); })()"
    )
    assert browser.run("document.querySelectorAll('#plot .point').length") == sum(
        bool(c.rungs) for c in study.candidates
    )
    assert "PCK@0.1 at short 64x48" in browser.text("#plot")
    assert browser.run(
        "[...document.querySelectorAll('#legend button')].every(b => b.getAttribute('aria-pressed') === 'true')"
    )
    browser.click("#legend button:nth-child(2)")
    assert browser.run("document.querySelectorAll('#plot .point.complete').length") == 0
    failed = next(c for c in study.candidates if c.outcome == "failed")
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    browser.click(f'#all button[data-show="c{failed.number}"]')
    assert browser.text("#panel-title") == f"Candidate {failed.number}"
    assert "<batch 3>" in browser.text("#panel-kind")
    assert browser.messages == []


@pytest.mark.system
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_tap_shows_a_point(
    study: Result, folder: Path, browser: Page, tmp_path: Path, dark: bool
) -> None:
    browser.open(folder / "search.html", width=390, height=844, touch=True, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == 390
    browser.tap("#plot .point.reference .mark")
    assert browser.text("#panel-title") in {reference.name for reference in study.references}
    assert browser.run("document.querySelector('#panel').getBoundingClientRect().top < innerHeight")
    with Image.open(browser.screenshot(tmp_path / "phone.png")) as image:
        corner = image.convert("RGB").getpixel((1, 1))
        assert isinstance(corner, tuple)
        assert (sum(corner) < 150) == dark
    assert colours(tmp_path / "phone.png") > 50
    assert browser.messages == []


@pytest.mark.system
def test_hostile_names_run_nothing_in_the_browser(study: Result, browser: Page, tmp_path: Path) -> None:
    bad = replace(study.candidates[0], name=HOSTILE, reason=HOSTILE, spec=study.candidates[0].spec + f"# {HOSTILE}\n")
    write_search(replace(study, title=HOSTILE, candidates=(bad,), references=()), tmp_path)
    browser.open(tmp_path / "search.html", width=1280, height=900)
    assert browser.text("h1") == HOSTILE
    assert HOSTILE in browser.text("#spec-body")
    assert browser.run("document.scripts.length") == 2
    assert browser.messages == []
