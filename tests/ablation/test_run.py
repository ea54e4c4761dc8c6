import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny
from helpers.mpii_folder import write_split
from helpers.sample_records import read, record
from helpers.search_study import status, wait_for

import archlab
from archlab.ablation import estimate, jobs, run, study
from archlab.ablation.estimate import TrainingSize
from archlab.ablation.load import load_ablation, load_study
from archlab.ablation.plan import plan_ablation
from archlab.ablation.run import AblationOptions, ablate
from archlab.cli.app import main, parser
from archlab.cli.options import recipe_changes
from archlab.core.errors import InputError
from archlab.core.processes import CommandLine, finished
from archlab.core.signals import Stopped, StopRequest
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.sets import labelled_keypoints
from archlab.training.recipe import load_recipe, recipe_hash
from archlab.training.runs import find_runs

STUDY = """\
kind: ablation
title: Two small networks
source: Nowhere
recipe: tiny.yaml
rows:
  - {name: Skips, spec: skip_pose_net, published: {ap: 1.5}}
  - {name: Skips with small kernels, spec: skip_pose_net, fields: {nodes.coarse_more.kernel: 3}}
"""
RECIPE = """\
input: [64, 64]
iterations: 3
batch: 2
flip_test: false
data: {level: quick, train: 6, val: 2}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study of two networks that train in seconds."""
    (tmp_path / "two.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(code: str, log: Path) -> CommandLine:
    return CommandLine((sys.executable, "-c", code), log)


# Processes


def test_every_task_ends_with_its_own_exit_code_and_log(tmp_path: Path) -> None:
    code = "import sys; print('out', {n}); print('err', file=sys.stderr); sys.exit({n})"
    tasks = [python(code.format(n=n), tmp_path / str(n) / "log") for n in range(4)]
    assert dict(finished(tasks, at_once=3, every_seconds=0.01)) == {0: 0, 1: 1, 2: 2, 3: 3}
    for n in range(4):
        text = (tmp_path / str(n) / "log").read_text()
        assert f"out {n}" in text
        assert "err" in text


def test_no_more_tasks_run_at_once_than_asked_for(tmp_path: Path) -> None:
    """Each task begins, waits for another to have begun, says how many run, and ends."""
    code = (
        "import pathlib, time\n"
        f"begun, ended = (pathlib.Path({str(tmp_path)!r}, name) for name in ('begun', 'ended'))\n"
        "(begun / '{n}').touch()\n"
        "while len(list(begun.iterdir())) < 2: time.sleep(0.01)\n"
        "print(len(list(begun.iterdir())) - len(list(ended.iterdir())))\n"
        "(ended / '{n}').touch()"
    )
    for name in ("begun", "ended"):
        (tmp_path / name).mkdir()
    tasks = [python(code.format(n=n), tmp_path / f"{n}.log") for n in range(5)]
    assert [code for _, code in finished(tasks, at_once=2, every_seconds=0.01)] == [0] * 5
    assert max(int((tmp_path / f"{n}.log").read_text()) for n in range(5)) == 2


def test_tasks_get_what_is_added_to_their_environment(tmp_path: Path) -> None:
    task = CommandLine(
        (sys.executable, "-c", "import os; print(os.environ['ADDED'])"), tmp_path / "log", {"ADDED": "yes"}
    )
    assert list(finished([task], at_once=1, every_seconds=0.01)) == [(0, 0)]
    assert (tmp_path / "log").read_text().strip() == "yes"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_leaving_early_ends_the_tasks_that_still_run(tmp_path: Path) -> None:
    waiting = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    logs = [tmp_path / "a", tmp_path / "b"]

    def started() -> bool:
        return all(log.is_file() and log.read_text().endswith("\n") for log in logs)

    class Enough(Exception):  # noqa: N818
        pass

    def tick() -> None:
        if started():
            raise Enough

    with pytest.raises(Enough):
        list(finished([python(waiting, log) for log in logs], at_once=2, tick=tick, every_seconds=0.01))
    assert not any(alive(int(log.read_text())) for log in logs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_raised_where_it_can_be_handled(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=number.name), StopRequest().caught():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """The parent is killed outright while its worker draws a data set that would take minutes."""
    command = ["data", "synth", "--out", str(tmp_path / "data"), "--train", "100000", "--val", "1", "--jobs", "1"]
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'archlab.cli.worker', *{command!r}], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    wait_for(lambda: list(tmp_path.glob(".data.*/train2017/*")))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: gone(child))


