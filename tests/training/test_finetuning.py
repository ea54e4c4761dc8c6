"""Weights of one data set as the beginning of a training on another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.mpii_folder import write_split
from helpers.training import train
from torch import nn

import archlab
from archlab.core.errors import InputError
from archlab.network.checkpoint import load_for_finetuning, load_weights, to_released, weights_digest
from archlab.tasks.pose.data.coco import load_people
from archlab.training.metrics_log import read_rows
from archlab.training.runs import read_record


def network(outputs: int, seed: int, name: str = "lite_hrnet_18") -> nn.Module:
    torch.manual_seed(seed)
    return archlab.build(archlab.load(name, input=(3, 64, 64), outputs=outputs, **FEW))


FEW = {"stages.modules": [1, 1, 1]}


def differing(one: nn.Module, other: nn.Module) -> set[str]:
    first, second = one.state_dict(), other.state_dict()
    return {k for k in first if first[k].shape != second[k].shape or not torch.equal(first[k], second[k])}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network's weights as our training saves them and as the released code does."""
    folder = tmp_path_factory.mktemp("weights")
    source = network(17, 1)
    for kind, content in (
        ("archlab weights", {"format": 1, "iteration": 3, "state_dict": source.state_dict()}),
        ("released checkpoint", {"meta": {}, "state_dict": to_released(source)}),
    ):
        torch.save(content, folder / f"{kind}.pt")
    return {kind: folder / f"{kind}.pt" for kind in ("archlab weights", "released checkpoint")}


@pytest.mark.parametrize("kind", ["archlab weights", "released checkpoint"])
def test_all_is_loaded_but_a_last_layer_of_another_size_and_that_is_said(kind: str, files: dict[str, Path]) -> None:
    source, tuned, untouched = network(17, 1), network(5, 2), network(5, 2)
    head = {"last.conv.weight", "last.conv.bias"}
    told = load_for_finetuning(tuned, files[kind])
    assert all(part in told for part in (kind, files[kind].name, "17 outputs", "with 5"))
    assert differing(tuned, source) == head
    assert differing(tuned, untouched) & head == set()
    with pytest.raises(InputError, match=r"last.conv.weight"):
        load_weights(network(5, 2), files[kind])


def test_weights_of_the_same_size_are_loaded_whole(files: dict[str, Path]) -> None:
    for kind, path in files.items():
        tuned = network(17, 2)
        told = load_for_finetuning(tuned, path)
        assert kind in told
        assert path.name in told
        assert "last layer" not in told
        assert differing(tuned, network(17, 1)) == set()


def test_a_file_without_a_last_layer_begins_it_anew(tmp_path: Path) -> None:
    source = {key: value for key, value in network(17, 1).state_dict().items() if not key.startswith("last.")}
    torch.save(source, tmp_path / "backbone.pt")
    tuned = network(17, 2)
    assert "with 17" in load_for_finetuning(tuned, tmp_path / "backbone.pt")
    assert differing(tuned, network(17, 1)) == {"last.conv.weight"}  # biases are 0 in both


def test_the_weights_of_another_network_are_refused_and_nothing_is_loaded(files: dict[str, Path]) -> None:
    other = network(5, 2, "wider_naive_lite_hrnet_18")
    with pytest.raises(InputError, match="the checkpoint does not fit") as caught:
        load_for_finetuning(other, files["archlab weights"])
    assert all(problem.file == str(files["archlab weights"]) for problem in caught.value.problems)
    assert differing(other, network(5, 2, "wider_naive_lite_hrnet_18")) == set()


def test_a_run_that_begins_with_weights_is_another_run_and_says_what_it_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People of 17 keypoints' weights, to go on with MPII's 16."""
    torch.save(archlab.build(tiny.make_spec(tmp_path)).state_dict(), weights := tmp_path / "coco.pt")
    root, out = tmp_path / "mpii", tmp_path / "runs"
    coco = tiny.make_data(tmp_path)
    for split, ours in (("train2017", "train"), ("val2017", "valid")):
        write_split(root, ours, load_people(coco, split, aspect=1.0))
    spec, recipe = tiny.make_spec(tmp_path, outputs=16), tiny.RECIPE.changed(dataset="mpii", iterations=1, log_every=1)
    plain, tuned = (train(spec, recipe, root, out=out, weights=begin) for begin in (None, weights))
    lines = [line for line in capsys.readouterr().err.splitlines() if "coco.pt" in line]
    assert len(lines) == 1
    assert all(part in lines[0] for part in ("archlab weights", "17 outputs", "with 16"))
    assert plain != tuned
    assert read_record(plain).weights == ""
    assert read_record(tuned).weights == f"coco.pt {weights_digest(weights)}"
    assert read_record(tuned).fingerprint == tuned.name
    first, second = (next(row["loss"] for row in read_rows(run / "metrics.jsonl")) for run in (plain, tuned))
    assert first != second
    with pytest.raises(InputError, match="no such checkpoint"):
        train(spec, recipe, root, out=out, weights=tmp_path / "nothing.pt")


def test_a_wrong_file_of_weights_leaves_no_run(tmp_path: Path) -> None:
    root = tiny.make_data(tmp_path)
    (tmp_path / "wrong.pt").write_bytes(b"wrong")
    with pytest.raises(InputError, match="not a checkpoint"):
        train(tiny.make_spec(tmp_path), tiny.RECIPE, root, out=tmp_path / "runs", weights=tmp_path / "wrong.pt")
    assert list((tmp_path / "runs").iterdir()) == []
