"""The number of CPU threads is part of what a row is: a study killed anywhere ends as one that nothing disturbs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from helpers.sample_records import record
from helpers.search_study import wait_for

from archlab.ablation.plan import plan_ablation
from archlab.ablation.run import AblationOptions, ablate
from archlab.ablation.threads import make_room
from archlab.cli.app import main
from archlab.core.processes import threads_each
from archlab.training.lock import held
from archlab.training.metrics_log import read_rows
from archlab.training.runs import Record, find_runs, read_record

STUDY = """\
kind: ablation
title: Small networks
source: Nowhere
recipe: tiny.yaml
rows:
  - {name: Skips, spec: skip_pose_net}
  - {name: Skips with small kernels, spec: skip_pose_net, fields: {nodes.coarse_more.kernel: 3}}
  - {name: Skips with large kernels, spec: skip_pose_net, fields: {nodes.coarse_more.kernel: 7}}
"""
RECIPE = """\
input: [64, 64]
iterations: 4
batch: 4
flip_test: false
log_every: 1
checkpoint_every: 1
optimiser: {name: adam, lr: 1e-2}
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("threads"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "three.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


Facts = dict[str, tuple[int, dict[str, Any], list[Any], dict[str, torch.Tensor]]]


def facts(runs: Path, names: Iterable[str] = ()) -> Facts:
    """The threads, scores, losses and weights of finished runs, by fingerprint: of all, or of those of these names."""
    found = {}
    for name in names or [each.fingerprint for each in find_runs(runs)]:
        each = read_record(runs / name)
        assert each.state == "done"
        losses = [(row["iteration"], row.get("loss")) for row in read_rows(runs / name / "metrics.jsonl")]
        weights = torch.load(runs / name / "checkpoint.pt", weights_only=True)["state_dict"]
        found[name] = (each.threads, each.scores, losses, weights)
    return found


def check_same(one: Facts, other: Facts) -> None:
    assert one.keys() == other.keys()
    for name, (threads, scores, losses, weights) in one.items():
        assert (threads, scores, losses) == other[name][:3]
        assert all(torch.equal(weights[key], other[name][3][key]) for key in weights)


def killed_when(due: Callable[[list[Record]], bool], runs: Path, data: Path, jobs: int) -> None:
    """Start the study, and kill it outright, with its workers, as soon as its records are as wanted."""
    command = [sys.executable, "-m", "archlab", "ablate", "three.yaml", "--jobs", str(jobs), "--data", str(data)]
    command += ["--runs", str(runs), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or due(find_runs(runs)))
    assert process.poll() is None, "the study ended before it could be killed"
    process.send_signal(signal.SIGSTOP)  # so that it starts no other worker
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    wait_for(lambda: not any(held(path) for path in runs.iterdir()))


def done(records: list[Record]) -> int:
    return [each.state for each in records].count("done")


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "finished"), [(1, 1), (2, 2)])
def test_a_study_killed_after_any_number_of_rows_ends_with_the_weights_and_scores_of_one_that_nothing_disturbs(
    folder: Path, people: Path, jobs: int, finished: int
) -> None:
    """With two rows finished, one is left, which has the machine to itself and not a thread more."""
    options: dict[str, Any] = {"jobs": jobs, "data": people, "device": "cpu"}
    assert (
        ablate(["three.yaml"], AblationOptions(out=folder / "whole", reports=folder / "there", **options)).exit_code
        == 0
    )
    killed_when(lambda records: done(records) >= finished and bool(records), folder / "runs", people, jobs)
    assert len(facts(folder / "whole")) == 3
    assert ablate(["three.yaml"], AblationOptions(out=folder / "runs", **options)).exit_code == 0
    check_same(facts(folder / "whole"), facts(folder / "runs"))
    assert {run.threads for run in find_runs(folder / "runs")} == {threads_each(jobs)}


@pytest.mark.parametrize(("jobs", "threads"), [(1, 2), (2, 1), (3, 1)])
def test_threads_follow_from_the_machine_and_the_jobs_and_not_from_what_is_left(
    folder: Path, people: Path, two_cores: None, jobs: int, threads: int
) -> None:
    planned = plan_ablation(["three.yaml"], AblationOptions(jobs=jobs, data=people, device="cpu"))
    assert [planned.threads(job) for job in planned.jobs] == [threads] * 3
    for job in planned.jobs[:2]:
        finish(planned.options.out / job.fingerprint, threads=threads)
    left = plan_ablation(["three.yaml"], AblationOptions(jobs=jobs, data=people, device="cpu"))
    assert [left.threads(job) for job in left.missing] == [threads]
    assert [run["threads"] for run in left.as_json()["runs"]] == [threads] * 3