def gone(pid: int) -> bool:
    """Not running: no such process, or one that only waits to be collected by its new parent."""
    status = Path(f"/proc/{pid}/stat")
    return not alive(pid) or (status.is_file() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


# Estimates


def size(**given: object) -> TrainingSize:
    values = {"spec_hash": "a", "recipe_hash": "r1" * 8, "activations": 2_000_000, "samples": 5000,
              "device": "cpu: a processor", "threads": 2}  # fmt: skip
    return TrainingSize(**(values | given))  # type: ignore[arg-type]


def test_a_run_of_the_same_network_foretells_its_time() -> None:
    found = estimate.estimate(size(), [record("x", "a", seconds=70.0), record("x", "a", seconds=90.0, seed=2)])
    assert found.seconds == 80.0


def test_runs_of_other_networks_foretell_by_activations_and_samples() -> None:
    found = estimate.estimate(size(samples=2500), [record("x", "b", seconds=80.0)])  # its record: 1e6, 5000 samples
    assert found.seconds == pytest.approx(80.0)


def test_runs_elsewhere_or_by_other_recipes_foretell_nothing() -> None:
    others = [
        record("x", "a", device="cuda: a card"),
        record("x", "a", recipe_hash="r2" * 8),
        record("x", "a", state="failed"),
    ]
    found = estimate.estimate(size(), others)
    assert found.seconds == pytest.approx(2e6 * 5000 / (estimate.CPU_RATE * 2))
    assert estimate.estimate(size(device="cuda: another"), others).seconds is None


def test_runs_of_no_time_tell_nothing_of_the_speed() -> None:
    others = [record("x", "b", seconds=0.0), record("x", "a", seconds=0.0)]
    assert estimate.estimate(size(), others) == estimate.estimate(size(), [])


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "unknown"), (42.4, "42 s"), (600.0, "10 min"), (36000.0, "10.0 h")]
)
def test_durations_are_spelt_to_be_read(seconds: float | None, text: str) -> None:
    assert estimate.spell(seconds) == text


# What is to be trained


def test_runs_go_seed_by_seed_and_networks_that_studies_share_are_trained_once(folder: Path) -> None:
    setups = jobs.make_setups(["smoke"], None, make_data=False)
    pairs = [(load_ablation(name), setups["smoke"]) for name in ("table6", "table7")]
    made = jobs.make_jobs(pairs, (3, 1))
    assert len(made) == 18
    assert [job.seed for job in made] == [3] * 9 + [1] * 9
    assert len({job.spec_hash for job in made}) == 9
    assert len(jobs.make_jobs(pairs, ())) == 9  # the recipe's own seed


def test_a_campaign_goes_by_its_own_seeds_and_begins_each_with_the_reference_and_the_controls(folder: Path) -> None:
    campaign = load_study("campaign")
    assert isinstance(campaign, study.Campaign)
    setups = jobs.make_setups(["smoke"], None, make_data=False)
    made = jobs.make_jobs([(campaign, setups["smoke"])], ())
    assert [job.seed for job in made] == [1] * 13 + [2] * 13 + [3] * 13
    assert made[0].row.spec == "lite_hrnet_18"
    assert [job.row.spec for job in made[1:5]] == [control.spec for control in campaign.controls]
    assert {job.row.spec for job in made} == {row.spec for row in study.networks(campaign)}
    both = jobs.make_jobs([(load_ablation("table6"), setups["smoke"]), (campaign, setups["smoke"])], (7,))
    assert len(both) == 13


