"""YAML in: scalars, marks, merging, types, and every way that a file can be wrong."""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archlab.core.errors import InputError, Problem
from archlab.yamlio import (
    Above,
    AtLeast,
    AtMost,
    Item,
    Length,
    MultipleOf,
    OneOf,
    check_call,
    dump,
    item_of,
    item_of_text,
    items,
    json_schema,
    overlay,
    parse,
    read,
    scalar,
    set_path,
    to_plain,
)


@pytest.fixture
def write(tmp_path):
    def writing(text: str | bytes, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return writing


def problems_of(call, *arguments) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value.problems


def place(marked: Problem | Item) -> tuple[int, int]:
    return marked.line, marked.column


# Scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("5e-4", 5e-4), ("1e3", 1000.0), (".5", 0.5), ("-1.5e+3", -1500.0), ("1.", 1.0), ("+2.5", 2.5)],
        *[(".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf), ("3", 3), ("-3", -3), ("+3", 3), ("010", 10)],
        *[("0o17", 15), ("0xff", 255), ("089", 89), ("null", None), ("~", None), ("", None), ("Null", None)],
        *[("true", True), ("False", False), ("TRUE", True)],
        *[(same, same) for same in ("on", "off", "yes", "no", "y", "N", "Yes", "tRue", "nULL", "1:30", "190:20:30")],
        *[(same, same) for same in ("1_000", "0b11", "-0x1", "2024-01-01", "e5", ".", "-", "+.e3", "inf", "nan", "1e")],
        *[(same, same) for same in ("\u0661\u0662", "1 2", "1\n", "=", "<<")],
    ],
)
def test_a_scalar_is_read_by_the_core_schema(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_nan_is_read_and_a_number_too_large_is_refused():
    assert math.isnan(scalar(".nan"))
    assert "largest number" in str(problems_of(scalar, "1e999")[0])
    assert "digits is too long" in str(problems_of(scalar, "9" * 5000)[0])


def test_quotes_keep_text(write):
    assert read(write("[\"1\", '5e-4', 'true', \"\", 5e-4, on, null]")).plain() == [
        *("1", "5e-4", "true", "", 5e-4),
        *("on", None),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("5e-4", 5e-4), (" 16 ", 16), ("on", "on"), ("", None), ("[1, 2]", [1, 2]), ("{block: x}", {"block": "x"})],
        *[('"1e3"', "1e3"), ("a: b", "a: b"), ("C:\\x", "C:\\x")],
    ],
)
def test_the_text_of_an_option_is_a_scalar_or_flow_yaml(text, value):
    assert item_of_text(text).plain() == value


@pytest.mark.parametrize("text", ["[1, 2", "{a: 1, a: 2}", "1e999", "[1] 2", '"a', "[1]\n---\n[2]", "[\x07]", "\udcff"])
def test_a_wrong_option_is_named_without_a_line(text):
    for problem in problems_of(item_of_text, text, "--set x"):
        assert (problem.file, problem.line, problem.column) == ("--set x", 0, 0)


# Files


def test_every_value_and_key_keeps_its_place(write):
    path = write("a: 1\nlonger:\n  - x\n  - {b: 2}\n")
    item = read(path)
    longer = item.value["longer"]
    b = longer.value[1].value["b"]
    assert [(each.value, each.file, *place(each)) for each in (b, b.key, longer.key)] == [
        (2, str(path), 4, 9),
        ("b", str(path), 4, 6),
        ("longer", str(path), 2, 1),
    ]
    assert place(longer) == (3, 3)


