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
from helpers import search_study, tiny
from helpers.search_results import make_result

import archlab
from archlab.cli.app import main
from archlab.network.checkpoint import to_released
from archlab.search.results import write_result


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a recipe, people, a search of them, and a result."""
    made = tmp_path_factory.mktemp("python")
    people = tiny.make_data(made)
    search_study.make(made, people)
    write_result(make_result(40), made / "result.json")
    return made


def calls(folder: Path) -> dict[str, Any]:
    """Each public function, called by names, files and loaded things; what it returns by its name."""
    spec = archlab.load(folder / "base.yaml", input=(3, 64, 64))
    recipe = archlab.load_recipe(str(folder / "recipe.yaml"), changes={"iterations": 2})
    data = folder / "people"
    network = archlab.build(folder / "base.yaml")
    released = archlab.build("lite_hrnet_18")
    archlab.load_released(released, to_released(archlab.build("lite_hrnet_18")))
    run = archlab.train(spec, recipe, data=data, out=folder / "runs", device="cpu", seed=2, pictures=False)
    result = archlab.load_result(str(folder / "result.json"))
    found = archlab.run_search(folder / "tiny.yaml", trials=1, jobs=1, data=data, device="cpu", out=folder / "searches")
    return {
        "assemble": archlab.assemble(spec),
        "build": network,
        "cost": archlab.cost(str(folder / "base.yaml")),
        "evaluate": archlab.evaluate(run, data=data, device="cpu"),
        "list_networks": archlab.list_networks(),
        "load": spec,
        "load_recipe": recipe,
        "load_released": released,
        "load_result": result,
        "plot_bands": archlab.plot_bands(result),
        "plot_complexity": archlab.plot_complexity("table6"),
        "plot_curves": archlab.plot_curves(run.folder),
        "plot_front": archlab.plot_front(result),
        "run_search": found,
        "spec_hash": archlab.spec_hash(spec),
        "train": run,
    }


def test_each_public_function_is_called_after_all_modules_are_imported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in pkgutil.walk_packages(archlab.__path__, "archlab."):
        importlib.import_module(each.name)
    made = calls(folder)
    assert set(made) == functions()
    graph, cost, run, found = made["assemble"], made["cost"], made["train"], made["run_search"]
    assert made["spec_hash"] == graph.hash == run.record.spec_hash
    assert cost.params == sum(each.numel() for each in made["build"].parameters())
    assert {"lite_hrnet_18", "small_hrnet_w16"} <= set(made["list_networks"])
    assert (run.record.state, run.record.seed, run.record.samples) == ("done", 2, 8)
    assert made["evaluate"] == run.scores
    assert [type(made[name]).__name__ for name in functions() if name.startswith("plot_")] == ["Figure"] * 4
    assert (len(found.candidates), found.study) == (1, "tiny")
    assert list(found.table()["hash"]) == [found.candidates[0].hash]
    assert len(archlab.ablation.table("table6")) == 7
    assert len(made["load_result"].table()) == 40
    capsys.readouterr()
    assert main(["eval", str(run.folder), "--data", str(folder / "people"), "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == run.scores
