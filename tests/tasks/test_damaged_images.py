"""Damaged training images: replaced, listed, and refused when there are too many."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.faulty import trained
from helpers.refused import refused

from archlab.core.errors import InputError, Problem
from archlab.tasks.damaged_images import DamagedImages, skipped_images
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation
from archlab.tasks.pose.samples import _SoundSamples


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return load_people(root, "train2017", aspect=1.0)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damaged(people: People, folder: Path) -> DamagedImages:
    return DamagedImages(people.image_files, people.image_index, folder)


def many(people: People, folder: Path, times: int = 8) -> People:
    """The people in `times` as many images, copies of theirs."""
    files = []
    for number in range(times * len(people)):
        source = people.image_files[int(people.image_index[number % len(people)])]
        files.append(folder / f"{number}{source.suffix}")
        files[-1].write_bytes(source.read_bytes())
    copies = people.subset(np.tile(np.arange(len(people)), times))
    return replace(copies, image_files=tuple(files), image_index=np.arange(len(files)))


def sound_samples(samples: PoseDataset, folder: Path) -> Callable[[list[int]], list[int]]:
    sound = _SoundSamples(samples, damaged(samples.people, folder))
    return lambda rows: [sound[row]["index"] for row in rows]


def sound_pipeline(samples: PoseDataset, folder: Path) -> Callable[[list[int]], list[int]]:
    pipeline = BatchedPipeline(samples, workers=2, stand_ins=damaged(samples.people, folder).without)
    return lambda rows: next(pipeline.stream([rows]))["index"].tolist()


Sound = Callable[[PoseDataset, Path], Callable[[list[int]], list[int]]]


BOTH = pytest.mark.parametrize("sound", [sound_samples, sound_pipeline])


@BOTH
def test_a_damaged_image_is_skipped_and_counted_and_the_next_person_stands_in(
    sound: Sound, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = many(people, tmp_path)
    copies.image_files[3].write_bytes(b"")
    samples = PoseDataset(copies, (64, 64))
    assert sound(samples, tmp_path)([2, 3, 4, 3]) == [2, 4, 4, 4]
    assert skipped_images(tmp_path) == 1
    assert capsys.readouterr().err.count(str(copies.image_files[3])) == 1
    # Taken up again, it is known: what stands in stays the same even if the file was put right meanwhile.
    copies.image_files[3].write_bytes(copies.image_files[4].read_bytes())
    assert sound(samples, tmp_path)([3]) == [4]


@BOTH
def test_the_last_person_is_stood_in_for_by_the_first_and_a_stand_in_may_need_one(
    sound: Sound, people: People, tmp_path: Path
) -> None:
    copies = many(people, tmp_path, times=15)
    for number in (0, 209):
        cut(copies.image_files[number])
    assert sound(PoseDataset(copies, (64, 64)), tmp_path)([209, 208]) == [1, 208]
    assert skipped_images(tmp_path) == 2


@BOTH
def test_more_than_one_damaged_image_in_a_hundred_stops_with_the_whole_list(
    sound: Sound, people: People, tmp_path: Path
) -> None:
    copies = many(people, tmp_path)
    for number in (3, 50, 90):
        cut(copies.image_files[number])
    indices = sound(PoseDataset(copies, (64, 64)), tmp_path)
    assert indices([3]) == [4]
    with refused("1%", "112") as caught:
        indices([50])
    assert [problem.file for problem in caught.value.problems[1:]] == [str(copies.image_files[n]) for n in (3, 50, 90)]


def test_what_stands_in_has_the_same_sample_in_both_pipelines(people: People, tmp_path: Path) -> None:
    copies = many(people, tmp_path)
    copies.image_files[7].unlink()
    samples = PoseDataset(copies, (64, 64), augmentation=Augmentation(), seed=3)
    sound = _SoundSamples(samples, damaged(samples.people, tmp_path))
    stand_ins = damaged(copies, tmp_path).without
    rows = [5, 7, 20]
    batch = BatchedPipeline(samples, region_pixels=10**6, stand_ins=stand_ins).batch(rows)
    for place, row in enumerate(rows):
        assert torch.equal(batch["weight"][place], sound[row]["weight"])
        assert (batch["target"][place] - sound[row]["target"]).abs().max() <= 1e-6
    assert batch["index"].tolist() == [5, 8, 20]


def test_an_error_that_is_not_about_an_image_is_not_skipped(people: People, tmp_path: Path) -> None:
    def work(rows: list[int]) -> None:
        raise InputError(Problem("something else", file=str(tmp_path / "other.yaml")))

    with refused("something else", file=tmp_path / "other.yaml"):
        damaged(people, tmp_path).without(work, [0])
    assert skipped_images(tmp_path) == 0


@pytest.mark.parametrize("pipeline", ["samples", "batched"])
def test_a_training_with_a_damaged_image_goes_on_and_says_which(people: People, tmp_path: Path, pipeline: Any) -> None:
    copies = many(people, tmp_path)
    cut(copies.image_files[3])
    recipe = tiny.RECIPE.changed(iterations=None, epochs=1, batch=16, pipeline=pipeline)
    trained(PoseDataset(copies, (64, 64)), tmp_path / "run", recipe)
    assert list(json.loads((tmp_path / "run" / "skipped_images.json").read_text())) == [str(copies.image_files[3])]
    cut(copies.image_files[4])
    with refused("1%", "112"):
        trained(PoseDataset(copies, (64, 64)), tmp_path / "again", recipe)


def test_missing_images_are_counted_apart_from_damaged_ones(people: People, tmp_path: Path) -> None:
    copies = many(people, tmp_path)
    for number in (3, 50):
        copies.image_files[number].unlink()
    cut(copies.image_files[90])
    images = damaged(copies, tmp_path)

    def work(rows: list[int]) -> None:
        for row in rows:
            read_image(copies.image_files[row])

    images.without(work, [3])
    with refused("1%", "112", "2 are missing") as caught:
        images.without(work, [50])
    found = {problem.file: problem.message for problem in caught.value.problems[1:]}
    assert list(found) == [str(copies.image_files[number]) for number in (3, 50, 90)]
    assert ["image is missing" in message for message in found.values()] == [True, True, False]


@pytest.mark.parametrize("content", ["[1]", "{", "\\xff", '{"a": 1}', "[" * 100_000])
def test_a_damaged_list_of_skipped_images_is_ignored_with_a_note(
    people: People, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "skipped_images.json").write_bytes(content.encode("latin-1"))
    assert damaged(people, tmp_path).without(lambda rows: rows, [1, 2]) == [1, 2]
    assert str(tmp_path / "skipped_images.json") in capsys.readouterr().err