PARSERS = (-1, -1)  # the parser decides where it stops; we point there
BAD = {
    "repeated": ("a: 1\nb: 2\na: 3\n", [(3, 1, "repeated key, first at line 1, column 1")]),
    "nested": ("x:\n  - {a: 1, a: 2}\ny: {b: 1,\n b: 1}", [(2, 12, "line 2, column 6"), (4, 2, "line 3, column 5")]),
    "repeated in other quotes": ("a: 1\n'a': 2\n", [(2, 1, "repeated key")]),
    "key is a number": ("1: x\n", [(1, 1, "a key must be text, found 1")]),
    "key is nothing": ("~: x\n", [(1, 1, "a key must be text, found nothing")]),
    "key is a list": ("? [a]\n: x\n", [(1, 3, "a key must be text, found a list of 1")]),
    "merge": ("a: &a {x: 1}\nb:\n  <<: *a\n", [(3, 3, "merge keys")]),
    "python tag": ("a: !!python/object/apply:os.system [x]\n", [(1, 4, "tags such as")]),
    "own tag": ("- !mine 3\n- !!str 3\n", [(1, 3, "!mine"), (2, 3, "tags such as")]),
    "cycle": ("a: &a [1, *a]\n", [(1, 11, "stands inside what it repeats")]),
    "unknown alias": ("a: *b\n", [(1, 4, "repeats nothing named above")]),
    "second document": ("a: 1\n---\nb: 2\n", [(2, 1, "a second document")]),
    "unclosed": ("a: [1, 2\nb: 3\n", [(*PARSERS, "YAML syntax")]),
    "tab": ("a:\n\tb: 1\n", [(*PARSERS, "indent with spaces")]),
    "repeated before a syntax error": ("a: 1\na: 2\nb: ]\n", [(2, 1, "repeated key"), (*PARSERS, "YAML syntax")]),
    "empty": ("", [(0, 0, "is empty")]),
    "comment only": ("# nothing\n", [(0, 0, "is empty")]),
    "latin-1": ("a: 1\nb: caf\u00e9\n".encode("latin-1"), [(2, 7, "is not UTF-8 text (byte 0xe9)")]),
    "utf-16": ("a: 1\n".encode("utf-16"), [(1, 1, "is not UTF-8")]),
    "null byte": (b"a: 1\nb: \0\n", [(2, 4, r"unprintable character '\x00'")]),
    "too deep": ("[" * 200 + "]" * 200, [(1, 101, "nested deeper than 100")]),
    "deep without an end": ("[" * 100_000, [(1, 101, "nested deeper than 100")]),
    "deep in brackets apart": ("[\n" * 2000, [(101, 1, "nested deeper than 100")]),
    "deep in mappings": (
        "a: {b: 1, b: 2, c: " + "{c: " * 2000,
        [(1, 11, "repeated"), (1, 409, "nested deeper than 100")],
    ),
    "deep after block levels": ("- " * 60 + "[" * 2000, [(1, 161, "nested deeper than 100")]),
    "deep after brackets in text": (f"- '{'[' * 60}'\n- " + "[" * 2000, [(2, 102, "nested deeper than 100")]),
    "deep in block levels": ("- " * 2000, [(1, 201, "nested deeper than 100")]),
    "huge number": ("a: 1e999\nb: 2e999\n", [(1, 4, "largest number"), (2, 4, "largest number")]),
}


def end_of_parsing(text: str) -> tuple[int, int]:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        list(yaml.parse(text, Loader=items._Loader))
    return caught.value.problem_mark.line + 1, caught.value.problem_mark.column + 1


