"""Studies of predictions: weights of a run or a file, the pictures, and what is missing said in one line."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.lively import lively
from helpers.refused import refused
from helpers.training import train

import archlab
from archlab.ablation import predictions
from archlab.ablation.drawings import Predictions
from archlab.ablation.load import load_study
from archlab.ablation.plan import AblationOptions, plan_ablation, weights_of
from archlab.ablation.predictions import WIDTH, Drawn, write_predictions
from archlab.cli import main
from archlab.core.files import write_json
from archlab.network.checkpoint import save_weights
from archlab.tasks.images import read_image
from archlab.tasks.pose.task import Pose
from archlab.training.recipe import load_recipe
from archlab.training.runs import read_record

STUDY = """\
kind: predictions
title: Skips
source: Nowhere
spec: skip_pose_net
recipe: tiny.yaml
pictures: 3
"""
TABLE = "{kind: ablation, title: t, source: s, recipe: tiny.yaml, rows: [{name: Skips, spec: skip_pose_net}]}\n"
RECIPE = "{input: [64, 64], iterations: 1, batch: 2, flip_test: false, data: {level: quick, train: 4, val: 4}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a study, the run that it asks for, and a table of the same network."""
    made = tmp_path_factory.mktemp("predictions")
    for name, text in {"people.yaml": STUDY, "table.yaml": TABLE, "tiny.yaml": RECIPE}.items():
        (made / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        train("skip_pose_net", load_recipe("tiny.yaml"), out=Path("runs"))
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return next(Path("runs").iterdir())


def study(path: Path = Path("people.yaml")) -> Predictions:
    loaded = load_study(path)
    assert isinstance(loaded, Predictions)
    return loaded


def test_a_report_draws_with_the_run_that_the_study_asks_for_or_with_the_one_that_is_named(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, words in {"own": [], "named": ["--weights", str(run)]}.items():
        assert main(["report", "people.yaml", "--reports", place, "--device", "cpu", *words]) == 0
    own, named = (Path(place, "people.png").read_bytes() for place in ("own", "named"))
    assert own == named
    assert abs(read_image(Path("own/people.png")).shape[1] - WIDTH) <= 1
    assert capsys.readouterr().out.split() == ["own/people.png", "named/people.png"]


def test_skeletons_are_drawn_on_the_pictures_side_by_side(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []
    monkeypatch.setattr(predictions, "_figure", lambda found, title: pages.append((found, title)))
    monkeypatch.setattr("archlab.core.figures.save_figure", lambda *_: None)
    write_predictions(study(), Drawn(run, device="cpu"), Path("out"))
    ((found, title),) = pages
    assert [Path(each.picture.name).name for each in found] == [f"{n:012d}.jpg" for n in (1, 3, 4)]
    assert all(len(each.points) == len(each.picture.boxes.boxes) == 1 for each in found)
    larger = found[0].resized((256, 352))
    assert np.allclose(larger.points, 2 * found[0].points)
    assert larger.picture.image.shape == (352, 256, 3)
    assert title.splitlines() == [
        "skip_pose_net, recipe tiny, 2 training samples, seed 1",
        "3 validation pictures (synthetic quick), evenly spaced and not chosen by score",
    ]
    assert predictions._page(found).shape == (round(WIDTH / 3 * 176 / 128), WIDTH, 3)


@pytest.mark.slow
def test_files_of_weights_draw_alike_whether_the_keys_are_ours_or_released(run: Path, tmp_path: Path) -> None:
    (tmp_path / "lite.yaml").write_text(STUDY.replace("skip_pose_net", "lite_hrnet_18"))
    network = lively(archlab.build("lite_hrnet_18"))
    made = []
    for released in (False, True):
        save_weights(network, tmp_path / "weights.pth", released_keys=released)
        (path,) = write_predictions(
            study(tmp_path / "lite.yaml"), Drawn(tmp_path / "weights.pth", device="cpu"), tmp_path
        )
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_what_is_missing_is_said_in_one_line(run: Path, tmp_path: Path) -> None:
    with refused("archlab ablate people", "skip_pose_net", file="people", field="--weights") as caught:
        write_predictions(study(), Drawn(), tmp_path)
    assert len(caught.value.problems) == 1
    with refused(file="none.pth"):
        write_predictions(study(), Drawn(Path("none.pth")), tmp_path)
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pth")
    with refused(file=tmp_path / "other.pth"):
        write_predictions(study(), Drawn(tmp_path / "other.pth", device="cpu"), tmp_path)
    with refused(field="--weights"):
        plan_ablation(["table.yaml"], AblationOptions(weights=run))
    assert main(["report", "table.yaml", "--weights", str(run)]) == 2


def test_a_task_without_pictures_to_show_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Pose, "pictures")
    with refused("'pose'"):
        write_predictions(study(), Drawn(run, device="cpu"), tmp_path)


def test_one_seed_is_trained_for_a_picture_and_none_with_weights(run: Path) -> None:
    planned = plan_ablation(["people.yaml"], AblationOptions(seeds=(2, 1)))
    assert [job.seed for job in planned.jobs] == [2]
    assert not plan_ablation(["people.yaml"], AblationOptions(weights=run)).jobs
    assert weights_of(study(), AblationOptions()) == run
    assert weights_of(study(), AblationOptions(seeds=(2,))) is None


def test_a_record_stands_for_the_run_in_a_table_but_has_nothing_to_draw_with(run: Path) -> None:
    record = read_record(run)
    write_json(Path("kept/records") / f"{record.fingerprint}.json", asdict(record))
    elsewhere = AblationOptions(out=Path("nowhere"), reports=Path("kept"), reuse_records=True)
    assert not plan_ablation(["table.yaml"], elsewhere).missing
    (missing,) = plan_ablation(["table.yaml", "people.yaml"], elsewhere).missing
    assert missing.fingerprint == record.fingerprint


@pytest.mark.slow
def test_ablate_trains_what_it_draws_and_draws_only_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("wrote results/people.png", "people: up to date"):
        assert main(["ablate", "people.yaml", "--runs", "fresh", "--device", "cpu"]) == 0
        assert words in capsys.readouterr().err
    assert len(list(Path("fresh").iterdir())) == 1
