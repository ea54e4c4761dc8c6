"""A page of measured time: the networks of studies with milliseconds, time against multiply-adds, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archlab import load
from archlab.ablation.load import load_study
from archlab.ablation.study import Ablation
from archlab.ablation.systems import Systems
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.counting.count import MEBI, cost
from archlab.deploy.bench.parts import Part, shares
from archlab.deploy.bench.record import quartiles, ratio
from archlab.deploy.bench.session import Session
from archlab.network.graph import Graph, assemble
from archlab.report.correlation import Correlation, kendall
from archlab.report.latency import limits, profile_tables, where
from archlab.report.tables import EMPTY, Cell, Column, Table, escaped, plural, section, sentence_list

COCO = (3, 256, 192)
GAINING = {"folded": "Folding", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""The runtimes whose gain over eager is stated, and their names."""
LEAST_SHARE = 0.1
"""A block is described if it takes this share of the time."""


@dataclass(frozen=True)
class Network:
    """A row of a study. ap: as published, on COCO val."""

    label: str
    graph: Graph
    ap: float | None

    @property
    def size(self) -> str:
        return f"{self.graph.input[1]}×{self.graph.input[2]}"


def networks_of(name: str) -> tuple[str, list[Network]]:
    """Return a study's source, and its rows that have a network: of systems each at its input, else at 256x192."""
    study = load_study(name)
    if isinstance(study, Systems):
        systems = [each for each in study.rows if each.spec]
        specs = [
            load(each.spec, input=(3, *each.size), outputs=each.outputs or study.outputs, **each.fields)
            for each in systems
        ]
        found = [
            Network(each.label, assemble(spec), each.scores.get("ap"))
            for each, spec in zip(systems, specs, strict=True)
        ]
    elif isinstance(study, Ablation):
        found = [
            Network(row.name, assemble(load(row.spec, input=COCO, **row.fields)), row.published.ap)
            for row in study.rows
        ]
    else:
        raise InputError(Problem(f"{name} is of kind {study.kind}; expected systems or an ablation", "study"))
    return study.source, found


def distinct(networks: Iterable[Network]) -> list[Graph]:
    """Return the networks' graphs, each once."""
    return list({each.graph.hash: each.graph for each in networks}.values())


def study_table(source: str, networks: Sequence[Network], sessions: Sequence[Session]) -> Table:
    """Return a study's networks with published AP, multiply-adds, and milliseconds of each session and runtime.

    The caption has Kendall's tau of multiply-adds and each column of time.
    """
    columns = [Column("Network", align="l"), Column("Input"), Column("AP, published"), Column("M multiply-adds (2²⁰)")]
    times = [(session, runtime, _times(session, runtime)) for session in sessions for runtime in _runtimes(session)]
    columns += [Column(runtime, f"ms, {threads(session)}") for session, runtime, _ in times]
    work = [cost(each.graph).flops["paper"] / MEBI for each in networks]
    body = []
    for each, flops in zip(networks, work, strict=True):
        head = (
            Cell(each.label),
            Cell(each.size),
            Cell(EMPTY if each.ap is None else f"{each.ap:.1f}"),
            Cell(f"{flops:.1f}"),
        )
        body.append((*head, *(_milliseconds(found, each.graph.hash) for *_, found in times)))
    taus = []
    for session, runtime, found in times:
        pairs = [(w, found[n.graph.hash]) for w, n in zip(work, networks, strict=True) if n.graph.hash in found]
        if tau := kendall([x for x, _ in pairs], [y for _, y in pairs]):
            taus.append(f"{runtime}, {threads(session)}: {_tau(tau)}")
    caption = (
        "Medians at batch 1, whose rounds all networks share. Published AP is the paper's, after its full training.",
        *([f"Kendall's tau of multiply-adds and time: {'; '.join(taus)}."] if taus else []),
    )
    return Table(source, tuple(columns), tuple(body), caption)


def _runtimes(session: Session) -> list[str]:
    return list(dict.fromkeys(row.runtime for row in session.rows))


def _times(session: Session, runtime: str) -> dict[str, float]:
    """Return the median milliseconds at batch 1 by canonical hash."""
    rows = session.of(runtime)
    return {row.hash: quartiles(row.milliseconds).median for row in rows}


def _milliseconds(found: Mapping[str, float], hash: str) -> Cell:
    return Cell(f"{found[hash]:.1f}" if hash in found else EMPTY)


def _tau(tau: Correlation) -> str:
    return f"{tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f}, n = {tau.n})"


