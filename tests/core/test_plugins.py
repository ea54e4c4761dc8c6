"""Plug-ins by module name and by file: what they add, and what is refused with the file and line."""

from __future__ import annotations

import sys

import pytest

from archlab.core import plugins
from archlab.core.errors import InputError


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """Leave the modules and the search path as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refused(name):
    with pytest.raises(InputError) as caught:
        plugins.load(name)
    (problem,) = caught.value.problems
    return problem


def test_a_file_adds_its_table_and_may_import_what_lies_in_its_folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "numbers_of_mine.py").write_text("SEVEN = 7\n")
    (folder / "colours.py").write_text("from numbers_of_mine import SEVEN\nCOLOURS = {'red': SEVEN}\n")
    assert plugins.joined({"blue": 1}, "colour", ["mine/colours.py"]) == {"blue": 1, "red": 7}
    assert plugins.joined({"blue": 1}, "colour") == {"blue": 1}


def test_a_file_is_imported_once_and_is_the_module_of_its_name(tmp_path):
    (tmp_path / "colours.py").write_text("COLOURS = {'red': object()}\n")
    module = plugins.load("colours.py")
    assert module is plugins.load(str(tmp_path / "colours.py")) is plugins.load("colours")
    assert module.__name__ == "colours"
    assert plugins.joined({}, "colour", ["colours", "colours.py"]) == module.COLOURS


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "colours.py").write_text("COLOURS = {}\n")
    problem = refused("colour.py")
    assert (problem.file, problem.line) == ("colour.py", 0)
    assert "'colours.py'" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("COLOURS = {}\nCOLOURS['red'] = blue\n", 2, "NameError"),
        ("COLOURS = {}\n\nif COLOURS\n    pass\n", 3, "SyntaxError"),
        ("import nowhere_at_all\n", 1, "nowhere_at_all"),
        ("import json\n\ndef fail():\n    json.loads('{')\n\nfail()\n", 4, "JSONDecodeError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line_and_leaves_no_module(tmp_path, text, line, words):
    path = tmp_path / "colours.py"
    path.write_text(text)
    for name in ("colours.py", str(path)):
        problem = refused(name)
        assert (problem.file, problem.line) == (str(path), line)
        assert words in problem.message
        assert "\n" not in problem.message
    assert "colours" not in sys.modules
    assert "colours" in str(refused("colours"))


def test_a_file_named_like_another_module_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("COLOURS = {}\n")
    assert refused("json.py").file == str(tmp_path / "json.py")
    assert "'json'" in refused("json.py").message
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "colours.py", tmp_path / "a" / "colours.py"):
        path.write_text("COLOURS = {}\n")
    plugins.load("colours.py")
    assert refused("a/colours.py").file == str(tmp_path / "a" / "colours.py")


def test_a_name_that_is_taken_is_refused_with_both_owners(tmp_path):
    (tmp_path / "second_blue.py").write_text("COLOURS = {'blue': 2}\n")
    with pytest.raises(InputError) as caught:
        plugins.joined({"blue": 1}, "colour", ["second_blue.py"])
    assert all(word in str(caught.value) for word in ("second_blue.py", "'blue'", "archlab"))
