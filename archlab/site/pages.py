"""The pages of a folder of reports: what each is called and to which group it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archlab import yamlio
from archlab.core import builtin

GROUPS = ("Tables", "Figures", "Campaigns", "Searches", "Checks", "Speed", "Other pages")
KINDS = {
    "ablation": "Tables",
    "structure": "Tables",
    "systems": "Tables",
    "unit_complexity": "Tables",
    "drawing": "Figures",
    "predictions": "Figures",
    "scatter": "Figures",
    "campaign": "Campaigns",
    "discrepancies": "Checks",
}
"""The group of a study's report, by the study's kind."""
OTHERS = {"faults": "Checks", "benchmarks": "Speed", "latency": "Speed"}
"""The group of a page that is no study's, by its name."""
INDEX = "index.html"


@dataclass(frozen=True)
class Page:
    """A page of Markdown, or the picture of a plot that has no page.

    anchor: its id in the front page. more: another form of the page, which the front page links to.
    """

    anchor: str
    name: str
    title: str
    group: str
    path: Path
    more: Path | None = None

    @property
    def is_picture(self) -> bool:
        return self.path.suffix != ".md"


def find_pages(reports: Path, searches: Path) -> list[Page]:
    """Return the pages of both folders in the order of the groups, by name within a group.

    A folder of reports may hold searches, which count if `searches` has none of their name.
    """
    own = {page.name: page for folder in (reports / "searches", searches) for page in _searches(folder)}
    found = [*_reports(reports), *own.values()]
    return sorted(found, key=lambda page: (GROUPS.index(page.group), page.name))


def _reports(folder: Path) -> Iterator[Page]:
    """Yield the folder's pages, and its plots that no page shows; a drawing of a network is with the networks."""
    studies = builtin.names("studies", "*.yaml")
    pages = {path.stem: path for path in sorted(folder.glob("*.md")) if path.stem != "README"}
    texts = "".join(map(text_of, pages.values()))
    plots = [path for ending in ("svg", "png") for path in sorted(folder.glob(f"*.{ending}"))]
    networks = builtin.names("search_spaces", "*/*.yaml")
    for path in plots:
        if f"{path.stem}." not in texts and path.stem not in networks:
            pages.setdefault(path.stem, path)
    for name, path in pages.items():
        kind, title = _study(studies[name]) if name in studies else ("", "")
        group = KINDS.get(kind, OTHERS.get(name, "Other pages"))
        yield Page(f"report-{name}", name, title or _heading(path), group, path)


def _searches(folder: Path) -> Iterator[Page]:
    for path in sorted(folder.glob("*/search.md")):
        name, page = path.parent.name, path.parent / "search.html"
        yield Page(f"search-{name}", name, _heading(path), "Searches", path, page if page.is_file() else None)


def _study(path: Path) -> tuple[str, str]:
    """Return a built-in study's kind and title."""
    entries = yamlio.read(path).entries
    return str(entries["kind"].value), str(entries["title"].value)


def text_of(page: Path) -> str:
    """Return a page's text; bytes that are not UTF-8 are replaced."""
    return page.read_text(encoding="utf-8", errors="replace")


def _heading(path: Path) -> str:
    """Return a page's first heading, or the file's name if it has none."""
    if path.suffix != ".md":
        return path.stem
    lines = text_of(path).splitlines()
    return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)
