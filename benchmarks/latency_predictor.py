"""Predicted against measured time, of networks that the predictor has not seen, in both spaces.

    python benchmarks/latency_predictor.py --out benchmarks/results/latency_predictor.json

A predictor is fitted to the operators of a few networks of a space and to these networks as they run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from random import Random

import torch
from common import describe

from archlab.core.files import write_json
from archlab.core.progress import progress
from archlab.deploy.bench.predict import fit, milliseconds_of
from archlab.deploy.bench.runtimes import Setting
from archlab.network.graph import Graph, assemble
from archlab.network.load import at_input
from archlab.report.correlation import spearman
from archlab.search.space.gate import Gate
from archlab.search.space.space import load_space


def drawn(space: str, count: int, size: tuple[int, int]) -> list[Graph]:
    """Return distinct random networks of a space, within its limits at its own size, for inputs of another (H, W)."""
    gate, random = Gate(load_space(space), exact=True), Random(0)
    specs = [gate.sample(random).spec for _ in range(count)]
    return [assemble(at_input(spec, (spec.input[0], *size))) for spec in specs if spec]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=["lite_hrnet", "hybrid"])
    parser.add_argument("--fitted", type=int, default=12, help="networks of a space that it is fitted to")
    parser.add_argument("--held-out", type=int, default=30, help="networks of a space that it predicts")
    parser.add_argument("--runtimes", nargs="+", default=["eager", "folded"])
    parser.add_argument("--size", nargs=2, type=int, default=(256, 192), metavar=("H", "W"))
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    setting = Setting(torch.device("cpu"), 1, 1)
    rows = []
    for space in o.spaces:
        networks = drawn(space, o.fitted + o.held_out, tuple(o.size))
        for runtime in o.runtimes:
            start = time.perf_counter()
            predictor = fit(networks[: o.fitted], runtime, setting)
            seconds = time.perf_counter() - start
            unseen = networks[o.fitted :]
            with progress(f"{space}, {runtime}", len(unseen)) as advance:
                measured = []
                for graph in unseen:
                    measured.append(milliseconds_of(graph, runtime, setting))
                    advance()
            predicted = [predictor.milliseconds(graph) for graph in unseen]
            errors = [abs(p / m - 1) for p, m in zip(predicted, measured, strict=True)]
            rho = spearman(predicted, measured)
            rows.append(
                {
                    "space": space,
                    "runtime": runtime,
                    "held out": len(unseen),
                    "median error": statistics.median(errors),
                    "largest error": max(errors),
                    "spearman": rho.value if rho else None,
                    "95 %": f"{rho.low:.2f}-{rho.high:.2f}" if rho else None,
                    "ms, least": min(measured),
                    "ms, most": max(measured),
                    "seconds to fit": seconds,
                }
            )
    result = {**describe("latency_predictor", setting.device), "threads": 1, "rows": rows}
    if o.out:
        write_json(o.out, result)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
