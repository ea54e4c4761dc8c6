"""The formats of JPEG and PNG files: whether a picture is whole, and its size, without decoding it."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""A marker other than a restart: in coded data 0xff is followed by 0 or stands in a marker."""
_IS_MARKER = np.array([bool(_MARKER.match(bytes((0xFF, code)))) for code in range(256)])
_NEAR, _FAR = 1 << 13, 1 << 17
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOI, _EOI, _SOS, _APP1, _TEM_TO_RESERVED = 0xD8, 0xD9, 0xDA, 0xE1, 0xBF
_TOLD = _SOF | {_SOS, _APP1}
_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
"""The EXIF orientations that swap width and height."""
_COEFFICIENTS = (1 << 64) - 1

Size = tuple[int, int]
"""Width and height in pixels."""


class FormatError(Exception):
    """The bytes are not a whole picture; the message says why."""


@dataclass
class Picture:
    """What the segments of a JPEG file, or the chunks of a PNG file, say.

    stored: its size before its orientation. orientation: of EXIF. missing: by component, a bit for each coefficient
    that no scan has brought to full precision. coded_end: where the coded data of a JPEG's last scan ends.
    """

    stored: Size | None = None
    progressive: bool = False
    orientation: int = 1
    missing: dict[int, int] = field(default_factory=dict)
    coded_end: int = 0

    @property
    def size(self) -> Size | None:
        """The size as decoded."""
        return self.stored[::-1] if self.stored and self.orientation in _TURNED else self.stored


def whole(data: bytes) -> Picture:
    """Return what a file's bytes say. Bytes behind the end of the picture do not matter.

    A JPEG is walked by its segments and scans, a PNG by its chunks and their checksums; other formats are not checked.
    Raises FormatError unless the picture is whole.
    """
    if not data:
        raise FormatError("the file is empty")
    found = Picture()
    if data.startswith(JPEG):
        _walk(found, data)
    elif data.startswith(PNG):
        for name, body in _chunks(data):
            _take_chunk(found, name, body)
    return found


def size(head: bytes) -> Size | None:
    """Return the size of the decoded picture, turned by its EXIF orientation; None if the bytes do not say it.

    head: the file's first bytes, or all of them.
    """
    found = Picture()
    try:
        if head.startswith(JPEG):
            for marker, start, end in _segments(head):
                _take(found, marker, head[start:end])
                if marker == _SOS:
                    break
        elif head.startswith(PNG):
            for name, body in _chunks(head):
                _take_chunk(found, name, body)
                if name == b"IDAT":
                    break
    except FormatError:
        return None
    return found.size


def _walk(found: Picture, data: bytes) -> None:
    """Walk all of a JPEG. Raises FormatError if it does not end, or if scans are missing."""
    coded = False
    for marker, start, end in _segments(data):
        if coded:
            found.coded_end = start - (2 if marker == _EOI else 4)
        if marker in _TOLD:
            _take(found, marker, data[start:end])
        coded = marker == _SOS
    if any(found.missing.values()):
        raise FormatError("the image is truncated: scans are missing")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment's content, up to the end marker.

    Raises FormatError if the end marker is missing, or if something else than a segment follows the coded data.
    """
    at = len(JPEG)
    while (found := _next_marker(data, at)) >= 0:
        marker, start = data[found + 1], found + 2
        if marker == _EOI:
            yield marker, start, start
            return
        if marker == _SOI:
            raise FormatError("the image is truncated: another picture begins before the end of the first")
        if marker <= _TEM_TO_RESERVED:
            raise FormatError(f"the image is damaged: the marker 0x{marker:02x} is not one of JPEG's")
        at = start + int.from_bytes(data[start : start + 2], "big")
        if at < start + 2 or at > len(data):
            raise FormatError("the image is truncated: a segment is longer than the file")
        yield marker, start + 2, at
    raise FormatError("the image is truncated: its end marker is missing")


def _next_marker(data: bytes, at: int) -> int:
    """Return the index of the first marker from `at` on, or -1; through long coded data by whole arrays."""
    if found := _MARKER.search(data, at, at + _NEAR):
        return found.start()
    for start in range(at + _NEAR - 1, len(data), _FAR):
        part = np.frombuffer(data, np.uint8, count=min(_FAR + 1, len(data) - start), offset=start)
        places = np.flatnonzero(part[:-1] == 0xFF)
        markers = places[_IS_MARKER[part[places + 1]]]
        if len(markers):
            return start + int(markers[0])
    return -1


def _take(found: Picture, marker: int, body: bytes) -> None:
    """Add what a segment says. Raises FormatError if it is malformed."""
    try:
        if marker in _SOF:
            _, height, width, count = struct.unpack_from(">BHHB", body)
            found.stored, found.progressive = (width, height), marker in _PROGRESSIVE
            found.missing = {body[6 + 3 * i]: _COEFFICIENTS for i in range(count)}
        elif marker == _SOS:
            _take_scan(found, body)
        elif marker == _APP1 and body.startswith(_EXIF) and found.orientation == 1:
            found.orientation = _orientation(body[len(_EXIF) :])
    except (IndexError, KeyError, ValueError, struct.error):
        raise FormatError("the image is damaged: a segment is malformed") from None


def _take_scan(found: Picture, body: bytes) -> None:
    """Take a scan's coefficients, first to last, off the missing ones, if this scan holds their last bit."""
    count = body[0]
    first, last, precision = body[1 + 2 * count : 4 + 2 * count]
    brought = _COEFFICIENTS
    if found.progressive:
        brought = 0 if precision & 15 else ((1 << last + 1) - 1) & -(1 << first)
    for i in range(count):
        found.missing[body[1 + 2 * i]] &= ~brought


def _orientation(tiff: bytes) -> int:
    """Return the orientation that an EXIF block states; 1 if it states none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk of a PNG; of pixels only the name, before their checksum is computed.

    Raises FormatError if the end is missing, or the checksum of a chunk that decoding needs is wrong.
    """
    at, view = len(PNG), memoryview(data)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if name == b"IDAT":
            yield name, b""
        if end + 4 > len(data):
            break
        needed = not name[0] & 0x20
        if needed and zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise FormatError(f"the image is damaged: the checksum of a chunk {name.decode('latin-1')} is wrong")
        if name != b"IDAT":
            yield name, data[at + 8 : end]
        if name == b"IEND":
            return
        at = end + 4
    raise FormatError("the image is truncated: its end chunk is missing")


def _take_chunk(found: Picture, name: bytes, body: bytes) -> None:
    if name == b"IHDR" and len(body) >= 8:
        width, height = struct.unpack_from(">II", body)
        found.stored = (width, height)
    elif name == b"eXIf":
        found.orientation = _orientation(body)
