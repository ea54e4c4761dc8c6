"""The front page: every report and every network in one file that loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers.browser import chromium, executable
from helpers.page_reader import Reader
from helpers.paths import REPOSITORY
from helpers.refused import refused

import archlab
from archlab.ablation import study
from archlab.cli import main
from archlab.site import pages
from archlab.site.build import front_page, write_index
from archlab.site.networks import entry
from archlab.site.pages import find_pages
from archlab.site.render import Place, markdown

PIXEL = '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"><rect width="2" height="2"/></svg>'
TABLE = """\
# Weights

After the paper. See [the campaign](campaign_lsp.md#scores), [the rows](table6.csv) and [a site](https://example.org).

## Cost

| Model | MFLOPs<br>counted |
| :-- | --: |
| A <script>alert(1)</script> | 205.2<sup>a</sup> |

![A plot](curve.svg)
![Nothing](none.png)
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all") / "reports"
    (folder / "searches" / "mine").mkdir(parents=True)
    texts = {
        "table6.md": TABLE,
        "curve.svg": PIXEL,
        "figure4.svg": PIXEL,
        "lite_hrnet_18.svg": PIXEL,
        "campaign_lsp.md": "# On photographs\n\n## Scores\n\nNone yet.\n",
        "mine.md": "No heading.\n",
        "README.md": "# Not a report\n",
        "searches/mine/search.md": "# My search\n\n![Front](front.svg)\n",
        "searches/mine/search.html": "<p>the page</p>",
        "searches/mine/front.svg": PIXEL,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(reports: Path) -> str:
    return write_index(reports).read_text(encoding="utf-8")


def test_reports_and_searches_are_found_in_the_order_of_their_groups(reports: Path) -> None:
    found = [(each.anchor, each.title, each.group) for each in find_pages(reports, reports / "searches")]
    assert found == [
        ("report-table6", "Conditional channel weighting against 1x1 convolutions", "Tables"),
        ("report-figure4", "Complexity and accuracy", "Figures"),
        ("report-campaign_lsp", "A measured campaign: Tables 6 and 7 on photographs", "Campaigns"),
        ("search-mine", "My search", "Searches"),
        ("report-mine", "mine", "Other pages"),
    ]


def test_every_kind_of_study_has_a_group() -> None:
    assert set(pages.KINDS) == set(study.KINDS)
    assert {*pages.KINDS.values(), *pages.OTHERS.values()} <= set(pages.GROUPS)


def test_every_network_is_there_with_its_cost_and_its_graph(page: str) -> None:
    ids = set(Reader(page).ids)
    assert {f"network-{name}" for name in archlab.list_networks()} <= ids
    row = re.search(r'<tr data-name="lite_hrnet_18 lite_hrnet">.*?</tr>', page)
    assert row
    cells = re.findall(r"<t[dh][^>]*>(?:<a[^>]*>)?([^<]*)", row[0])
    assert cells == ["lite_hrnet_18", "lite hrnet", "256×192", "17", "30", "1,130,769", "219.3", "205.2"]
    assert page.count("data:image/svg+xml;base64,") == len(archlab.list_networks()) + 3


def test_the_page_loads_nothing_and_every_id_is_there_once(page: str) -> None:
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))
    outside = [address for address in reader.loads if not address.startswith(("#", "data:"))]
    assert outside == ["table6.csv", "https://example.org", "searches/mine/search.html"]
    anchors = {address[1:] for address in reader.loads if address.startswith("#")}
    assert anchors <= set(reader.ids)
    assert "script" in reader.tags
    assert reader.tags.count("script") == 1


def test_markdown_keeps_tables_and_marks_and_shows_any_other_html_as_text(tmp_path: Path) -> None:
    made = markdown(TABLE, Place(tmp_path, tmp_path, {(tmp_path / "campaign_lsp.md").resolve(): "report-campaign_lsp"}))
    assert "<h1" not in made
    assert "<h4>Cost</h4>" in made
    assert "MFLOPs<br>counted" in made
    assert "205.2<sup>a</sup>" in made
    assert "A &lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert '<a href="#report-campaign_lsp">the campaign</a>' in made
    assert "The picture none.png is missing." in made
    assert made.count('<div class="scroll"') == made.count("<table") == 1


def test_a_page_of_another_folder_is_linked_and_its_pictures_are_taken_along(tmp_path: Path) -> None:
    for name in ("reports", "searches/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "searches" / "x" / "search.md").write_text("# X & Y\n\n[rows](front.csv)\n", encoding="utf-8")
    made = front_page(find_pages(tmp_path / "reports", tmp_path / "searches"), [], tmp_path / "reports")
    assert 'href="../searches/x/front.csv"' in made
    assert "<h3>X &amp; Y</h3>" in made


def test_the_command_prints_its_file_and_refuses_a_folder_without_reports(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with refused(field="--reports", file=tmp_path / "none"):
        write_index(tmp_path / "none")
    with refused(field="--reports", file=tmp_path):
        write_index(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert main(["index", "--reports", str(reports), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == str(reports / "index.html")


def test_a_network_is_counted_at_the_input_of_its_file() -> None:
    found = entry("icnet", REPOSITORY / "search_spaces" / "segmentation_nets" / "icnet.yaml")
    assert found.cells()[:3] == ("segmentation nets", "1025×2049", "19")


@pytest.mark.system
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_a_browser_shows_the_page_whole_and_its_keys_work(
    page: str, reports: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    assert executable(), "needs Chromium"
    with chromium(tmp_path) as browser:
        browser.open(reports / "index.html", width=width, height=900, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") == width
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
        browser.press("Tab")
        assert browser.run("document.activeElement.getAttribute('href')") == "#group-tables"
        browser.run("location.hash = '#network-icnet'")
        browser.settle()
        assert browser.run("document.querySelector('#network-icnet').open")
        assert 0 <= browser.run("document.querySelector('#network-icnet').getBoundingClientRect().y") < 900
        browser.run("document.querySelector('[data-sort=\"5\"]').focus()")
        browser.press("Enter")
        names = "[...document.querySelectorAll('#table tbody tr:not([hidden]) th')].map(cell => cell.textContent)"
        fewest = browser.run(names)[0]
        assert fewest == min(archlab.list_networks(), key=lambda name: archlab.cost(name).params)
        browser.run(
            "{const f = document.querySelector('#filter'); f.value = 'hrnet dite'; f.dispatchEvent(new Event('input'))}"
        )
        assert sorted(browser.run(names)) == ["dite_hrnet_18", "dite_hrnet_30"]
        assert browser.messages == []