@pytest.mark.parametrize("loader", ["as installed", "without libyaml"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_at_its_place(write, monkeypatch, name, loader):
    if loader == "without libyaml":
        monkeypatch.setattr(items, "_Loader", yaml.SafeLoader)
    text, expected = BAD[name]
    path = write(text)
    found = problems_of(read, path)
    assert [place(each) for each in found] == [
        end_of_parsing(text) if each[:2] == PARSERS else each[:2] for each in expected
    ]
    assert all(each.file == str(path) for each in found)
    assert all(words in each.message for each, (_, _, words) in zip(found, expected, strict=True))


def test_a_missing_file_and_a_folder_and_a_large_file_are_refused(tmp_path, write, monkeypatch):
    write("a: 1", "lite_hrnet.yaml")
    assert "did you mean 'lite_hrnet.yaml'" in str(problems_of(read, tmp_path / "lite_hrnt.yaml")[0])
    assert os.strerror(errno.EISDIR) in str(problems_of(read, tmp_path)[0])
    assert [each.file for each in problems_of(read, Path("a\0b"))] == ["a\0b"]
    monkeypatch.setattr(items, "MAX_BYTES", 10)
    assert "larger than" in str(problems_of(read, write("a: 12345678"))[0])


def test_aliases_repeat_a_value_but_cannot_explode(write):
    assert read(write("a: &a {x: 1}\nb: *a\n")).plain() == {"a": {"x": 1}, "b": {"x": 1}}
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    assert "aliases written out" in str(problems_of(read, write(laughs))[-1])
    ladder = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
    assert "nested deeper" in str(problems_of(read, write(ladder))[-1])


@pytest.mark.parametrize("loader", ["as installed", "without libyaml"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"a: '{'[' * 2000}'\n", {"a": "[" * 2000}),
        (f"a: x{'{' * 2000}\n", {"a": "x" + "{" * 2000}),
        (f"a: |\n  {'[' * 2000}\n", {"a": "[" * 2000 + "\n"}),
        (f"a: 1 # {'[' * 2000}\n", {"a": 1}),
        (f"# {'[' * 2000}\na: 1\n", {"a": 1}),
        (f"- {'[' * 99}{']' * 99}\n" * 3, [*[[]] * 3]),
    ],
)
def test_brackets_in_text_nest_nothing(write, monkeypatch, text, value, loader):
    if loader == "without libyaml":
        monkeypatch.setattr(items, "_Loader", yaml.SafeLoader)
    found = read(write(text)).plain()
    for _ in range(98 if isinstance(found, list) else 0):
        found = [each[0] for each in found]
    assert found == value


def test_a_byte_order_mark_and_windows_line_ends_are_taken(write):
    item = read(write("\ufeffa: 1\r\nb: 2\r\n"))
    assert item.plain() == {"a": 1, "b": 2}
    assert (item.value["b"].line, item.value["b"].column) == (2, 4)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}*&!'\"#|>? \n\t,1.e<~%@`\\", max_size=40))
def test_any_text_is_read_or_refused_in_words(text):
    try:
        items._compose(text, "x").plain()
    except InputError as error:
        assert error.problems  # noqa: PT017  most texts are no YAML, and that is what is tried


# Python values


def test_python_values_become_items():
    value = {"a": (1, np.int64(2)), "b": [np.float32(0.5), None, True], "c": Path("x/y"), "d": Item(3)}
    assert item_of(value).plain() == {"a": [1, 2], "b": [0.5, None, True], "c": "x/y", "d": 3}
    assert type(item_of(np.int64(2)).value) is int
    assert item_of(True).value is True


@pytest.mark.parametrize("value", [object(), {1: 2}, {3, 4}, [b"x"], 1j])
def test_python_values_with_no_form_in_yaml_are_refused(value):
    assert problems_of(item_of, value)[0].file == "<command line>"


# Merging


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 4}, "e": 5}, {"a": 1, "b": {"c": 2, "d": 4}, "e": 5}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"u": {"block": "x", "r": 1}}, {"u": {"block": "y", "q": 2}}, {"u": {"block": "y", "q": 2}}),
        ({"u": {"block": "x", "r": 1}}, {"u": {"block": "x", "q": 2}}, {"u": {"block": "x", "r": 1, "q": 2}}),
        ({"u": {"block": "x", "r": 1}}, {"u": {"r": 2}}, {"u": {"block": "x", "r": 2}}),
        ({"u": {"block": "x", "r": 1}}, {"u": "x"}, {"u": "x"}),
        ({"u": "x"}, {"u": {"r": 2}}, {"u": {"block": "x", "r": 2}}),
        ({"u": "x"}, {"u": {"block": "y", "r": 2}}, {"u": {"block": "y", "r": 2}}),
        ({"u": "x"}, {"u": {"block": "x", "r": 2}}, {"u": {"block": "x", "r": 2}}),
        ({"u": {"r": 1}}, {"u": {"block": "x"}}, {"u": {"block": "x"}}),
    ],
)
def test_a_mapping_is_laid_over_another(base, over, expected):
    assert overlay(item_of(base), item_of(over)).plain() == expected


