"""The elements of a drawing before it becomes an SVG: boxes, lines and texts in pixels, with text extents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Literal

XY = tuple[float, float]
INK = "#1b1b1b"
GREY = "#595959"

# Advance widths in thousandths of the type size, from DejaVu Sans (bold: DejaVu Sans Bold). It is the widest of the
# fonts that the SVG names, so no text is wider than its computed extent.
_REGULAR = {
    278: "'ijl", 295: "IJ", 318: " ,.·", 337: "/:;\\|", 361: "-f", 393: "()[]t", 412: "!r²⁰⁶", 460: '"', 500: "*_`–",
    525: "sz", 550: "?c", 580: "FLk", 616: "PTYaeovxy", 656: "$0123456789EKSbdghnpqu{}", 699: "ABCRVXZ", 732: "U",
    780: "&DGHN", 818: "OQw", 863: "#+<=>M^~×", 951: "%", 1000: "@Wm…",
}  # fmt: skip
_BOLD = {
    307: "'", 349: " ijl", 380: ",./IJ\\|·", 416: "-:;", 436: "f", 458: "!()[]²⁰⁶", 494: "rt", 523: '"*_`–',
    596: "?csz", 652: "Lvxy", 696: "$0123456789EFTaeko", 734: "CPSYZbdghnpqu{}", 775: "ABKRVX", 831: "DGU",
    873: "#&+<=>HNOQ^~×", 924: "w", 1042: "%@Mm…", 1104: "W",
}  # fmt: skip
_WIDTHS = {
    bold: {char: width / 1000 for width, chars in table.items() for char in chars}
    for bold, table in ((False, _REGULAR), (True, _BOLD))
}
_UNKNOWN = 1.2  # em, for characters not in the tables


def total(values: Iterable[float]) -> float:
    """Return the sum, added from left to right. `sum` rounds differently from Python 3.12 on; a drawing does not."""
    return reduce(add, values, 0.0)


def text_width(string: str, size: float, *, bold: bool = False) -> float:
    """Return an upper bound of a text's width in pixels."""
    return size * total(_WIDTHS[bold].get(char, _UNKNOWN) for char in string)


@dataclass(frozen=True)
class Box:
    """A filled rectangle. A `panel` contains others; a `block` or `terminal` contains only its own text."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    role: Literal["block", "terminal", "panel", "chip"] = "block"
    stroke: str = INK
    radius: float = 5

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def centre(self) -> XY:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Line:
    """A polyline. net: the value it carries; lines of one net may overlap. inner: drawn within a box."""

    points: tuple[XY, ...]
    net: str
    arrow: bool = False
    dotted: bool = False
    inner: bool = False
    colour: str = INK


@dataclass(frozen=True)
class Text:
    """A line of text. (x, y): the start, middle or end of its base line, by `anchor`."""

    x: float
    y: float
    string: str
    size: float = 12
    bold: bool = False
    italic: bool = False
    anchor: Literal["start", "middle", "end"] = "start"
    colour: str = INK

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """An upper bound of (left, top, right, bottom)."""
        width = text_width(self.string, self.size, bold=self.bold)
        left = self.x - {"start": 0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.8 * self.size, left + width, self.y + 0.24 * self.size


@dataclass(frozen=True)
class Picture:
    """A drawing or a part of one, from (0, 0) to (width, height)."""

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    texts: tuple[Text, ...] = ()

    def moved(self, dx: float, dy: float) -> Picture:
        return Picture(
            self.width + dx,
            self.height + dy,
            tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in self.boxes),
            tuple(replace(line, points=tuple((x + dx, y + dy) for x, y in line.points)) for line in self.lines),
            tuple(replace(text, x=text.x + dx, y=text.y + dy) for text in self.texts),
        )


def joined(pictures: Iterable[Picture]) -> Picture:
    """Return pictures overlaid in one system of coordinates."""
    parts = list(pictures)
    return Picture(
        max((part.width for part in parts), default=0),
        max((part.height for part in parts), default=0),
        tuple(box for part in parts for box in part.boxes),
        tuple(line for part in parts for line in part.lines),
        tuple(text for part in parts for text in part.texts),
    )


@dataclass(frozen=True)
class Style:
    """The look of a line of text."""

    size: float = 12
    bold: bool = False
    italic: bool = False
    colour: str = INK

    @property
    def leading(self) -> float:
        return 1.25 * self.size


NORMAL, SMALL, STRONG = Style(12.5), Style(11, colour=INK), Style(12.5, bold=True)
Lines = tuple[tuple[str, Style], ...]


def block_size(lines: Lines) -> tuple[float, float]:
    """Return the width and height of lines of text set one below the other."""
    width = max((text_width(string, style.size, bold=style.bold) for string, style in lines), default=0)
    return width, total(style.leading for _, style in lines)


def set_lines(lines: Lines, x: float, top: float, anchor: Literal["start", "middle", "end"] = "middle") -> list[Text]:
    """Return lines of text one below the other, from `top` down."""
    texts = []
    for string, style in lines:
        baseline = top + 0.5 * (style.leading - style.size) + 0.79 * style.size
        texts.append(Text(x, baseline, string, style.size, style.bold, style.italic, anchor, style.colour))
        top += style.leading
    return texts


def centred(lines: Lines, centre: XY) -> list[Text]:
    """Return lines of text centred on a point."""
    return set_lines(lines, centre[0], centre[1] - block_size(lines)[1] / 2)


def wrapped(words: str, limit: int) -> tuple[str, ...]:
    """Return lines of at most `limit` characters, broken at spaces. A longer word has a line of its own."""
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + 1 + len(word) <= limit:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return tuple(lines)


def shortened(words: str, limit: int = 32) -> str:
    """Return at most `limit` characters, ending in an ellipsis if cut."""
    return words if len(words) <= limit else words[: limit - 1] + "…"
