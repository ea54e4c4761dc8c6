"""What the HTML pages share: colours, type and tables, light and dark, and how a template is filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

HERE = Path(__file__).parent


def document(title: str, body: str, *, style: Path, script: Path, images: bool = False) -> str:
    """Return a whole page that loads nothing, in the style that all pages share.

    title, body: HTML. style, script: the page's own, as files. images: whether its pictures are in their addresses.
    """
    places = {
        "title": title,
        "body": body,
        "images": "img-src data:; " if images else "",
        "style": f"{text_of(HERE / 'web.css')}\n{text_of(style)}",
        "script": text_of(script),
    }
    return filled(HERE / "web.html", places)


def filled(template: Path, places: Mapping[str, str]) -> str:
    """Return a template with each `{{name}}` replaced, once: what is put in is not read for names."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: places[found[1]], text_of(template))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\n")


def folded(attributes: str, title: str, source: str, content: str) -> str:
    """Return content that is folded under its title; `attributes` and `content` are HTML."""
    summary = f'<summary><h3>{escape(title)}</h3><span class="source">{escape(source)}</span></summary>'
    return f'<details class="page" {attributes}>{summary}\n{content}\n</details>'


def sortable(at: int, name: str, *, is_text: bool) -> str:
    """Return the heading of a column by which a table can be sorted."""
    return f'<th scope="col"{end(is_text)}><button type="button" data-sort="{at}">{escape(name)}</button></th>'


def end(is_text: bool) -> str:
    """Return the attribute of a cell by which text is on the left; numbers are on the right."""
    return ' class="l"' if is_text else ""
