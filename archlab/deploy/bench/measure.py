"""Networks and runtimes that take turns: the time of every pass, in rounds, on a stated machine."""

from __future__ import annotations

import gc
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from archlab.core.device import device_name, using_threads
from archlab.counting.count import cost
from archlab.deploy.bench.runtimes import Pass, Prepared, Setting, Skipped, prepare
from archlab.deploy.bench.session import Row, Session
from archlab.deploy.bench.settle import settle
from archlab.network.graph import Graph
from archlab.network.module import Network, build

GEMM_SIDE = 1024
COPY_MIB = 128


@dataclass
class _Turn:
    """A pass that takes turns, and its seconds so far."""

    run: Pass
    seconds: list[float]


def measure(
    graphs: Sequence[Graph],
    runtimes: Sequence[str],
    setting: Setting,
    *,
    batches: Sequence[int] = (1,),
    rounds: int = 20,
    warm_up: int = 3,
    advance: Callable[[], None] = lambda: None,
) -> Session:
    """Return the time of every graph in every runtime at every batch, measured in rounds that all of them share.

    setting: its batch is replaced by each of `batches`. advance: called after each round.
    """
    with using_threads(setting.threads if setting.device.type == "cpu" else None):
        cases, skipped = _cases(
            graphs, runtimes, [Setting(setting.device, b, setting.threads, setting.dtype) for b in batches]
        )
        limits = [_Turn(run, []) for run in _limits(setting)]
        turns = [*(_Turn(made.run, []) for _, _, _, made in cases), *limits]
        _take_turns(turns, rounds, warm_up, setting, advance)
        rows = tuple(_row(case, turn) for case, turn in zip(cases, turns, strict=False))
    gemm, copy = (min(turn.seconds) for turn in limits)
    return _session(setting, rows, skipped, GEMM_SIDE**3 / gemm, 2 * COPY_MIB * 2**20 / copy)


def seconds_of(runs: Sequence[Pass], setting: Setting, *, rounds: int, warm_up: int = 2) -> list[list[float]]:
    """Return the seconds of each pass in each round, with the care of `measure`."""
    turns = [_Turn(run, []) for run in runs]
    with using_threads(setting.threads if setting.device.type == "cpu" else None):
        _take_turns(turns, rounds, warm_up, setting)
    return [turn.seconds for turn in turns]


Case = tuple[Graph, str, int, Prepared]


def _cases(
    graphs: Sequence[Graph], runtimes: Sequence[str], settings: Sequence[Setting]
) -> tuple[list[Case], tuple[str, ...]]:
    """Return every network in every runtime at every batch, ready to run, and why some runtimes are left out."""
    cases, skipped = [], {}
    for graph in graphs:
        for setting in settings:
            for runtime in runtimes:
                if runtime in skipped:
                    continue
                try:
                    cases.append((graph, runtime, setting.batch, prepare(runtime, network_of(graph), setting)))
                except Skipped as reason:
                    skipped[runtime] = f"{runtime}: {reason}"
    return cases, tuple(skipped.values())


def network_of(graph: Graph) -> Network:
    """Return a network with weights as of a trained one, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(graph)
        settle(network, graph.input[1:], count=2)  # type: ignore[arg-type]
    return network


def _take_turns(
    turns: Sequence[_Turn], rounds: int, warm_up: int, setting: Setting, advance: Callable[[], None] = lambda: None
) -> None:
    for turn in turns:
        for _ in range(warm_up):
            turn.run()
    now = time.process_time if clock_of(setting) == "processor" else time.perf_counter
    on_gpu = setting.device.type == "cuda"
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for turn in turns:
                start = now()
                turn.run()
                if on_gpu:
                    torch.cuda.synchronize()
                turn.seconds.append(now() - start)
            advance()
    finally:
        gc.enable()


def clock_of(setting: Setting) -> str:
    """Return which clock is read: the processor's own on one CPU thread, which other processes disturb less."""
    return "processor" if setting.device.type == "cpu" and setting.threads == 1 else "wall"


def _limits(setting: Setting) -> Iterator[Pass]:
    """Yield a product of matrices and a copy, by which the machine's limits are measured."""
    side = torch.randn(GEMM_SIDE, GEMM_SIDE, device=setting.device, dtype=setting.dtype)
    product = torch.empty_like(side)
    yield lambda: torch.mm(side, side, out=product)
    source = torch.zeros(COPY_MIB * 2**18, device=setting.device)
    target = torch.ones_like(source)
    yield lambda: target.copy_(source)


def _row(case: Case, turn: _Turn) -> Row:
    graph, runtime, batch, made = case
    times = tuple(round(1e3 * s, 4) for s in turn.seconds)
    macs, traffic = cost(graph).flops["fvcore"] * batch, moved(graph, batch)
    about = graph.name, graph.hash, graph.input, batch, runtime
    return Row(*about, times, made.launches, made.peak_mib, macs, traffic)


def moved(graph: Graph, batch: int) -> int:
    """Return the bytes that a pass's operators read and write in float32, weights included, if none is fused."""
    sizes = [
        shape[0] * shape[1] * shape[2]
        for node in graph.nodes
        for leaf in node.leaves
        if leaf.kind != "split"
        for shape in (*leaf.in_shapes, *leaf.out_shapes)
    ]
    return 4 * (batch * sum(sizes) + cost(graph).params)


def _session(setting: Setting, rows: tuple[Row, ...], skipped: tuple[str, ...], gemm: float, copy: float) -> Session:
    on_cpu = setting.device.type == "cpu"
    return Session(
        machine=device_name(setting.device).split(": ", 1)[1],
        cores=os.cpu_count() or 0,
        device=setting.device.type,
        threads=setting.threads if on_cpu else 0,
        dtype=str(setting.dtype).removeprefix("torch."),
        date=datetime.now(UTC).date().isoformat(),
        clock=clock_of(setting),
        clock_mhz=_clocks() if on_cpu else None,
        load_average=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        versions=_versions(rows),
        gemm_macs=gemm,
        copy_bytes=copy,
        rows=rows,
        skipped=skipped,
    )


def _clocks() -> tuple[float, float] | None:
    """Return the lowest and the highest clock of the cores in MHz, as Linux states it now; None elsewhere."""
    path = Path("/proc/cpuinfo")
    found = [float(mhz) for mhz in re.findall(r"cpu MHz\s*: ([\d.]+)", path.read_text())] if path.is_file() else []
    return (min(found), max(found)) if found else None


def _versions(rows: Sequence[Row]) -> dict[str, str]:
    used = {row.runtime for row in rows}
    named = ["torch", "archlab", *(name for name in ("onnxruntime", "openvino") if name in used)]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in named}}
