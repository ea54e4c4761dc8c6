"""Time of the networks of Tables 3 and 6 and of the descendants in every runtime, on one and two threads, by block.

    python benchmarks/networks.py

Writes the machine's record in `reports/latency`, the page `reports/latency.md` and `benchmarks/results/networks.json`.
`--page` writes the page again from the record. ONNX Runtime is measured where it is installed.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from archlab.ablation.latency import COCO, Network, distinct, networks_of, write_page
from archlab.core.device import device_name
from archlab.core.files import write_json
from archlab.core.progress import progress
from archlab.deploy.bench import record
from archlab.deploy.bench.measure import measure
from archlab.deploy.bench.parts import together
from archlab.deploy.bench.profile import profile
from archlab.deploy.bench.runtimes import Setting
from archlab.deploy.bench.session import Session
from archlab.network.graph import Graph

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ("table3", "table6", "descendants")
AIMS = {"folded": 1.5, "onnxruntime": 3.2}
PROFILED = ("lite_hrnet_18", "naive_lite_hrnet_18", "mobilenet_v2", "hrnet_w32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "networks.json")
    parser.add_argument("--networks", nargs="+", help="measure these alone")
    parser.add_argument("--page", action="store_true", help="write the page from the record, and measure nothing")
    o = parser.parse_args()
    path = o.reports / "latency" / f"{record.slug(device_name(torch.device('cpu')).split(': ', 1)[1])}.json"
    if not o.page:
        networks = [each for name in STUDIES for each in networks_of(name)[1]]
        chosen = [each for each in networks if not o.networks or each.graph.name in o.networks]
        measure_all(chosen, o.threads, o.rounds, path)
    sessions = record.read(path)
    write_page(STUDIES, sessions, record.read_profiles(path), o.reports)
    write_json(o.out, ratios(sessions[0]))


def measure_all(networks: list[Network], threads: list[int], rounds: int, path: Path) -> None:
    """Measure the networks and profile some of them, and add both to the machine's record."""
    runtimes = ["eager", "folded", *(["onnxruntime"] if has_onnx() else [])]
    graphs = distinct(networks)
    profiles = {graph.name: together(profile(graph)) for graph in graphs if _profiled(graph)}
    for count in threads:
        with progress(f"{count} threads", rounds) as advance:
            setting = Setting(torch.device("cpu"), 1, count)
            session = measure(graphs, runtimes, setting, rounds=rounds, warm_up=2, advance=advance)
        record.save(path, session, profiles)


def _profiled(graph: Graph) -> bool:
    return graph.name in PROFILED and graph.input == COCO


def has_onnx() -> bool:
    """Return whether networks can be exported and run."""
    return find_spec("onnxruntime") is not None and find_spec("archlab.deploy.onnx") is not None


def ratios(session: Session) -> dict[str, object]:
    """Return the session's ratios as a result of a benchmark, with the verdicts on its aims."""
    rows, gains = [], dict[str, dict[str, float]]()
    for eager in (row for row in session.rows if row.runtime == "eager"):
        found: dict[str, object] = {"network": eager.network, "input": f"{eager.input[1]}x{eager.input[2]}"}
        found["eager ms"] = record.quartiles(eager.milliseconds).median
        for other in (row for row in session.rows if row.hash == eager.hash and row is not eager):
            times = record.ratio(eager.milliseconds, other.milliseconds)
            name = other.runtime
            found |= {f"{name} ms": record.quartiles(other.milliseconds).median, f"{name} times": times.median}
            found[f"{name} 95 %"] = f"{times.low:.2f}-{times.high:.2f}"
            gains.setdefault(name, {})[f"{eager.network} {found['input']}"] = times.median
        rows.append(found)
    return {
        "benchmark": "networks",
        "date": session.date,
        "device": session.machine,
        "threads": session.threads,
        "versions": session.versions,
        "asked": " ".join(word for word in sys.argv[1:] if word != "--page") or "the defaults",
        "load_average": session.load_average,
        "verdict": " ".join(_verdict(runtime, found) for runtime, found in gains.items()),
        "rows": rows,
    }


def _verdict(runtime: str, gains: dict[str, float]) -> str:
    """Return whether a runtime reaches its aims: on Lite-HRNet-18, and no network slower than eager."""
    slow, least = min(gains.items(), key=lambda pair: pair[1])
    text = f"{runtime}: the least gain is {least:.2f}, of {slow}"
    reached = gains.get("lite_hrnet_18 256x192")
    if reached is None:
        return f"{text}."
    verdict = "met" if reached >= AIMS[runtime] else "missed"
    return f"{text}; Lite-HRNet-18 at 256x192 has {reached:.2f}, so its aim of {AIMS[runtime]} is {verdict}."


if __name__ == "__main__":
    main()
