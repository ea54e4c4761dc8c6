"""MATLAB files that claim more than they may, or are none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.refused import refused
from scipy.io import savemat

from archlab.tasks.pose.data.mat import MOST_BYTES, read_mat, unpacked


def packed(claimed: int) -> bytes:
    """Return a file with one compressed variable whose tag claims a size."""
    body = zlib.compress(struct.pack("<II", 14, claimed) + bytes(1000))
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(body)) + body


@pytest.mark.parametrize("compressed", [True, False])
def test_variables_are_read_and_their_bytes_counted(compressed: bool, tmp_path: Path) -> None:
    path, values = tmp_path / "a.mat", np.arange(6000.0).reshape(1000, 6)
    savemat(path, {"a": values, "b": values}, do_compression=compressed)
    found = read_mat(path)
    assert found.keys() == {"a", "b"}
    assert np.array_equal(found["b"], values)
    assert 2 * 48_000 <= unpacked(path.read_bytes()) < 2 * 48_200


def test_a_variable_of_absurd_size_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mat"
    path.write_bytes(packed(2**32 - 8))
    with refused(f"{2**32 - 8:,}", f"{MOST_BYTES:,}", file=path):
        read_mat(path)


@pytest.mark.parametrize(
    "content", [b"", b"text", packed(8)[:150], packed(8)[:-4]], ids=["empty", "text", "cut", "short"]
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with refused("not a readable MATLAB file", file=tmp_path / "a.mat"):
        read_mat(tmp_path / "a.mat")