def test_a_recipe_replaces_those_of_its_own_task_where_studies_are_of_several(folder: Path) -> None:
    both = plan_ablation(["two.yaml", "streets"], AblationOptions(recipe="smoke"))
    assert {(job.row.spec, job.setup.name) for job in both.jobs} == {
        ("skip_pose_net", "smoke"),
        ("small_hrnet_w16_seg", "quick_streets"),
        ("lite_hrnet_18_seg", "quick_streets"),
    }
    alone = plan_ablation(["two.yaml"], AblationOptions(recipe="smoke"))
    assert {job.setup.name for job in alone.jobs} == {"smoke"}


def test_heavy_rows_and_studies_without_a_recipe_are_only_counted(folder: Path) -> None:
    light = plan_ablation(["table4", "table5"], AblationOptions())
    assert {job.setup.name for job in light.jobs} == {"quick"}
    assert len(light.jobs) == 6
    heavy = plan_ablation(["table8"], AblationOptions(heavy=True))
    added = {job.row.spec for job in heavy.jobs} - {job.row.spec for job in plan_ablation(["table8"]).jobs}
    assert {"lite_hrnet_30_seg", "swiftnet_rn18", "icnet"} <= added


def test_all_names_the_papers_studies_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "two.yaml", "--all"]) == 2
    assert "--all" in capsys.readouterr().err


def test_a_run_is_not_done_before_its_data_is_made(folder: Path) -> None:
    setups = jobs.make_setups(["tiny.yaml"], None, make_data=False)
    (job, _) = jobs.make_jobs([(load_ablation("two.yaml"), setups["tiny.yaml"])], ())
    assert job.fingerprint == ""
    assert job.finished(folder / "runs") is None
    assert job.samples == 6  # 3 iterations of 2 people