def test_what_is_merged_keeps_the_file_that_it_came_from(write):
    base, over = write("a: 1\nwidht: 2\n", "base.yaml"), write("b: x\n", "over.yaml")

    @dataclass(frozen=True)
    class Pair:
        a: str
        b: int

    found = problems_of(parse, overlay(read(base), read(over)), Pair)
    assert [(Path(each.file).name, *place(each), each.field) for each in found] == [
        ("base.yaml", 1, 4, "a"),
        ("base.yaml", 2, 1, "widht"),
        ("over.yaml", 1, 4, "b"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)))
def test_laying_a_value_over_itself_changes_nothing(value):
    assert overlay(item_of(value), item_of(value)).plain() == value


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"a": 9, "l": [1, {"b": 2}], "u": "ccw"}),
        ("l.1.b", {"a": 1, "l": [1, {"b": 9}], "u": "ccw"}),
        ("l.0", {"a": 1, "l": [9, {"b": 2}], "u": "ccw"}),
        ("u.ratio", {"a": 1, "l": [1, {"b": 2}], "u": {"block": "ccw", "ratio": 9}}),
        ("new.inside", {"a": 1, "l": [1, {"b": 2}], "u": "ccw", "new": {"inside": 9}}),
    ],
)
def test_a_path_sets_one_value_and_leaves_the_rest(path, expected):
    item = item_of({"a": 1, "l": [1, {"b": 2}], "u": "ccw"})
    before = item.plain()
    assert set_path(item, path, item_of(9)).plain() == expected
    assert item.plain() == before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("l.2", "positions are 0 to 1"),
        ("l.-1", "positions are 0 to 1"),
        ("l.b", "l is a list"),
        ("a.b", "a is 1, which has no field 'b'"),
        ("a..b", "single dots"),
        ("", "single dots"),
        ("e.0", "an empty list"),
        ("l.\u00b2", "positions"),
        ("l." + "9" * 5000, "positions"),
        ("x." * 200 + "x", "at most 100 names"),
    ],
)
def test_a_path_that_cannot_be_followed_is_refused(path, words):
    (problem,) = problems_of(set_path, item_of({"a": 1, "l": [1, 2], "e": []}), path, item_of(9, "--set"))
    assert words in problem.message
    assert (problem.file, problem.field) == ("--set", path)


def test_a_misspelt_path_is_refused_with_the_nearest_name_when_it_is_read():
    item = set_path(item_of({"size": [4, 4]}), "stagse.deep", item_of_text("3", "--set stagse.deep"))
    (problem,) = problems_of(parse, item, Recipe)
    assert str(problem) == "--set stagse.deep: stagse: unknown field (did you mean 'stages'?)"


# Types


@dataclass(frozen=True)
class Stage:
    """One stage."""

    depth: Annotated[int, AtLeast(1), AtMost(9)]
    from_: str = "stem"


@dataclass(frozen=True)
class Recipe:
    """How to train.

    A second paragraph.
    """

    size: tuple[int, int]
    rate: Annotated[float, Above(0), "Learning rate at the start."] = 5e-4
    widths: tuple[Annotated[int, MultipleOf(8)], ...] = (40, 80)
    mode: Literal["max", "min"] = "max"
    flip: bool = True
    name: str | None = None
    limit: Annotated[int | None, AtLeast(1)] = None
    either: int | tuple[int, ...] = 1
    stages: dict[str, Stage] = field(default_factory=dict)
    unit: str | Stage = "ccw"
    kind: Annotated[str, OneOf("adam", "sgd")] = "adam"
    seeds: Annotated[tuple[int, ...], Length(1)] = (1,)
    folder: Path = Path("runs")
    raw: Item = field(default_factory=lambda: Item(None))
    plain: Any = None

    def problems(self, item: Item) -> Iterable[Problem]:
        if self.size[0] < self.size[1]:
            yield item.value["size"].problem("the height is less than the width", "size")


