"""The house: imports go one way, and what must stay light is light."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import REPOSITORY

ORDER = [
    "errors", "files", "progress", "shipped", "yamlio", "wiring", "blocks", "plugins", "spec", "declare", "specfile",
    "graph", "counting", "tally", "summary", "network", "checkpoint", "data", "metrics", "runs", "recipe", "journal", "pictures",
    "distributed", "faults", "state", "capture", "loop", "evaluate", "train", "score", "study", "search", "report", "schemas", "processes", "engines", "estimate", "jobs", "ablate", "explore", "candidates", "commandline", "cli_search", "cli", "worker",
    "__main__",
]  # fmt: skip
PACKAGE = REPOSITORY / "archlab"


def rooms():
    return sorted(
        {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in PACKAGE.rglob("*.py")} - {"__init__", "_shipped"}
    )


def imported(path):
    """Rooms that a file imports, at any depth, from `import archlab.x`, `from archlab.x import` and `from archlab import x`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("archlab.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "archlab":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("archlab."):
            names.add(node.module.split(".")[1])
    return names & set(ORDER)


def test_every_room_has_its_place_in_the_order():
    assert set(rooms()) <= set(ORDER)


@pytest.mark.parametrize("room", rooms())
def test_a_module_imports_only_what_stands_before_it(room):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else list((PACKAGE / room).rglob("*.py"))
    allowed = set(ORDER[: ORDER.index(room) + 1])
    wrong = {str(path): imported(path) - allowed for path in files}
    assert not any(wrong.values()), wrong


LIGHT = {
    "archlab --help": ("from archlab.cli import _parser; _parser()", ["torch", "optuna", "matplotlib", "cv2", "fvcore", "pandas"]),
    "building and counting": ("import archlab; archlab.cost(archlab.load('lite_hrnet_18')); import archlab.network",
                              ["optuna", "matplotlib", "cv2", "archlab.data", "pycocotools"]),
    "sampling a space": ("from archlab.cli import main; main(['sample', 'hybrid', '-n', '2'])",
                         ["torch", "optuna", "matplotlib", "cv2", "fvcore", "pandas", "scipy"]),
    "looking at a search's result": ("from archlab.cli import main; import json; p = '{out}/result.json'; "
                                     "open(p, 'w').write('{{}}'); main(['best', p])", ["torch", "optuna", "matplotlib"]),
    "a report": ("from pathlib import Path; import archlab.report as r; r.report('table7', Path('none'), Path('{out}'))", ["torch", "optuna"]),
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
    assert knowing == ["counting.py"]
