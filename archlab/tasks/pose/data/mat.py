"""MATLAB files of versions 4 to 7.2, whose compressed variables may claim any size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem, missing_file

MOST_BYTES = 2**28
"""The largest size of all variables; those of MPII and Leeds Sports Pose take a few MB."""
_HEAD, _TAG, _COMPRESSED = 128, 8, 15


def read_mat(path: Path, what: str = "file") -> dict[str, Any]:
    """Return the variables of a MATLAB file by name. what: its kind, for the error of a missing file.

    Raises InputError if the file is missing, damaged, of another format or larger than MOST_BYTES when unpacked.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise missing_file(path, what)
    try:
        size = unpacked(path.read_bytes())
        found = loadmat(path) if size <= MOST_BYTES else {}
    except NotImplementedError:
        raise InputError(Problem("a MATLAB 7.3 file; write it again with save(..., '-v7')", file=str(path))) from None
    except Exception as error:  # scipy raises many kinds of errors for damaged files, none of its own type
        raise InputError(Problem(f"not a readable MATLAB file: {error}", file=str(path))) from error
    if size > MOST_BYTES:
        raise InputError(Problem(f"claims {size:,} bytes of variables; the limit is {MOST_BYTES:,}", file=str(path)))
    return {name: value for name, value in found.items() if not name.startswith("__")}


def unpacked(data: bytes) -> int:
    """Return the bytes that the variables of a file of version 5 to 7.2 claim, compressed ones as unpacked."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEAD])
    total, at = 0, _HEAD if order else len(data)
    while at + _TAG <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        at += _TAG
        claimed = size
        if kind == _COMPRESSED:
            head = zlib.decompressobj().decompress(data[at : at + size], _TAG)
            claimed = struct.unpack(f"{order}II", head)[1]
        total, at = total + claimed, at + size
    return total
