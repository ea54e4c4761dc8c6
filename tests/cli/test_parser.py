"""Help, old spellings and the volume of notes."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from archlab.cli import app
from archlab.cli.app import GROUPS, main
from archlab.core import notes

COMMANDS = [command for group in GROUPS for command in group.commands]
NAMES = [command.name for command in COMMANDS]


def helped(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


def options_of(name):
    """The options of a command by flag."""
    found = app.parser()
    for word in name.split():
        (commands,) = (a for a in found._actions if isinstance(a, argparse._SubParsersAction))
        found = commands.choices[word]
    return {flag: action for action in found._actions for flag in action.option_strings}


def test_help_lists_every_command_once_under_its_purpose_with_an_example(capsys):
    lines = helped(capsys).splitlines()
    for group in GROUPS:
        start = lines.index(f"{group.title}:")
        listed = lines[start + 1 : start + 1 + 3 * len(group.commands)]
        for command in group.commands:
            (row,) = (i for i, line in enumerate(listed) if line.startswith(f"  {command.name} "))
            assert f"archlab {command.example}" in [line.strip() for line in listed[row + 1 : row + 3]]
    for name in NAMES:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1


def test_help_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], *(name.split() for name in NAMES)):
        assert max(map(len, helped(capsys, *words).splitlines())) <= 80, words


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_an_example_is_parsed_by_its_own_command(command, capsys):
    words = shlex.split(command.example.split(" > ")[0])
    assert app.parser().parse_args(words).command is command.run
    assert f"archlab {command.example}" in helped(capsys, *command.name.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_can_be_loud_or_quiet_and_takes_one_flag_for_one_thing(name):
    flags = options_of(name)
    assert {"-v", "--verbose", "-q", "--quiet"} <= set(flags)
    for flag, place in (("--runs", "runs"), ("--searches", "searches"), ("--reports", "results")):
        if flag in flags:
            assert str(flags[flag].default) == place
    if "--out" in flags and flags["--out"].help != argparse.SUPPRESS:
        assert name in {"data synth", "data convert", "sample", "export", "predict"}


PRINTING = sorted(set(NAMES) - {"schema", "completion"})


@pytest.mark.parametrize("name", PRINTING)
def test_whatever_prints_an_answer_can_print_json(name):
    assert "--json" in options_of(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["train", "x", "--out", "a"], ["train", "x", "--runs", "a"]),
        (["ablate", "--out", "a"], ["ablate", "--runs", "a"]),
        (["search", "x", "--out", "a"], ["search", "x", "--searches", "a"]),
        (["report", "x", "--out", "a"], ["report", "x", "--reports", "a"]),
        (["schema", "network"], ["schema", "networks"]),
        (["schema", "study"], ["schema", "studies"]),
    ],
)
def test_an_old_spelling_means_the_new_one_and_is_remembered(old, new):
    old_options, new_options = vars(app.parser().parse_args(old)), vars(app.parser().parse_args(new))
    (text,) = old_options.pop("renamed")
    assert {word for word in old if word not in new} | {word for word in new if word not in old} <= set(
        text.replace(";", "").split()
    )
    assert old_options == new_options


def test_an_old_spelling_is_noted_on_stderr_unless_quiet(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main(["report", "table2", *out]) == 0
    out_loud, err = capsys.readouterr()
    assert err.startswith("note: --out is now --reports")
    assert main(["report", "table2", *out, "--quiet"]) == 0
    assert capsys.readouterr() == (out_loud, "")


def test_notes_are_silenced_by_quiet_and_files_and_seconds_added_by_verbose(tmp_path, capsys):
    draw = ["build", "skip_pose_net", "--json", "--draw", str(tmp_path / "net.svg")]
    errors = {}
    for flag in ("-q", "", "-v"):
        assert main([*draw, *([flag] if flag else [])]) == 0
        errors[flag] = capsys.readouterr().err.splitlines()
    assert errors["-q"] == []
    assert errors[""] == [f"wrote {tmp_path / 'net.svg'}"]
    assert [line for line in errors["-v"] if line.startswith("read ") and line.endswith("skip_pose_net.yaml")]
    assert re.fullmatch(r"took \d+\.\d\d s", errors["-v"][-1])
    assert set(errors[""]) <= set(errors["-v"])


def test_an_error_is_printed_however_quiet(capsys):
    assert main(["-q", "build", "lite_hrnet_81"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_volume_of_one_command_is_not_that_of_the_next(capsys):
    main(["-q", "list", "spaces"])
    assert notes.shown()
    notes.note("here")
    assert capsys.readouterr().err == "here\n"
