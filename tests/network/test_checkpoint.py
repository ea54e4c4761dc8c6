"""Files of weights that are damaged, hostile or hold no numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import tiny
from helpers.refused import refused

import archlab
from archlab.network.checkpoint import load_file, load_weights, save_weights


@pytest.fixture
def network(tmp_path: Path):
    return archlab.build(tiny.make_spec(tmp_path))


@pytest.fixture
def weights(network, tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": network.state_dict()}, path)
    return path


def test_a_flipped_bit_in_a_weight_is_found_by_its_checksum(network, weights: Path) -> None:
    value = network.state_dict()["quarter.conv.weight"].flatten()[0].numpy().tobytes()
    content = bytearray(weights.read_bytes())
    content[content.index(value)] ^= 1
    weights.write_bytes(content)
    with refused("damaged", file=weights):
        load_weights(network, weights)


def test_a_compressed_part_is_refused_before_it_is_unpacked(weights: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(weights) as sound, zipfile.ZipFile(bomb, "w") as packed:
        for part in sound.infolist():
            packed.writestr(part.filename, sound.read(part))
        packed.writestr("archive/data/bomb", bytes(2**20), zipfile.ZIP_DEFLATED)
    with refused("archive/data/bomb", file=bomb):
        load_file(bomb)


def test_weights_without_numbers_are_loaded_with_a_note(network, weights: Path, monkeypatch) -> None:
    values = network.state_dict()
    values["quarter.conv.weight"][0, 0, 0, 0] = torch.nan
    torch.save({"state_dict": values}, weights)
    said: list[str] = []
    monkeypatch.setattr("archlab.core.notes.note", said.append)
    load_weights(network, weights)
    assert len(said) == 1
    assert str(weights) in said[0]
    assert "quarter.conv.weight" in said[0]
    assert f"1 of {len(values)}" in said[0]


def test_a_flipped_bit_in_a_safetensors_file_of_archlab_is_found(network, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(network, path)
    load_weights(network, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with refused("sha256", file=path):
        load_weights(network, path)


def test_a_safetensors_file_without_a_checksum_is_loaded(network, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.torch.save(dict(network.state_dict())))
    assert load_weights(network, path) == "archlab weights"
