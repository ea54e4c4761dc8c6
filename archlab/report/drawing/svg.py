"""A picture as an SVG document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import hypot
from xml.sax.saxutils import escape, quoteattr

from archlab.report.drawing.picture import XY, Box, Line, Picture, Text

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
HEAD = 7.0  # length of an arrow head
BEND = 5.0  # radius of a bend


def to_svg(picture: Picture, title: str, description: str) -> str:
    """Return the document. It has a white background, so it is also readable on a dark page."""
    width, height = _number(picture.width), _number(picture.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="{FONTS}">',
        f"<title>{_text(title)}</title>",
        f"<desc>{_text(description)}</desc>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_box(box) for box in picture.boxes if box.role == "panel"),
        *(part for line in picture.lines if not line.inner for part in _line(line)),
        *(_box(box) for box in picture.boxes if box.role != "panel"),
        *(part for line in picture.lines if line.inner for part in _line(line)),
        *(_set(text) for text in picture.texts),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box) -> str:
    edge = f' stroke="{box.stroke}" stroke-width="1.2"' if box.stroke != "none" else ""
    place = " ".join(f'{n}="{_number(v)}"' for n, v in zip(("x", "y", "width", "height"), _rect(box), strict=True))
    return f'<rect {place} rx="{_number(box.radius)}" fill="{box.fill}"{edge}/>'


def _rect(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height


def _line(line: Line) -> Iterator[str]:
    points = list(line.points)
    if line.arrow:
        tip, points[-1] = points[-1], _towards(points[-1], points[-2], HEAD - 1)
        yield _head(tip, points[-2], line.colour)
    dots = ' stroke-dasharray="2 3"' if line.dotted else ""
    yield f'<path d="{_path(points)}" fill="none" stroke="{line.colour}" stroke-width="1.4"{dots}/>'


def _head(tip: XY, back: XY, colour: str) -> str:
    length = hypot(tip[0] - back[0], tip[1] - back[1])
    ux, uy = (tip[0] - back[0]) / length, (tip[1] - back[1]) / length
    base, half = (tip[0] - HEAD * ux, tip[1] - HEAD * uy), HEAD / 2.2
    corners = [tip, (base[0] - half * uy, base[1] + half * ux), (base[0] + half * uy, base[1] - half * ux)]
    return f'<path d="M{" L".join(_point(corner) for corner in corners)} Z" fill="{colour}"/>'


def _path(points: Sequence[XY]) -> str:
    """Return a path of straight segments joined by small bends."""
    parts = [f"M{_point(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(BEND, _distance(before, corner) / 2, _distance(corner, after) / 2)
        parts.append(f"L{_point(_towards(corner, before, radius))}")
        parts.append(f"Q{_point(corner)} {_point(_towards(corner, after, radius))}")
    return " ".join([*parts, f"L{_point(points[-1])}"])


def _distance(a: XY, b: XY) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])


def _towards(start: XY, end: XY, step: float) -> XY:
    length = _distance(start, end)
    share = step / length if length else 0
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _set(text: Text) -> str:
    marks = ' font-weight="bold"' if text.bold else ""
    marks += ' font-style="italic"' if text.italic else ""
    marks += f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    place = f'x="{_number(text.x)}" y="{_number(text.y)}" font-size="{_number(text.size)}"'
    return f"<text {place} fill={quoteattr(text.colour)}{marks}>{_text(text.string)}</text>"


def _point(point: XY) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    """Return a number with at most two decimals and without negative zero."""
    return f"{round(value, 2) + 0:g}" if abs(value) < 1e4 else f"{value:.0f}"


def _text(string: str) -> str:
    """Return escaped text without the control characters that XML forbids."""
    return escape("".join(char if char.isprintable() else " " for char in string))
