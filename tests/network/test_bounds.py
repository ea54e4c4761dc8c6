"""Counts in files have upper bounds, which are checked before anything is made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import archlab
from archlab.core.errors import InputError
from archlab.training.recipe import load_recipe

NODES = "version: 1\ninput: [3, 64, 64]\nnodes:\n"
STAGES = "version: 1\nextends: naive_lite_hrnet_18\n"
RECIPE = "input: [64, 64]\niterations: 3\nbatch: 4\n"
HUGE = "9" * 400


def problems(read, path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        read(path)
    assert time.monotonic() - start < 20
    assert all(len(str(each)) < 1000 for each in caught.value.problems)
    return [(each.line, each.field) for each in caught.value.problems]


@pytest.mark.parametrize("number", ["1000000000", HUGE])
@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (f"{NODES}  a: {{block: conv, width: 4, repeat: N}}\n", 4, "nodes.a.repeat"),
        (f"{STAGES}stages: {{modules: [N]}}\n", 3, "stages.modules.0"),
        (f"{STAGES}stages: {{repeat: N}}\n", 3, "stages.repeat"),
        (f"{STAGES}stages: {{width: N}}\n", 3, "stages.width"),
        ("version: 1\ninput: [3, N, 64]\nnodes:\n  a: {block: conv, width: 4}\n", 2, "input.1"),
        ("version: 1\noutputs: N\nnodes:\n  a: {block: conv, width: 4}\n", 2, "outputs"),
    ],
)
def test_a_count_above_its_bound_is_refused_at_its_place(
    tmp_path: Path, text: str, line: int, field: str, number: str
) -> None:
    assert problems(archlab.load, tmp_path / "net.yaml", text.replace("N", number)) == [(line, field)]


def test_a_width_of_a_block_has_a_bound(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        archlab.assemble(archlab.load(path))

    assert problems(read, tmp_path / "net.yaml", f"{NODES}  a: {{block: conv, width: 70000}}\n") == [(4, "a")]
    found = problems(read, tmp_path / "net.yaml", f"{NODES}  a: {{block: conv, width: {HUGE}}}\n")
    assert found == [(4, "nodes.a.width")]


def test_nodes_and_blocks_of_stages_have_a_bound_in_all(tmp_path: Path) -> None:
    text = NODES + "".join(f"  {name}: {{block: conv, width: 4, repeat: 6000}}\n" for name in "abc")
    assert problems(archlab.load, tmp_path / "net.yaml", text) == [(5, "nodes.b")]
    text = f"{STAGES}stages: {{modules: [100, 100, 100], repeat: 100}}\n"
    assert problems(archlab.load, tmp_path / "net.yaml", text) == [(3, "stages.modules")]


@pytest.mark.parametrize(
    ("change", "line", "field"),
    [
        ("iterations: N", 2, "iterations"),
        ("batch: N", 3, "batch"),
        ("input: [N, 64]", 1, "input.0"),
        ("seed: N", 4, "seed"),
        ("threads: N", 4, "threads"),
        ("workers: N", 4, "workers"),
        ("eval_batch: N", 4, "eval_batch"),
        ("sigma: N", 4, "sigma"),
    ],
)
def test_numbers_of_a_recipe_have_bounds(tmp_path: Path, change: str, line: int, field: str) -> None:
    lines = {each.split(":")[0]: each for each in RECIPE.splitlines()}
    lines[field.split(".")[0]] = change.replace("N", "1" + "0" * 30)
    assert problems(load_recipe, tmp_path / "recipe.yaml", "\n".join(lines.values())) == [(line, field)]


@pytest.mark.slow
def test_a_network_of_thousands_of_nodes_is_counted_in_time_linear_in_them(tmp_path: Path) -> None:
    path, seconds = tmp_path / "net.yaml", []
    for count in (1000, 8000):
        path.write_text(NODES + "".join(f"  a{i}: {{block: conv, width: 4}}\n" for i in range(count)))
        start = time.process_time()
        assert len(archlab.cost(archlab.assemble(archlab.load(path))).nodes) == count + 1
        seconds.append(time.process_time() - start)
    assert seconds[1] < 24 * seconds[0]
