import json
import subprocess
from pathlib import Path

import pytest
from helpers.sample_records import record, run_of, write_records

from archlab.ablation.plan import AblationOptions, plan_ablation
from archlab.ablation.records import check_checkout, check_records, copy_records, is_tracked, keep_records, read_records
from archlab.ablation.report import write_report
from archlab.core.errors import InputError

CLEAN = "0123456789abcdef0123456789abcdef01234567"


def test_records_are_read_as_they_were_kept(tmp_path: Path) -> None:
    made = [record("lite", "a", seed=seed) for seed in (2, 1)]
    for each in made:
        (tmp_path / "runs" / each.fingerprint).mkdir(parents=True)
        each.write(tmp_path / "runs" / each.fingerprint)
    kept = keep_records((tmp_path / "runs" / each.fingerprint for each in made), tmp_path / "records")
    assert [path.stem for path in kept] == [each.fingerprint for each in made]
    assert read_records(tmp_path / "records") == sorted(made, key=lambda each: each.seed)


def test_no_folder_of_records_is_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none") == []


def test_every_file_that_is_no_record_is_named_and_the_others_are_read(tmp_path: Path, monkeypatch) -> None:
    write_records(tmp_path, record("lite", "a"))
    sound = json.loads(next(tmp_path.glob("lite*.json")).read_text(encoding="utf-8"))
    broken = {
        "cut": '{"format": 1',
        "deep": "[" * 100_000,
        "list": "[1]",
        "future": json.dumps(sound | {"format": 99}),
        "seed": json.dumps(sound | {"seed": "one"}),
        "scores": json.dumps(sound | {"scores": [1]}),
        "path": json.dumps(sound | {"fingerprint": "../../elsewhere"}),
    }
    for name, text in broken.items():
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    said: list[str] = []
    monkeypatch.setattr("archlab.core.notes.note", said.append)
    assert [each.spec for each in read_records(tmp_path)] == ["lite"]
    assert len(said) == len(broken)
    for name in broken:
        assert sum(str(tmp_path / f"{name}.json") in text for text in said) == 1


# Reports in version control


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, whose folder `reports` holds a committed table."""
    (tmp_path / "reports" / "records").mkdir(parents=True)
    (tmp_path / "reports" / "table.md").write_text("1")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_tracked_if_git_knows_a_file_in_it(clone: Path) -> None:
    (clone / "results").mkdir()
    (clone / "results" / "table.md").write_text("1")
    assert is_tracked(clone / "reports")
    assert not is_tracked(clone / "results")
    assert not is_tracked(clone / "nowhere")


def test_a_tracked_folder_takes_records_of_clean_commits_only_and_every_other_is_named(clone: Path) -> None:
    records = [
        record("clean", "a", commit=CLEAN),
        record("changed", "b", commit=f"{CLEAN}-dirty"),
        record("nowhere", "c", commit=None),
    ]
    with pytest.raises(InputError) as caught:
        check_records(records, clone / "reports")
    assert [problem.file for problem in caught.value.problems] == [f"{each.fingerprint}.json" for each in records[1:]]
    assert "01234567" in caught.value.problems[0].message
    check_records(records[:1], clone / "reports")
    check_records(records, clone / "results")


def test_a_report_of_such_records_is_written_to_a_tracked_folder_by_a_flag_only(clone: Path) -> None:
    write_records(clone / "reports" / "records", run_of("lite_hrnet_18", commit=f"{CLEAN}-dirty"))
    records, out = clone / "reports" / "records", clone / "reports"
    with pytest.raises(InputError):
        write_report("table7", records, out)
    assert not (out / "table7.md").exists()
    assert len(write_report("table7", records, out, allow_dirty=True)) == 3
    assert len(write_report("table7", records, clone / "results")) == 3
    assert len(write_report("table2", records, out)) == 3  # has no runs


def test_a_changed_checkout_trains_nothing_for_a_tracked_folder(clone: Path) -> None:
    check_checkout(clone / "reports")
    (clone / "code.py").write_text("2")
    with pytest.raises(InputError) as caught:
        plan_ablation(["table7"], AblationOptions(reports=Path("reports")))
    (problem,) = caught.value.problems
    assert (problem.field, problem.file) == ("--reports", "reports")
    check_checkout(clone / "results")


def test_a_kept_record_is_copied_once_and_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    first = write_records(tmp_path / "a", record("x", "a", seconds=1.0))
    second = write_records(tmp_path / "b", record("x", "a", seconds=2.0), record("y", "b"))
    names = [path.stem for path in sorted(second.iterdir())]
    copy_records([*names, "no-such-run"], [first, second], tmp_path / "out")
    assert [each.seconds for each in read_records(tmp_path / "out")] == [1.0, 80.0]
    copy_records(names, [second], tmp_path / "out")
    assert [each.seconds for each in read_records(tmp_path / "out")] == [1.0, 80.0]