def recipe(**fields: Any) -> Recipe:
    return parse(item_of({"size": [4, 4], **fields}), Recipe)


def test_defaults_are_filled_in():
    assert recipe() == Recipe(size=(4, 4))


GOOD = {
    "rate": [(1, 1.0), (0.5, 0.5)],
    "widths": [([], ()), ([8, 16], (8, 16))],
    "mode": [("min", "min")],
    "flip": [(False, False)],
    "name": [(None, None), ("on", "on")],
    "limit": [(None, None), (1, 1)],
    "either": [(3, 3), ([3, 4], (3, 4))],
    "stages": [({"a": {"depth": 1, "from": "x"}}, {"a": Stage(1, "x")})],
    "unit": [("a", "a"), ({"depth": 2}, Stage(2))],
    "kind": [("sgd", "sgd")],
    "seeds": [([2, 3], (2, 3))],
    "folder": [("a/b", Path("a/b"))],
    "plain": [({"a": [1]}, {"a": [1]})],
}
WRONG = {
    "size": [([4], "expected a list of 2 (an integer, an integer), found a list of 1"), ("4x4", "found '4x4'")],
    "rate": [
        ("0.1", "expected a number, found '0.1' (write it without quotes)"),
        (0, "must be above 0, found 0"),
        (math.nan, "it must be finite"),
        (math.inf, "it must be finite"),
        (True, "expected a number, found true"),
        (10**400, "too large"),
    ],
    "widths": [(8, "expected a list (each an integer), found 8")],
    "mode": [("mxa", "expected one of 'max', 'min' (did you mean 'max'?), found 'mxa'"), (True, "found true")],
    "flip": [("on", "expected true or false, found 'on' (write true)"), (1, "found 1"), (None, "found nothing")],
    "name": [(3, "expected text, found 3 (quote it to make it text)"), ([], "found a list of 0")],
    "limit": [(0, "must be at least 1, found 0"), (3.0, "expected an integer, found 3.0 (write 3)"), (True, "true")],
    "either": [("x", "expected an integer or a list (each an integer), found 'x'"), (None, "found nothing")],
    "unit": [(3, "expected text or a mapping, found 3")],
    "kind": [("sdg", "must be one of 'adam', 'sgd' (did you mean 'sgd'?), found 'sdg'")],
    "seeds": [([], "must be of length 1 or more, found a list of 0")],
    "folder": [("", "expected a path, found ''")],
    "stages": [([], "expected a mapping, found a list of 0")],
}


@pytest.mark.parametrize(("name", "given", "value"), [(name, *pair) for name, pairs in GOOD.items() for pair in pairs])
def test_a_right_value_is_read_as_its_type(name, given, value):
    read_value = getattr(recipe(**{name: given}), name)
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(("name", "given", "words"), [(name, *pair) for name, pairs in WRONG.items() for pair in pairs])
def test_a_wrong_value_is_refused_with_what_was_expected_and_found(name, given, words):
    with pytest.raises(InputError) as caught:
        recipe(**{name: given})
    (problem,) = caught.value.problems
    assert problem.field == name
    assert words in problem.message


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({"widths": [8, 12]}, "widths.1", "must be a multiple of 8, found 12"),
        ({"either": [1, "x"]}, "either.1", "expected an integer, found 'x'"),
        ({"unit": {"depth": 0}}, "unit.depth", "must be at least 1"),
        ({"unit": {}}, "unit.depth", "missing: an integer is needed"),
        ({"stages": {"a": {"depth": 1, "form": "x"}}}, "stages.a.form", "unknown field (did you mean 'from'?)"),
        ({"stages": {"a": {"depth": 1, "from_": "x"}}}, "stages.a.from_", "unknown field"),
    ],
)
def test_a_problem_inside_names_its_path(given, path, words):
    with pytest.raises(InputError) as caught:
        recipe(**given)
    (problem,) = caught.value.problems
    assert problem.field == path
    assert words in problem.message


