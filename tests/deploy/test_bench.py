"""Measured time: turns that pair, ratios with intervals, records of one machine, profiles, and what is refused."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.refused import refused

import archlab
from archlab.cli import main
from archlab.counting.count import cost
from archlab.deploy.bench import record
from archlab.deploy.bench.measure import measure, moved, network_of
from archlab.deploy.bench.parts import Part, shares
from archlab.deploy.bench.profile import profile
from archlab.deploy.bench.runtimes import Setting, Skipped, prepare
from archlab.deploy.bench.session import Session
from archlab.deploy.onnx import metadata
from archlab.report.latency import session_table

CPU = torch.device("cpu")
SETTING = Setting(CPU, 1, 1)
NET = """version: 1
nodes:
  a: {block: conv, width: 4, stride: 2}
"""


@pytest.fixture
def graph(tmp_path: Path) -> archlab.Graph:
    (tmp_path / "net.yaml").write_text(NET)
    return archlab.assemble(archlab.load(tmp_path / "net.yaml", input=(3, 16, 16), outputs=2))


@pytest.fixture
def session(graph: archlab.Graph) -> Session:
    return measure([graph], ["eager", "folded", "cudagraph"], SETTING, batches=(1, 4), rounds=3, warm_up=1)


def test_every_row_has_a_time_a_round_and_its_work(session: Session, graph: archlab.Graph) -> None:
    assert [(row.batch, row.runtime) for row in session.rows] == [
        (1, "eager"), (1, "folded"), (4, "eager"), (4, "folded"),
    ]  # fmt: skip
    for row in session.rows:
        assert len(row.milliseconds) == 3
        assert row.macs == row.batch * cost(graph).flops["fvcore"]
    assert session.clock == "processor"
    assert session.gemm_macs > 1e8
    assert session.skipped == ("cudagraph: a CUDA graph needs a CUDA device",)


def test_launches_and_memory_are_those_of_the_pass(graph: archlab.Graph) -> None:
    """Eager: convolution, norm, ReLU, 1x1 convolution; folded: the norm is in the first. The maps: 4 x 8 x 8 floats."""
    eager, folded = (prepare(name, network_of(graph), SETTING) for name in ("eager", "folded"))
    assert eager.launches is not None
    assert folded.launches is not None
    assert folded.launches < eager.launches
    assert eager.peak_mib == pytest.approx(2 * 4 * 8 * 8 * 4 / 2**20, abs=2e-3)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_runtimes_of_the_exported_model_give_the_networks_output(
    runtime: str, batch: int, graph: archlab.Graph
) -> None:
    pytest.importorskip(runtime, reason=f"needs pip install 'archlab[{runtime}]'")
    setting = replace(SETTING, batch=batch)
    network = network_of(graph)
    found = prepare(runtime, network, setting).run()
    expected = prepare("eager", network, setting).run()
    assert torch.allclose(torch.as_tensor(found[0]), expected, atol=1e-5)


def test_a_missing_runtime_names_its_extra(graph: archlab.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "find_spec", lambda name: None if name == "openvino" else object())
    with refused("openvino not installed; run pip install 'archlab[openvino]'", field="--runtime"):
        prepare("openvino", network_of(graph), SETTING)
    with pytest.raises(Skipped, match="OpenVINO is measured on the CPU in float32"):
        prepare("openvino", network_of(graph), replace(SETTING, dtype=torch.float64))


def test_bytes_are_what_each_operator_reads_and_writes(graph: archlab.Graph) -> None:
    image, map4, map2 = 3 * 16 * 16, 4 * 8 * 8, 2 * 8 * 8
    conv, norm, act, last = image + map4, 2 * map4, 2 * map4, map4 + map2
    assert moved(graph, 3) == 4 * (3 * (conv + norm + act + last) + cost(graph).params)


def test_weights_are_the_same_at_every_call_and_leave_the_generator_alone(graph: archlab.Graph) -> None:
    before = torch.get_rng_state()
    first, second = network_of(graph).state_dict(), network_of(graph).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(before, torch.get_rng_state())


def test_settled_values_neither_vanish_nor_explode() -> None:
    network = network_of(archlab.assemble(archlab.load("lite_hrnet_18", input=(3, 64, 64))))
    with torch.inference_mode():
        largest = float(network(torch.randn(1, 3, 64, 64)).abs().max())
    assert 1e-2 < largest < 1e3


def test_ratios_pair_rounds() -> None:
    """A load in one round meets both, so that their ratio stays 2."""
    fast = (1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert record.ratio([2 * t for t in fast], fast) == record.Ratio(2.0, 2.0, 2.0)
    assert record.ratio([4.0, 3.0, 2.0], [1.0, 1.0, 1.0]) == record.Ratio(3.0, 2.0, 4.0)


def test_the_interval_of_a_ratio_holds_the_median_95_times_in_100() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.exp(torch.randn(2000, 20, generator=generator)).tolist()
    held = [found.low <= 1 <= found.high for found in (record.ratio(each, [1.0] * 20) for each in draws)]
    assert 0.94 < statistics.mean(held) < 0.98


def test_a_record_keeps_one_session_for_each_setting_of_one_machine(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    record.save(path, session)
    record.save(path, replace(session, threads=2))
    record.save(path, replace(session, date="2030-01-01"))
    found = record.read(path)
    assert [(each.threads, each.date) for each in found] == [(1, "2030-01-01"), (2, session.date)]
    assert found[1] == replace(session, threads=2)
    with refused("is of", file=path, field="--save"):
        record.save(path, replace(session, machine="another"))
    path.write_text('{"version": 1, "sessions": [{}]}')
    with refused("no record of latency", file=path):
        record.read(path)


def test_a_profile_covers_every_operator_and_its_work() -> None:
    graph = archlab.assemble(archlab.load("lite_hrnet_18", input=(3, 64, 64)))
    parts = profile(graph, rounds=1)
    assert sum(part.macs for part in parts) == cost(graph).flops["fvcore"]
    assert all(part.milliseconds > 0 for part in parts)
    blocks = {share.name: share for share in shares(parts, lambda part: part.block)}
    assert blocks.keys() == {node.block for node in graph.nodes}
    assert sum(share.milliseconds for share in blocks.values()) == pytest.approx(sum(p.milliseconds for p in parts))


def test_shares_are_sorted_by_time() -> None:
    parts = [Part("n", "a", "x", 1.0, 1), Part("m", "b", "x", 3.0, 1), Part("o", "a", "y", 1.0, 1)]
    assert [(each.name, each.calls, each.milliseconds) for each in shares(parts, lambda part: part.block)] == [
        ("b", 1, 3.0), ("a", 2, 2.0),
    ]  # fmt: skip


def test_a_table_states_the_ratio_to_eager_and_the_machine(session: Session) -> None:
    made = session_table(session)
    eager, folded = (row for row in session.rows if row.batch == 4)
    found = {row[2].text: row[5].text for row in made.rows if row[1].text == "4"}
    assert found == {"eager": "-", "folded": f"{record.ratio(eager.milliseconds, folded.milliseconds).median:.2f}"}
    assert session.machine in made.caption[0]


def test_the_command_measures_profiles_draws_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.yaml").write_text(NET.replace("version: 1", "version: 1\ninput: [3, 16, 16]\noutputs: 2"))
    words = ["bench", str(tmp_path / "net.yaml"), "--threads", "1,2", "--rounds", "2", "--profile", "--json"]
    assert main([*words, "--save", str(tmp_path / "records"), "--draw", str(tmp_path / "bars.png")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["threads"] for each in printed["sessions"]] == [1, 2]
    assert len(printed["profile"]["net"]) == 4
    (path,) = (tmp_path / "records").iterdir()
    assert [each.threads for each in record.read(path)] == [1, 2]
    assert (tmp_path / "bars.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["lite_hrnet_18", "--runtime", "eager,fold"], "--runtime: no runtime is called 'fold'"),
        (["lite_hrnet_18", "--threads", "0"], "--threads"),
        (["lite_hrnet_18", "--device", "cuda:9"], "the device 'cuda:9' cannot be used"),
        (["nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert error in capsys.readouterr().err


def test_a_runtime_that_is_not_there_states_the_reason(graph: archlab.Graph) -> None:
    with pytest.raises(Skipped, match="needs a CUDA device"):
        prepare("cudagraph", network_of(graph), SETTING)
