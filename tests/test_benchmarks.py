"""Every benchmark of networks and of batches runs at its smallest scale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
NETWORK = "--networks lite_hrnet_18 --batches 1 --size 64 64 --turns 1 --steps 1 --threads 1"
SMALLEST = {
    "training_step": NETWORK,
    "latency": NETWORK,
    "pipeline": "--images 8 --batch 4 --turns 1",
    "networks": "--networks small_hrnet_w16 --rounds 2 --threads 1 --reports reports",
    "latency_predictor": "--spaces lite_hrnet --fitted 2 --held-out 3 --runtimes folded --size 64 64",
    "evaluation": "--repeats 1",
    "search_gate": "--turns 1",
    "search_proposals": "--trials 2 --draws 100",
    "search_storage": "--trials 2 --turns 1",
    "startup": "--turns 1",
}


def test_every_benchmark_has_a_smallest_scale() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"common", "page"} == set(SMALLEST)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs_and_writes_rows_with_figures(name: str, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [sys.executable, str(FOLDER / f"{name}.py"), *SMALLEST[name].split(), "--out", str(out)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["benchmark"] == name
    assert any(isinstance(value, float) and value > 0 for row in result["rows"] for value in row.values())
