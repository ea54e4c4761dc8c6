"""The house: thirteen folders, imports that go one way, and what must stay light is light."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from helpers.paths import REPOSITORY

ORDER = [
    "core", "yamlio", "blocks", "network", "counting", "tasks", "training", "deploy", "report", "ablation", "search", "site", "cli",
]  # fmt: skip
PACKAGE = REPOSITORY / "archlab"


def folders():
    return sorted({p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*/*.py")} - {"_shipped"})


def imported(path):
    """Folders that a file imports, at any depth, from `import archlab.x`, `from archlab.x import` and `from archlab import x`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("archlab.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "archlab":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("archlab."):
            names.add(node.module.split(".")[1])
    return names & set(ORDER)


def test_the_package_has_these_folders_and_no_module_beside_them():
    assert set(folders()) == set(ORDER)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("folder", folders())
def test_a_folder_imports_only_what_stands_before_it(folder):
    allowed = set(ORDER[: ORDER.index(folder) + 1])
    wrong = {str(path): imported(path) - allowed for path in (PACKAGE / folder).rglob("*.py")}
    assert not {path: names for path, names in wrong.items() if names}


LIGHT = {
    "archlab --help": ("from archlab.cli.app import parser; parser()", ["torch", "optuna", "matplotlib", "cv2", "fvcore", "pandas", "numpy", "yaml", "rich", "difflib"]),
    "building and counting": ("import archlab; archlab.cost(archlab.load('lite_hrnet_18')); import archlab.network.module",
                              ["optuna", "matplotlib", "cv2", "archlab.tasks", "pycocotools"]),
    "sampling a space": ("from archlab.cli import main; main(['sample', 'hybrid', '-n', '2'])",
                         ["torch", "optuna", "matplotlib", "cv2", "fvcore", "pandas", "scipy"]),
    "looking at a search's result": ("from archlab.cli import main; import json; p = '{out}/result.json'; "
                                     "open(p, 'w').write('{{}}'); main(['best', p])", ["torch", "optuna", "matplotlib"]),
    "a report": ("from pathlib import Path; import archlab.ablation.report as r; r.write_report('table7', Path('none'), Path('{out}'))",
                 ["torch", "optuna"]),
}  # fmt: skip


@pytest.mark.parametrize(("code", "heavy"), LIGHT.values(), ids=LIGHT)
def test_what_must_stay_light_imports_nothing_heavy(code, heavy, tmp_path):
    script = f"{code.format(out=tmp_path)}; import sys; print([m for m in {heavy} if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout.strip().splitlines()[-1] == "[]"


def test_only_counting_knows_fvcore():
    knowing = [
        str(p.relative_to(PACKAGE))
        for p in PACKAGE.rglob("*.py")
        if "import fvcore" in p.read_text() or "from fvcore" in p.read_text()
    ]
    assert knowing == ["counting/modules.py"]
