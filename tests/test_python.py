"""The Python API: lazily imported, whole whatever else is imported, and what the command line calls."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.examples import blocks
from helpers.paths import REPOSITORY

import archlab
from archlab.cli.app import main


def functions() -> set[str]:
    return {name for name in archlab.__all__ if not inspect.isclass(getattr(archlab, name))}


def test_every_module_is_imported_and_replaces_no_public_name() -> None:
    for found in pkgutil.walk_packages(archlab.__path__, "archlab."):
        importlib.import_module(found.name)
    for name in archlab.__all__:
        value = getattr(archlab, name)
        assert callable(value), name
        assert not inspect.ismodule(value)
    assert not set(archlab.__all__) & {found.name for found in pkgutil.iter_modules(archlab.__path__)}


def test_every_public_name_has_a_docstring_and_its_type_is_known() -> None:
    for name in archlab.__all__:
        value = getattr(archlab, name)
        assert inspect.getdoc(value), name
        if name in functions():
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty
            assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())


def test_importing_archlab_imports_nothing_else_until_it_is_used() -> None:
    code = (
        "import sys, archlab; before = [name for name in sys.modules if name.startswith('archlab.')]; "
        "archlab.list_networks(); "
        "print([before, [name for name in ('torch', 'optuna', 'numpy', 'yaml') if name in sys.modules]])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "[[], []]\n"


def test_an_unknown_name_is_an_attribute_error_and_the_known_ones_are_listed() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = archlab.trian  # type: ignore[attr-defined]
    assert set(archlab.__all__) <= set(dir(archlab))


PAGE = REPOSITORY / "docs" / "python.md"


def test_each_public_function_does_what_its_example_says_after_all_modules_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in pkgutil.walk_packages(archlab.__path__, "archlab."):
        importlib.import_module(each.name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").symlink_to(REPOSITORY / "reports")
    found = blocks(PAGE)
    code = "".join(block.text for block in found if block.language == "python")
    assert {name for name in functions() if f"archlab.{name}(" not in code} == set()
    for block in found:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    made: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), made)

    graph, run, searched = made["graph"], made["run"], made["found"]
    assert archlab.spec_hash(made["spec"]) == graph.hash
    assert made["cost"].params == sum(each.numel() for each in made["network"].parameters())
    assert (run.record.state, run.record.recipe) == ("done", "smoke (iterations=2, boxes=ground_truth)")
    assert made["scores"] == run.scores
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in ("curves", "figure4", "front", "bands"))
    assert len(made["table"]) == 7
    assert [path.name for path in made["done"].reports] == ["table2.md", "table2.csv", "table2.tex"]
    assert (len(searched.candidates), searched.study) == (1, "tiny_search")
    assert list(searched.table()["hash"]) == [searched.candidates[0].hash]
    capsys.readouterr()
    assert main(["eval", str(run.folder), "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == run.scores