def threads(session: Session) -> str:
    """Return a session's device, as `1 thread`."""
    return plural(session.threads, "thread") if session.device == "cpu" else session.device


def write_page(
    studies: Sequence[str], sessions: Sequence[Session], profiles: Mapping[str, Sequence[Part]], out: Path
) -> list[Path]:
    """Write `latency.md` with its figures to a folder and return the files."""
    from archlab.report.latency_plot import profile_bars, time_against_work
    from archlab.report.style import save

    found = {name: networks_of(name) for name in studies}
    networks = [each for _, networks in found.values() for each in networks]
    labels = _labels(networks)
    titles = {each.graph.name: each.label for each in networks}
    named = {titles.get(name, name): parts for name, parts in profiles.items()}
    work = [out / f"latency.{ending}" for ending in ("png", "svg")]
    blocks = [out / f"latency_blocks.{ending}" for ending in ("png", "svg")]
    save(time_against_work(sessions, labels), work)
    if named:
        save(profile_bars(named), blocks)
    page = out / "latency.md"
    parts = [
        f"# Measured time on {escaped(sessions[0].machine)}",
        *(escaped(f"{threads(session).capitalize()}: {where(session)} {limits(session)}") for session in sessions),
        *(section(study_table(source, networks, sessions)) for source, networks in found.values()),
        "## Time against multiply-adds",
        "![Time against multiply-adds, with Kendall's tau](latency.png)",
        *(escaped(_rates(session, labels)) for session in sessions[:1]),
        *(["## Where the time goes"] if named else []),
        *(escaped(_disagreement(name, each)) for name, each in named.items()),
        *(["![Time by block and operator](latency_blocks.png)"] if named else []),
        *(section(table) for name, each in named.items() for table in profile_tables(name, each)),
    ]
    write_text(page, "\n\n".join(parts) + "\n")
    return [page, *work, *(blocks if named else [])]


def _labels(networks: Iterable[Network]) -> dict[str, str]:
    """Return each network's label by hash, with its input where a label is of several networks."""
    labels = {each.graph.hash: (each.label, each.size) for each in networks}
    names = [label for label, _ in labels.values()]
    return {key: label if names.count(label) == 1 else f"{label}, {size}" for key, (label, size) in labels.items()}


def _rates(session: Session, labels: Mapping[str, str]) -> str:
    """Return which networks reach the least and the most multiply-adds a second, and what other runtimes gain."""
    rates = sorted(
        (row.macs / quartiles(row.milliseconds).median / 1e6, labels[row.hash]) for row in session.of("eager")
    )
    (least, slow), (most, fast) = rates[0], rates[-1]
    text = (
        f"Eager on {threads(session)}, {slow} reaches {least:.1f} G multiply-adds/s and {fast} {most:.1f},"
        f" of {session.gemm_macs / 1e9:.1f} in a product of matrices."
    )
    gains = (_gain(session, runtime, name) for runtime, name in GAINING.items())
    return " ".join([text, *filter(None, gains)])


def _gain(session: Session, runtime: str, name: str) -> str:
    """Return by how much a runtime is faster than eager, from the least network to the most; empty if not measured."""
    eager, other = ({row.hash: row.milliseconds for row in session.of(each)} for each in ("eager", runtime))
    gains = sorted(ratio(eager[key], times).median for key, times in other.items() if key in eager)
    return f"{name} is {gains[0]:.2f} to {gains[-1]:.2f} times as fast as eager." if gains else ""


def _disagreement(name: str, parts: Sequence[Part]) -> str:
    """Return what the blocks that take most of a network's time reach, and which operators they spend it in."""
    time, work = sum(part.milliseconds for part in parts), sum(part.macs for part in parts)
    stated = []
    for block in shares(parts, lambda part: part.block):
        if block.milliseconds / time >= LEAST_SHARE:
            inside = [part for part in parts if part.block == block.name]
            named = [
                f"{each.name} {each.milliseconds / block.milliseconds:.0%}"
                for each in shares(inside, lambda part: part.operator)[:5]
            ]
            amounts = f"{block.milliseconds / time:.0%} of the time for {block.macs / work:.0%} of the multiply-adds"
            rate = f"{block.macs / block.milliseconds / 1e6:.1f} G/s"
            stated.append(f"Block {block.name} takes {amounts}, at {rate}; in it {sentence_list(named)}")
    return f"{name} reaches {work / time / 1e6:.1f} G multiply-adds/s. {'. '.join(stated)}."
