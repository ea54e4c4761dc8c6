"""Run folders: records, their names and the lock."""

import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from helpers.refused import refused
from rich.console import Console

from archlab.site.runs import write_runs
from archlab.training.circumstances import circumstances
from archlab.training.listing import list_runs, runs_table
from archlab.training.lock import locked
from archlab.training.runs import Record, digest, find_runs, fingerprint, read_record
from archlab.training.trained import run_folder

RECORD = Record(
    fingerprint="f" * 16,
    state="done",
    spec="lite_hrnet_18",
    spec_hash="ab",
    fields={"ratio": 8},
    recipe="quick",
    recipe_hash="cd",
    data={"root": "quick", "kind": "synthetic quick", "fingerprint": "ef", "train_people": 3, "val_people": 2},
    seed=1,
    input=(3, 128, 96),
    outputs=17,
    cost={"params": 1, "flops": {"fvcore": 2, "paper": 3}, "activations": 4},
    scores={"ground_truth_boxes": {"AP": 1.5, "APL": None}},
    baseline={"mean_pose": {"AP": 0.0}},
    samples=10,
    seconds=1.5,
    device="cpu",
    threads=1,
    versions={"torch": "2"},
    commit=None,
    command="archlab train lite_hrnet_18",
    date="2026-01-02",
)


