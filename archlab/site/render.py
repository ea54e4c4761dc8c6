"""Markdown pages and pictures as HTML that loads nothing."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

Environment = MutableMapping[str, Any]
TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
FOREIGN = ("http:", "https:", "mailto:", "#")
KEPT = re.compile(r"&lt;(br|/?sup|/?sub)&gt;")
"""The tags that our tables use. Any other one is text."""


@dataclass(frozen=True)
class Place:
    """Where a page stands, from which its links and pictures count.

    folder: of the page. root: of the front page. anchors: pages that are parts of the front page, by file.
    """

    folder: Path
    root: Path
    anchors: Mapping[Path, str] = field(default_factory=dict)

    def link(self, address: str) -> str:
        """Return an address as the front page has to write it."""
        if address.startswith(FOREIGN):
            return address
        target = (self.folder / address.partition("#")[0]).resolve()
        if target in self.anchors:
            return f"#{self.anchors[target]}"
        return relative(target, self.root)


def relative(path: Path, root: Path) -> str:
    """Return a file's address as a page in the folder `root` has to write it."""
    return Path(os.path.relpath(path, root)).as_posix()


def markdown(text: str, place: Place) -> str:
    """Return Markdown as HTML, without its first heading, whose other headings start at level 4.

    Raw HTML is text, apart from line breaks and raised or lowered characters.
    """
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = parser.parse(text)
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]
    made = parser.renderer.render(tokens, parser.options, {"place": place})
    return KEPT.sub(r"<\1>", made)


def image(path: Path, alt: str) -> str:
    """Return a picture, of which the page holds the bytes; a sentence if the file is missing."""
    if not path.is_file() or path.suffix not in TYPES:
        return f'<p class="note">The picture {escape(path.name)} is missing.</p>'
    content = path.read_bytes()
    return data_image(content, TYPES[path.suffix], alt)


def data_image(content: bytes, kind: str, alt: str) -> str:
    """Return an `img` with its bytes in the address; the browser reads it when it comes into view."""
    address = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return f'<img loading="lazy" decoding="async" alt="{escape(alt)}" src="{address}">'


class _Renderer(RendererHTML):
    """markdown-it's renderer, with tables that scroll by themselves, pictures in the page and links from its root."""

    def table_open(self, *_: Any) -> str:
        return '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="data">'

    def table_close(self, *_: Any) -> str:
        return "</table></div>"

    def heading_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Environment) -> str:
        return f"<h{_level(tokens[at])}>"

    def heading_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Environment) -> str:
        return f"</h{_level(tokens[at])}>"

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Environment) -> str:
        return f'<a href="{escape(env["place"].link(str(tokens[at].attrs["href"])))}">'

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Environment) -> str:
        return image(env["place"].folder / str(tokens[at].attrs["src"]), tokens[at].content)


def _level(heading: Token) -> int:
    return min(int(heading.tag[1]) + 2, 6)
