"""Writing the front page, `index.html` in a folder of reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path

import archlab
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.report import web
from archlab.site import render
from archlab.site.networks import COLUMNS, WORDS, Entry, entries
from archlab.site.pages import GROUPS, INDEX, Page, find_pages, text_of

HERE = Path(__file__).parent
TITLE = "archlab: tables, plots, searches and networks"


def write_index(reports: Path, searches: Path = Path("searches")) -> Path:
    """Write the front page of a folder of reports; return its path.

    searches: a folder of searches, whose reports it holds too, besides those in `searches` in the folder of reports.

    Raises InputError if the folder is missing or holds no report.
    """
    if not reports.is_dir():
        raise InputError(Problem("no such folder of reports", "--reports", str(reports)))
    pages = find_pages(reports, searches)
    if not pages:
        raise InputError(Problem("holds no report; `archlab report table6` writes one", "--reports", str(reports)))
    write_text(reports / INDEX, front_page(pages, list(entries()), reports))
    return reports / INDEX


def front_page(pages: Sequence[Page], networks: Sequence[Entry], root: Path) -> str:
    """Return the whole document, to be written into the folder `root`."""
    groups = [(group, [page for page in pages if page.group == group]) for group in GROUPS]
    held = [(group, each) for group, each in groups if each]
    anchors = {page.path.resolve(): page.anchor for page in pages}
    places = {
        "over": f"archlab {archlab.__version__}, {date.today().isoformat()}",
        "contents": "\n".join(_contents(group, each) for group, each in held),
        "groups": "\n".join(_group(group, each, root, anchors) for group, each in held),
        "count": str(len(networks)),
        "columns": "".join(web.sortable(at, name, is_text=at < WORDS) for at, name in enumerate(COLUMNS)),
        "rows": "\n".join(map(_row, networks)),
        "drawings": "\n".join(map(_drawing, networks)),
    }
    body = web.filled(HERE / "index.html", places)
    return web.document(TITLE, body, style=HERE / "site.css", script=HERE / "site.js", images=True)


def _contents(group: str, pages: Sequence[Page]) -> str:
    links = "".join(f'<li><a href="#{escape(page.anchor)}">{escape(_short(page))}</a></li>' for page in pages)
    return f'<li><a href="#{_anchor(group)}">{group}</a><ul>{links}</ul></li>'


def _short(page: Page) -> str:
    """Return "Table 6" for table6, and any other name unchanged."""
    return re.sub(r"^(table|figure)(\d+)", lambda found: f"{found[1].capitalize()} {found[2]}", page.name)


def _anchor(group: str) -> str:
    return f"group-{group.lower().replace(' ', '-')}"


def _group(group: str, pages: Sequence[Page], root: Path, anchors: dict[Path, str]) -> str:
    """Return a group's section, whose first page is open."""
    inside = "\n".join(_article(page, root, anchors, opened=at == 0) for at, page in enumerate(pages))
    name = _anchor(group)
    heading = f'<h2 id="{name}-title">{group}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}\n{inside}\n</section>'


def _article(page: Page, root: Path, anchors: dict[Path, str], *, opened: bool) -> str:
    content = render.image(page.path, page.title)
    if not page.is_picture:
        content = render.markdown(text_of(page.path), render.Place(page.path.parent, root, anchors))
    if page.more:
        link = f'<a href="{escape(render.relative(page.more, root))}">interactive page</a>'
        content = f'<p class="note">This search has an {link} of its own.</p>{content}'
    state = " open" if opened else ""
    return web.folded(f'id="{escape(page.anchor)}"{state}', page.title, render.relative(page.path, root), content)


def _row(entry: Entry) -> str:
    cells = "".join(f"<td{web.end(at < WORDS)}>{escape(text)}</td>" for at, text in enumerate(entry.cells(), start=1))
    link = f'<th scope="row" class="l"><a href="#network-{entry.name}">{entry.name}</a></th>'
    return f'<tr data-name="{entry.name} {escape(entry.family)}">{link}{cells}</tr>'


def _drawing(entry: Entry) -> str:
    label = f"Block graph of {entry.name}"
    picture = render.data_image(re.sub(r"\n\s*", "", entry.svg).encode(), render.TYPES[".svg"], label)
    scroll = f'<div class="scroll drawing" tabindex="0" role="region" aria-label="{label}">{picture}</div>'
    attributes = f'id="network-{entry.name}" data-name="{entry.name} {entry.family}"'
    return web.folded(attributes, entry.name, f"{entry.cost.params:,} parameters", scroll)
