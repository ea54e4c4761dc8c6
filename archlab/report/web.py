"""What the HTML pages share: colours, type and tables, light and dark, and how a template is filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def filled(folder: Path, template: str, places: Mapping[str, str]) -> str:
    """Return a template of `folder` with each `{{name}}` replaced, once: what is put in is not read for names."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: places[found[1]], text_of(folder / template))


def style(folder: Path, name: str) -> str:
    """Return the style that all pages share, and below it a page's own."""
    return f"{text_of(Path(__file__).parent / 'web.css')}\n{text_of(folder / name)}"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\n")