def test_the_recipe_may_set_the_threads(folder: Path, people: Path, two_cores: None) -> None:
    changes = {"threads": 3}
    planned = plan_ablation(["three.yaml"], AblationOptions(jobs=1, data=people, recipe_changes=changes))
    assert [planned.threads(job) for job in planned.jobs] == [3] * 3


def finish(folder: Path, **given: Any) -> Record:
    """Leave the record of a finished run of this name in a folder."""
    folder.mkdir(parents=True)
    return record("x", "a", fingerprint=folder.name, **given).write(folder)


def test_a_run_of_another_number_of_threads_stands_for_a_row_only_if_records_are_reused(
    folder: Path, people: Path, two_cores: None
) -> None:
    options: dict[str, Any] = {"jobs": 1, "data": people, "device": "cpu"}
    first, second, third = plan_ablation(["three.yaml"], AblationOptions(**options)).jobs
    alike = finish(folder / "runs" / first.fingerprint, threads=2)
    other = finish(folder / "runs" / second.fingerprint, threads=1)
    card = finish(folder / "runs" / third.fingerprint, threads=1, device="cuda: a card")
    planned = plan_ablation(["three.yaml"], AblationOptions(**options))
    assert [planned.record(job) for job in planned.jobs] == [alike, None, card]
    assert [planned.unlike(job) for job in planned.jobs] == ["", "1 thread, not 2", ""]
    assert sum("1 thread, not 2" in line and line.startswith("  train") for line in planned.lines()) == 1
    reused = plan_ablation(["three.yaml"], AblationOptions(reuse_records=True, **options))
    assert [reused.record(job) for job in reused.jobs] == [alike, other, card]
    assert sum("1 thread, not 2" in line and line.startswith("  reuse") for line in reused.lines()) == 1


@pytest.mark.slow
def test_a_row_of_another_number_is_trained_again_and_comes_back_with_its_number(
    folder: Path, people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the recipe's threads, so that any machine can run it."""
    (folder / "one.yaml").write_text("".join(STUDY.splitlines(keepends=True)[:6]), encoding="utf-8")

    def run(threads: int, *more: str) -> str:
        command = ["ablate", "one.yaml", "--jobs", "2", "--data", str(people), "--device", "cpu", *more]
        assert main([*command, "--recipe-set", f"threads={threads}"]) == 0
        return capsys.readouterr().err

    assert "1 runs: 0 reused, 1 to train" in run(1)
    single = facts(folder / "runs")
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("results/records/*")}
    said = run(2, "--reuse-records")
    assert said.count("1 thread, not 2") == 1
    assert "1 runs: 1 reused, 0 to train" in said
    said = run(2)
    assert said.count("1 thread, not 2") == 1
    assert "1 runs: 0 reused, 1 to train" in said
    kept = {f"{name}_threads1" for name in single}
    assert {path.name for path in (folder / "runs").iterdir()} == {*single, *kept}
    assert {read_record(folder / "runs" / name).threads for name in single} == {2}
    assert all(json.loads(path.read_text())["threads"] == 2 for path in stamps)

    said = run(1)
    assert "1 runs: 1 reused, 0 to train" in said
    assert {path.name for path in (folder / "runs").iterdir()} == {*single, *(f"{name}_threads2" for name in single)}
    check_same(single, facts(folder / "runs", single))
    assert all(json.loads(path.read_text())["threads"] == 1 for path in stamps)


def test_an_unfinished_run_of_another_number_is_set_aside_and_a_third_one_too(tmp_path: Path) -> None:
    finish(tmp_path / "run", threads=2, state="running")
    assert make_room(tmp_path / "run", 1) == tmp_path / "run_threads2"
    assert not (tmp_path / "run").exists()
    finish(tmp_path / "run", threads=2)
    assert make_room(tmp_path / "run", 1) == tmp_path / "run_threads2.2"
    assert make_room(tmp_path / "run", 1) is None
    assert make_room(tmp_path / "run", 2) is None
    assert read_record(tmp_path / "run").state == "running"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run_threads2.2"]


def test_a_folder_in_which_a_process_trains_stays_where_it_is(tmp_path: Path) -> None:
    finish(tmp_path / "run", threads=2, state="running")
    hold = "import sys; from pathlib import Path; from archlab.training.lock import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert make_room(tmp_path / "run", 1) is None
        holder.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("device", "threads", "alike"), [("cpu: x", 2, True), ("cpu: x", 1, False), ("cuda: y", 1, True)]
)
def test_only_on_a_cpu_do_threads_decide_how_a_run_rounds(device: str, threads: int, alike: bool) -> None:
    assert record("x", "a", device=device, threads=threads).rounds_with(2) is alike