def test_a_record_reads_back_as_it_was_written_by_its_folder_and_by_its_file(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    assert read_record(tmp_path) == read_record(tmp_path / "record.json") == RECORD


def test_a_run_is_named_by_its_network_or_by_the_beginning_of_its_fingerprint(tmp_path: Path) -> None:
    runs = {
        "abcd1234": ("lite_hrnet_18", "quick", 1),
        "abcf5678": ("lite_hrnet_30", "quick", 1),
        "9999eeee": ("lite_hrnet_30", "smoke", 2),
    }
    for name, (spec, recipe, seed) in runs.items():
        (tmp_path / name).mkdir()
        replace(RECORD, fingerprint=name, spec=spec, recipe=recipe, seed=seed).write(tmp_path / name)
    for name, folder in {"abcd1234": "abcd1234", "lite_hrnet_18": "abcd1234", "abcf": "abcf5678"}.items():
        assert run_folder(tmp_path / name) == tmp_path / folder
    for name in ("abc", "lite_hrnet", "lite_hrnet_18.yaml"):
        assert run_folder(tmp_path / name) is None
    with refused("2 runs", "abcf5678 (recipe quick, seed 1)", "9999eeee (recipe smoke, seed 2)",
                 file=tmp_path / "lite_hrnet_30"):  # fmt: skip
        run_folder(tmp_path / "lite_hrnet_30")


def test_a_record_of_a_newer_archlab_with_more_fields_is_read(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps({**asdict(RECORD), "added_later": 1}))
    assert read_record(tmp_path) == RECORD


def test_a_record_from_before_a_field_was_there_is_read(tmp_path: Path) -> None:
    old = {name: value for name, value in asdict(RECORD).items() if name not in {"weights", "processes"}}
    (tmp_path / "record.json").write_text(json.dumps(old))
    assert read_record(tmp_path) == RECORD
    assert RECORD.processes == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested"),
        (json.dumps({**asdict(RECORD), "seed": "x"}), "x"),
        (json.dumps({**asdict(RECORD), "fingerprint": "../x"}), "../x"),
        ("[]", "fingerprint"),
        (json.dumps({k: v for k, v in asdict(RECORD).items() if k != "scores"}), " scores"),
        (json.dumps({**asdict(RECORD), "format": 99}), "99"),
    ],
)
def test_what_is_no_record_is_refused_with_the_file_and_the_reason(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with refused(value, file=tmp_path / "record.json"):
        read_record(tmp_path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with refused(file=tmp_path / "record.json"):
        read_record(tmp_path)


def test_runs_are_found_in_every_state_and_half_finished_folders_are_passed_over(tmp_path: Path) -> None:
    made = [
        replace(RECORD, fingerprint="2", state="done", date="2026-01-03"),
        replace(RECORD, fingerprint="1", state="failed", reason="why", date="2026-01-02"),
        replace(RECORD, fingerprint="3", state="running", date="2026-01-04"),
    ]
    for record in made:
        (tmp_path / record.fingerprint).mkdir()
        record.write(tmp_path / record.fingerprint)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text('{"format": 1, "sta')
    assert find_runs(tmp_path) == [made[1], made[0], made[2]]
    assert find_runs(tmp_path / "absent") == []


def test_the_fingerprint_follows_each_of_its_parts() -> None:
    parts = {"spec_hash": "a", "recipe_hash": "b", "data": "c", "seed": 1}
    others = [{**parts, name: 2 if name == "seed" else "z"} for name in parts]
    names = {fingerprint(**each) for each in [parts, *others]}  # type: ignore[arg-type]
    assert len(names) == 5
    assert all(len(name) == 16 for name in names)


def test_a_digest_depends_neither_on_the_order_of_keys_nor_on_the_process() -> None:
    script = "from archlab.training.runs import digest; print(digest({'b': [1, 2.5], 'a': {'y': None, 'x': 'é'}}))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert digest({"a": {"x": "é", "y": None}, "b": [1, 2.5]}) == other


HOLD = """
import sys
from pathlib import Path
from archlab.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_by_one_living_process_and_free_once_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with refused(f"process {holder.pid} on ", file=tmp_path), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path):
            pass


def test_circumstances_name_versions_and_the_commit_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = circumstances()
    assert found["commit"] is None
    assert {"python", "torch"} <= set(found["versions"])
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], [*person, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert circumstances()["commit"] == commit


def test_runs_are_listed_with_state_score_and_disk_use_and_a_killed_one_is_stopped(tmp_path: Path) -> None:
    states = {"a": "done", "b": "running", "c": "running", "d": "failed"}
    for number, (name, state) in enumerate(states.items()):
        (tmp_path / name).mkdir()
        scores = RECORD.scores if state == "done" else {}
        replace(RECORD, fingerprint=name, state=state, scores=scores, date=f"2026-01-0{number + 1}").write(
            tmp_path / name
        )  # type: ignore[arg-type]
        (tmp_path / name / "lock").touch()
    (tmp_path / "a" / "checkpoint.pt").write_bytes(b"x" * 3_000_000)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "b")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        holder.stdout.readline()
        rows = list_runs(tmp_path)
        holder.kill()
    assert [(row.folder, row.state) for row in rows] == [
        ("a", "done"),
        ("b", "running"),
        ("c", "stopped"),
        ("d", "failed"),
    ]
    assert (rows[0].score_name, rows[0].score, rows[1].score) == ("AP", 1.5, None)
    assert rows[0].bytes == 3_000_000 + (tmp_path / "a" / "record.json").stat().st_size
    console = Console(width=160, file=io.StringIO())
    console.print(runs_table(rows))
    assert isinstance(console.file, io.StringIO)
    [line] = [line for line in console.file.getvalue().splitlines() if "done" in line]
    assert [part.strip() for part in line.split("│")[1:-1]] == [
        "a", "lite_hrnet_18", "quick", "1", "done", "AP 1.5", "10", "2.9", "2026-01-01",
    ]  # fmt: skip


def test_a_folder_of_runs_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    with refused(file=tmp_path / "absent"):
        list_runs(tmp_path / "absent")


def test_a_commit_is_dirty_where_files_differ_but_for_the_reports_that_runs_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    def commit() -> object:
        return circumstances()["commit"]

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None
    (tmp_path / "reports").mkdir()
    for name in ("code.py", "reports/table.md"):
        (tmp_path / name).write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    clean = str(commit())
    assert len(clean) == 40
    (tmp_path / "reports" / "table.md").write_text("2")
    assert commit() == clean
    (tmp_path / "code.py").write_text("2")
    assert commit() == f"{clean}-dirty"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", {}),
        ("cost", {"params": "x", "activations": 1, "flops": {"fvcore": 1}}),
        ("data", {"root": "a", "kind": "b", "fingerprint": "c"}),
        ("data", {"root": "a", "kind": 5, "fingerprint": "c", "train_people": 3}),
        ("fingerprint", "../elsewhere"),
        ("task", "nothing"),
    ],
)
def test_one_damaged_record_is_named_and_the_others_are_listed(
    field: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sound", "damaged"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        replace(RECORD, fingerprint=name).write(tmp_path / "runs" / name)
    path = tmp_path / "runs" / "damaged" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert [row.folder for row in list_runs(tmp_path / "runs")] == ["sound"]
    assert f"left out: {path}: {field}: " in capsys.readouterr().err
    write_runs(tmp_path / "runs", tmp_path / "runs.html")
    assert f"left out: {path}: {field}: " in capsys.readouterr().err