def test_all_problems_of_a_file_come_at_once_in_the_order_of_the_file(write):
    path = write("flip: yes\nrat: 1\nstages:\n  a: {depth: 0, from: 1}\nwidths: [1, 2.0, 8]\n")
    found = problems_of(parse, read(path), Recipe)
    assert [(*place(each), each.field) for each in found] == [
        (1, 1, "size"),
        (1, 7, "flip"),
        (2, 1, "rat"),
        (4, 14, "stages.a.depth"),
        (4, 23, "stages.a.from"),
        (5, 10, "widths.0"),
        (5, 13, "widths.1"),
    ]
    assert "(did you mean 'rate'?)" in found[2].message


def test_rules_between_fields_are_asked_with_their_place(write):
    (problem,) = problems_of(parse, read(write("rate: 1\nsize: [2, 4]\n")), Recipe)
    assert (*place(problem), problem.message) == (2, 7, "the height is less than the width")


def test_a_file_that_is_no_mapping_is_refused(write):
    (problem,) = problems_of(parse, read(write("- 1\n")), Recipe)
    assert "expected a mapping, found a list of 1" in problem.message


def test_an_item_field_is_kept_with_its_marks(write):
    raw = parse(read(write("size: [1, 1]\nraw: {a: 1}\n")), Recipe).raw
    assert (raw.line, raw.column, raw.plain()) == (2, 6, {"a": 1})


# Calls


def block(g, xs, /, *, ratio: Annotated[int, AtLeast(1)] = 8, kernels: Sequence[int] = (3,), from_: str, free=None):
    """A block.

    More words.
    """


def test_arguments_of_a_function_are_checked_by_its_hints():
    given = item_of({"ratio": 4, "from": "stem", "free": [1]}).value
    assert check_call(block, given) == (
        {"ratio": 4, "kernels": (3,), "from_": "stem", "free": [1]},
        [],
    )
    _, found = check_call(block, item_of({"ratoi": 4, "kernels": [3, "x"]}).value, "u", Item("block", "f", 2, 3))
    assert [(each.field, each.message) for each in found] == [
        ("u.ratoi", "unknown field (did you mean 'ratio'?)"),
        ("u.kernels.1", "expected an integer, found 'x'"),
        ("u.from", "missing: text is needed"),
    ]
    assert (found[2].file, *place(found[2])) == ("f", 2, 3)


def test_hints_of_positional_arguments_are_not_resolved():
    def wiring(g: NoSuchName, *, width: int) -> NoSuchName:  # noqa: F821  what TYPE_CHECKING hides
        """Lay down nothing."""

    assert check_call(wiring, item_of({"width": 3}).value) == ({"width": 3}, [])


def test_every_argument_of_a_constructor_counts():
    class Leaf:
        def __init__(self, width: int, *, bias: bool = False) -> None: ...

    assert check_call(Leaf, item_of({"width": 3}).value) == ({"width": 3, "bias": False}, [])


# Out again


def test_a_dataclass_read_from_its_own_dump_is_the_same(write):
    before = recipe(stages={"a": {"depth": 1, "from": "on"}}, rate=1e-7, unit={"depth": 3}, folder="1e3", name="null")
    assert parse(read(write(dump(before))), Recipe) == before
    assert to_plain(before)["stages"] == {"a": {"depth": 1, "from": "on"}}