def test_problems_of_all_networks_are_named_before_anything_is_trained(folder: Path) -> None:
    text = STUDY.replace("skip_pose_net, published", "skip_pose_nett, published").replace(
        "coarse_more.kernel", "coarse_more.colour"
    )
    (folder / "two.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        ablate(["two.yaml"])
    places = [(problem.file, problem.line, problem.field) for problem in caught.value.problems]
    assert places == [("two.yaml", 6, "spec"), ("two.yaml", 7, "nodes.coarse_more.colour")]
    assert not (folder / "data").exists()
    assert not (folder / "runs").exists()


def test_a_folder_of_data_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no such data folder"):
        plan_ablation(["two.yaml"], AblationOptions(data=folder / "nowhere"))


def test_numbers_that_make_no_sense_are_all_refused(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan_ablation(["two.yaml"], AblationOptions(jobs=0, seeds=(1, -2, -3)))
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        ("--jobs", "must be at least 1, not 0"),
        ("--seeds", "must not be negative, and is -2"),
        ("--seeds", "must not be negative, and is -3"),
    ]


def test_a_dry_run_says_what_would_run_and_for_how_long_and_makes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ablate", "two.yaml", "--seeds", "1,2", "--jobs", "2", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [(run["action"], run["seed"], run["folder"]) for run in planned["runs"]] == [
        ("train", seed, None) for seed in (1, 1, 2, 2)
    ]
    assert all(run["seconds"] > 0 for run in planned["runs"])
    assert main(["ablate", "two.yaml", "--seeds", "1,2", "--jobs", "2", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.count("  train  ") == 4
    assert "would be generated first" in said
    assert "4 runs: 0 reused, 4 to train, 2 at once" in said
    assert "4.0e+07 per second and thread" in said
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.yaml", "two.yaml"]


def test_changed_fields_of_a_recipe_reach_every_training(folder: Path) -> None:
    changes = {"optimiser.lr": 5e-4, "schedule": {"warm_up": 1}}
    planned = plan_ablation(["two.yaml"], AblationOptions(recipe_changes=changes))
    plain = plan_ablation(["two.yaml"])
    for job, before in zip(planned.jobs, plain.jobs, strict=True):
        arguments = parser().parse_args([*run._command(job, planned).arguments[3:]])
        trained = load_recipe(arguments.recipe, changes=recipe_changes(arguments))
        assert recipe_hash(trained) == job.setup.recipe_hash != before.setup.recipe_hash
        assert (trained.optimiser.lr, trained.schedule.warm_up) == (5e-4, 1)


# The whole of it


def frozen_in_training(parent: int, runs: Path) -> int:
    """Return the process of a worker of `parent`, stopped after its run began and before it ended."""
    found: list[int] = []

    def caught() -> bool:
        for process in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
            os.kill(process, signal.SIGSTOP)
            wait_for(lambda: gone(process) or status(process, "State").startswith("T"))  # noqa: B023  called before the next
            if not gone(process) and any(run.state == "running" for run in find_runs(runs)):
                found.append(process)
                return True
            os.kill(process, signal.SIGCONT)
        return False

    wait_for(caught)
    return found[0]


@pytest.mark.slow
def test_a_killed_ablation_goes_on_and_then_reuses_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed outright in its second run: the first is reused and the second trained; then there is nothing to do."""
    command = [sys.executable, "-m", "archlab", "ablate", "two.yaml", "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr
        assert any("Skips, seed 1: AP" in line for line in first.stderr)
        worker = frozen_in_training(first.pid, folder / "runs")
        first.kill()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: gone(worker))
    (done,) = [run for run in find_runs(folder / "runs") if run.state == "done"]
    assert read(folder / "results" / "records" / f"{done.fingerprint}.json")["spec"] == "skip_pose_net"
    stamp = (folder / "runs" / done.fingerprint / "record.json").stat().st_mtime_ns

    assert main(["ablate", "two.yaml", "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert "2 runs: 1 reused, 1 to train, 1 at once" in said.err
    assert "Skips with small kernels" in said.out
    assert (folder / "runs" / done.fingerprint / "record.json").stat().st_mtime_ns == stamp
    runs = {json.dumps(run.fields): run for run in find_runs(folder / "runs")}
    assert set(runs) == {"{}", '{"nodes.coarse_more.kernel": 3}'}
    assert {(run.state, run.samples) for run in runs.values()} == {("done", 6)}
    small = archlab.load("skip_pose_net", input=(3, 64, 64), **{"nodes.coarse_more.kernel": 3})
    assert runs['{"nodes.coarse_more.kernel": 3}'].spec_hash == archlab.spec_hash(small)
    table = (folder / "results" / "two.md").read_text(encoding="utf-8")
    assert "| Skips with small kernels" in table
    assert "Not trained" not in table

    assert main(["ablate", "two.yaml", "--jobs", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("  reuse  ") == 2
    assert ablate(["two.yaml"], AblationOptions(jobs=1)).exit_code == 0
    assert "2 runs: 2 reused, 0 to train" in capsys.readouterr().err

    shutil.rmtree(folder / "runs")  # as on another machine, which has the records alone
    assert main(["ablate", "two.yaml", "--jobs", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("  train  ") == 2
    assert main(["ablate", "two.yaml", "--jobs", "1", "--reuse-records"]) == 0
    said = capsys.readouterr()
    assert "2 runs: 2 reused, 0 to train" in said.err
    assert "Skips with small kernels" in said.out
    assert not (folder / "runs").exists()

    (folder / "results").rename(folder / "reports")  # as in a clone, whose records are in reports/records
    assert main(["ablate", "two.yaml", "--jobs", "1", "--reuse-records", "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    found = ablate(["two.yaml"], AblationOptions(jobs=1, reuse_records=True))
    assert (json.loads(told.out)["reports"], told.err) == ([str(path) for path in found.reports], "")
    assert [run["fingerprint"] for run in json.loads(told.out)["runs"]] == [run.fingerprint for run in found.records]
    assert [record.spec for record in found.records] == ["skip_pose_net"] * 2
    assert all("Not trained" not in path.read_text() for path in found.reports)
    kept = {path.name: path.read_bytes() for path in (folder / "reports" / "records").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (folder / "results" / "records").iterdir()}


MPII_RECIPE = """\
dataset: mpii
input: [64, 64]
iterations: 2
batch: 2
flip_test: false
threads: 1
"""


@pytest.mark.slow
def test_networks_put_out_as_many_keypoints_as_the_data_labels_unless_the_user_says_how_many(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on MPII's layout by `archlab train`, a network is known again to an ablation of it."""
    people = tiny.make_data(folder)
    for split, ours in (("train2017", "train"), ("val2017", "valid")):
        write_split(folder / "mpii", ours, load_people(people, split, aspect=1.0))
    (folder / "mpii.yaml").write_text(MPII_RECIPE, encoding="utf-8")
    options = ["--recipe", "mpii.yaml", "--data", "mpii"]
    for given in (["--outputs", "17"], ["--set", "outputs=17"]):
        assert main(["train", "skip_pose_net", *options, *given]) == 2
        said = capsys.readouterr().err
        assert "16 keypoints" in said
        assert "17 outputs" in said
        assert "as the data labels" not in said
    assert main(["train", "skip_pose_net", *options, "--set", "input=[3, 64, 64]"]) == 2
    assert "--set: input: " in capsys.readouterr().err
    assert main(["train", "skip_pose_net", *options, "--device", "cpu"]) == 0
    assert "16 outputs, as the data labels, " in capsys.readouterr().err
    (run,) = find_runs(folder / "runs")
    assert (run.outputs, run.state, run.fields) == (16, "done", {})

    assert main(["ablate", "two.yaml", *options, "--jobs", "1", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert "2 runs: 1 reused, 1 to train" in said.err
    assert "recipe mpii: 16 outputs, as the data labels" in said.err
    assert "Skips with small kernels, seed 1: PCKh@0.5" in said.err
    assert "PCKh@0.5" in said.out
    assert {run.outputs for run in find_runs(folder / "runs")} == {16}


def test_keypoints_are_counted_by_the_data_that_is_scored(folder: Path) -> None:
    people = tiny.make_data(folder)
    coco = jobs.make_setups(["tiny.yaml"], people, make_data=False)["tiny.yaml"]
    assert (coco.outputs, jobs.make_setups(["tiny.yaml"], None, make_data=False)["tiny.yaml"].outputs) == (17, 17)
    path = people / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(path.read_text())
    content["categories"][0] |= {"keypoints": ["head", "tail", "left_paw"], "skeleton": []}
    path.write_text(json.dumps(content))
    (setup,) = jobs.make_setups(["tiny.yaml"], people, make_data=False).values()
    assert setup.outputs == 3
    (job, _) = jobs.make_jobs([(load_ablation("two.yaml"), setup)], ())
    assert job.spec_hash == archlab.spec_hash(archlab.load("skip_pose_net", input=(3, 64, 64), outputs=3))
    path.unlink()
    assert labelled_keypoints(setup.recipe.options.dataset, people) is None


def test_a_run_that_fails_is_named_and_the_others_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first network's folder is taken by a file, so that its training cannot begin."""
    setups = jobs.make_setups(["tiny.yaml"], None, make_data=True)
    first, second = jobs.make_jobs([(load_ablation("two.yaml"), setups["tiny.yaml"])], ())
    run = folder / "runs" / first.fingerprint
    (run / "spec.yaml").mkdir(parents=True)
    assert main(["ablate", "two.yaml", "--jobs", "2"]) == 1
    said = capsys.readouterr()
    assert "Skips, seed 1: failed with exit code" in said.err
    assert str(run.relative_to(folder) / "log.txt") in said.err
    assert first.finished(folder / "runs") is None
    assert second.finished(folder / "runs")
    assert "Not trained: Skips." in said.out
