"""The fenced blocks of a page: its examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NAMED = re.compile(r"# (\S+\.(?:yaml|py))(?: \(--plugin (\S+)\))?")


@dataclass(frozen=True)
class Block:
    """A fenced block. `file`: the name in its first line; `plugin`: what it is read with."""

    language: str
    text: str
    line: int
    file: str = ""
    plugin: tuple[str, ...] = ()


def blocks(path: Path) -> list[Block]:
    found, text = [], path.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line, named = text[: match.start()].count("\n") + 1, NAMED.match(match[2])
        file, plugin = (named[1], (named[2],) if named[2] else ()) if named else ("", ())
        found.append(Block(match[1], match[2], line, file, plugin))
    return found


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output below it."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"line {block.line}: a console block begins with `$ `"
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts[1:])]