TRAPS = ["on", "1e3", "null", "~", "", "5e-4", ".5", "-.5", "010", "089", "0o17", "0x1F", "1:30", "1_000", "yes", "="]
TRAPS += ["<<", "true", ".inf", "+.inf", ".NaN", "1.", "+1e3", "- a", "a: b", "#", " a ", "a\n", "\n", "\x00", "\x85"]
TRAPS += ["\u2028", "\ufeff", "é", "*a", "&a", "!x", "%", "@", "`", "---", "...", "? a", "|", ">", "a" * 300, "\t", "'"]
TEXT = st.one_of(st.sampled_from(TRAPS), st.text(max_size=12))
VALUES = st.recursive(
    st.one_of(TEXT, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize("value", [*TRAPS, 5e-4, 1e-7, 1e16, 1e300, -0.0, 10**30, math.inf, -math.inf, [], {}, [[]]])
def test_a_trap_reads_back_equal(value):
    again = items._compose(dump([value, {"a": value}]), "x").plain()
    assert repr(again) == repr([value, {"a": value}])


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_whatever_is_dumped_reads_back_equal(value):
    assert repr(items._compose(dump(value), "x").plain()) == repr(value)


def test_other_yaml_readers_understand_the_dump_too():
    value = {"on": ["yes", "1:30", "no", 0.5, 12, "1e3", "0o17"], "a": {"b": None, "c": True}}
    assert yaml.safe_load(dump(value)) == value


# JSON Schema


def valid(schema: dict[str, Any], value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_the_schema_accepts_what_is_read():
    schema = json_schema(Recipe)
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, pairs in GOOD.items():
        for given_value, _ in pairs:
            assert valid(schema, {"size": [4, 4], name: given_value}), (name, given_value)
    assert valid(schema, to_plain(recipe()))


# JSON has no way to tell 3.0 from 3, nor NaN and infinity.
UNSAYABLE = {"3.0", "nan", "inf", repr(10**400)}


def test_the_schema_refuses_what_is_refused():
    schema = json_schema(Recipe)
    refused = [
        {"size": [4, 4], name: value}
        for name, pairs in WRONG.items()
        for value, _ in pairs
        if repr(value) not in UNSAYABLE
    ]
    refused += [{}, {"size": [4, 4, 4]}, {"size": [4, 4], "widths": [12]}, {"size": [4, 4], "unit": {"depth": 0}}]
    refused += [{"size": [4, 4], "stages": {"a": {"depth": 1, "form": "x"}}}, {"size": [4, 4], "ratte": 1}, [], None]
    assert len(refused) > 25
    assert [value for value in refused if valid(schema, value)] == []


def test_the_schema_speaks_with_the_words_of_the_docstrings():
    schema = json_schema(Recipe)
    assert (schema["title"], schema["description"]) == ("Recipe", "How to train.")
    assert schema["properties"]["rate"]["description"] == "Learning rate at the start."
    assert schema["$defs"]["Stage"]["description"] == "One stage."
    assert schema["properties"]["rate"]["default"] == 5e-4
    assert schema["required"] == ["size"]


def test_the_schema_of_a_function_is_that_of_its_arguments():
    schema = json_schema(block)
    assert (schema["title"], schema["description"], schema["required"]) == ("block", "A block.", ["from"])
    assert valid(schema, {"from": "a", "ratio": 1, "kernels": [3, 5]})
    assert not valid(schema, {"from": "a", "ratio": 0})
    assert not valid(schema, {"ratio": 1})


@dataclass(frozen=True)
class Tree:
    children: tuple[Tree, ...] = ()


def test_a_type_may_contain_itself():
    value = {"children": [{"children": []}, {}]}
    assert parse(item_of(value), Tree) == Tree((Tree(), Tree()))
    assert valid(json_schema(Tree), value)
    assert not valid(json_schema(Tree), {"children": [{"x": 1}]})


def test_reading_does_not_import_what_is_heavy():
    import subprocess

    code = (
        "import sys, archlab.yamlio; print([m for m in ('torch', 'numpy', 'matplotlib', 'optuna') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
