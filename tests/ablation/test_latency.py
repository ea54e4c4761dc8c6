"""The page of measured time: milliseconds by canonical hash, Kendall's tau, labels, and what the blocks reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.refused import refused

from archlab.ablation.latency import distinct, networks_of, study_table, write_page
from archlab.counting.count import cost
from archlab.deploy.bench.parts import Part, together
from archlab.deploy.bench.session import Row, Session

SOURCE, NETWORKS = networks_of("table6")
EAGER = {each.graph.hash: 10.0 + i for i, each in enumerate(NETWORKS)}


def session(threads: int = 1, factor: float = 1.0) -> Session:
    """A session in which folding halves the time, and the i-th row of Table 6 takes (10 + i) ms times a factor."""
    rows = tuple(
        Row(each.graph.name, each.graph.hash, each.graph.input, 1, runtime, (share * factor * EAGER[each.graph.hash],) * 3,
            100, 4.0, cost(each.graph).flops["fvcore"], 10**8)
        for each in NETWORKS for runtime, share in (("eager", 1.0), ("folded", 0.5))
    )  # fmt: skip
    return Session(
        "A machine", 2, "cpu", threads, "float32", "2026-01-01", "wall", None, 0.0, {"torch": "2"}, 5e10, 2e10, rows
    )


def test_a_table_has_the_milliseconds_of_each_session_and_runtime() -> None:
    made = study_table(SOURCE, NETWORKS, [session(), session(2, 0.5)])
    heads = [(column.group, column.name) for column in made.columns[4:]]
    assert heads == [("ms, 1 thread", "eager"), ("ms, 1 thread", "folded"), ("ms, 2 threads", "eager"),
                     ("ms, 2 threads", "folded")]  # fmt: skip
    assert [[cell.text for cell in row[4:]] for row in made.rows[:2]] == [
        ["10.0", "5.0", "5.0", "2.5"], ["11.0", "5.5", "5.5", "2.8"],
    ]  # fmt: skip
    assert made.rows[0][3].text == "551.7"


def test_tau_compares_the_orders_by_multiply_adds_and_by_time() -> None:
    """Times that are the multiply-adds have tau 1."""
    flops = {each.graph.hash: cost(each.graph).flops["paper"] / 1e6 for each in NETWORKS}
    made = session()
    alike = replace(made, rows=tuple(replace(row, milliseconds=(flops[row.hash],)) for row in made.rows))
    assert (
        f"eager, 1 thread: 1.00 (1.00 to 1.00, n = {len(NETWORKS)})"
        in study_table(SOURCE, NETWORKS, [alike]).caption[1]
    )


def test_a_network_without_a_measurement_has_an_empty_cell() -> None:
    made = session()
    fewer = replace(made, rows=made.rows[2:])
    assert [cell.text for cell in study_table(SOURCE, NETWORKS, [fewer]).rows[0][4:]] == ["-", "-"]


def test_the_page_and_its_figures_are_written(tmp_path: Path) -> None:
    parts = [
        Part("a", "dense", "conv 3x3", 1.0, 900),
        Part("b", "light", "add", 1.0, 0),
        Part("c", "light", "pool", 2.0, 100),
    ]
    made = session()
    faster = tuple(replace(row, runtime="onnxruntime") for row in made.rows if row.runtime == "folded")
    faster = tuple(replace(row, milliseconds=tuple(each / 2 for each in row.milliseconds)) for row in faster)
    made = replace(made, rows=made.rows + faster)
    written = write_page(["table6"], [made], {"lite_hrnet_18": parts}, tmp_path)
    assert sorted(path.name for path in written) == [
        "latency.md", "latency.png", "latency.svg", "latency_blocks.png", "latency_blocks.svg",
    ]  # fmt: skip
    page = (tmp_path / "latency.md").read_text()
    assert "Folding is 2.00 to 2.00 times as fast as eager. ONNX Runtime is 4.00 to 4.00 times as fast" in page
    assert "ms, 1 thread<br>onnxruntime" in page
    assert (
        "Block light takes 75% of the time for 10% of the multiply-adds, at 0.0 G/s; in it pool 67% and add 33%" in page
    )
    assert "Lite-HRNet-18" in (tmp_path / "latency.svg").read_text()


def test_parts_of_one_operator_in_one_kind_of_block_are_taken_together() -> None:
    parts = [Part("a", "x", "add", 1.0, 1), Part("b", "x", "add", 2.0, 2), Part("b", "y", "add", 4.0, 3)]
    assert together(parts) == [Part("", "x", "add", 3.0, 3, 2), Part("", "y", "add", 4.0, 3, 1)]


def test_networks_are_measured_once() -> None:
    assert len(distinct([*NETWORKS, *NETWORKS])) == len(NETWORKS)


@pytest.mark.parametrize("name", ["figure4", "table7"])
def test_a_study_without_rows_of_networks_is_refused_or_read(name: str) -> None:
    if name == "table7":
        assert networks_of(name)[1]
        return
    with refused("expected systems or an ablation"):
        networks_of(name)
