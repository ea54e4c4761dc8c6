"""A network's time, measured, or predicted as the sum of what its operators take in other networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from archlab.blocks.wiring import Leaf
from archlab.core.files import read_json, write_json
from archlab.deploy.bench.measure import network_of, seconds_of
from archlab.deploy.bench.profile import macs_of, operator_name, profile
from archlab.deploy.bench.record import quartiles
from archlab.deploy.bench.runtimes import Setting, prepare
from archlab.network.graph import Graph
from archlab.network.module import joined

Terms = tuple[float, float, float]
"""Milliseconds of a call, of 10^6 multiply-adds and of 10^6 elements read and written."""


def milliseconds_of(graph: Graph, runtime: str, setting: Setting, *, rounds: int = 10) -> float:
    """Return a network's median milliseconds a pass, measured."""
    made = prepare(runtime, network_of(graph), setting)
    (seconds,) = seconds_of([made.run], setting, rounds=rounds)
    return 1e3 * quartiles(seconds).median


@dataclass(frozen=True)
class Predictor:
    """t = total * sum over operators (a_k + b_k macs + c_k elements) + call * number of operators; k is its kind.

    kinds: the terms of each kind. total, call: fitted to whole networks in the runtime, whose operators may be fused.
    error: the 90 % quantile of the relative error on the networks that it was fitted to, each left out once.
    """

    kinds: Mapping[str, Terms]
    total: float
    call: float
    error: float

    def milliseconds(self, graph: Graph) -> float:
        """Return a network's predicted milliseconds. A kind that was never timed has the mean of the others."""
        summed, count = self._features(graph)
        return self.total * summed + self.call * count

    def _features(self, graph: Graph) -> tuple[float, int]:
        return _features(self.kinds, graph)

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_predictor(path: Path) -> Predictor:
    """Return a predictor from its file."""
    found = read_json(path, "predictor")
    kinds = {kind: (terms[0], terms[1], terms[2]) for kind, terms in found["kinds"].items()}
    return Predictor(kinds, found["total"], found["call"], found["error"])


def fit(graphs: Sequence[Graph], runtime: str, setting: Setting, *, rounds: int = 5) -> Predictor:
    """Fit a predictor to the operators of some networks and to the networks in a runtime."""
    timed: defaultdict[str, list[tuple[Terms, float]]] = defaultdict(list)
    whole = []
    for graph in graphs:
        parts = profile(graph, threads=setting.threads, batch=setting.batch, rounds=rounds)
        leaves = [leaf for node in graph.nodes for leaf in joined(node)]
        for leaf, part in zip(leaves, parts, strict=True):
            timed[operator_name(leaf)].append((_terms(leaf), part.milliseconds))
        whole.append(milliseconds_of(graph, runtime, setting, rounds=2 * rounds))
    kinds = {kind: _fitted(rows) for kind, rows in timed.items()}
    features = np.array([_features(kinds, graph) for graph in graphs])
    times = np.array(whole)
    total, call = _relative(features, times)
    return Predictor(kinds, total, call, _left_out(features, times))


def _terms(leaf: Leaf) -> Terms:
    elements = sum(c * h * w for c, h, w in (*leaf.in_shapes, *leaf.out_shapes))
    return 1.0, macs_of(leaf) / 1e6, elements / 1e6


def _fitted(rows: Sequence[tuple[Terms, float]]) -> Terms:
    """Return the terms of a kind: least squares of relative errors, none below 0."""
    matrix, times = np.array([terms for terms, _ in rows]), np.array([time for _, time in rows])
    found, _ = nnls(matrix / times[:, None], np.ones(len(times)))
    return float(found[0]), float(found[1]), float(found[2])


def _features(kinds: Mapping[str, Terms], graph: Graph) -> tuple[float, int]:
    """Return the sum of a network's operators, each by the terms of its kind, and their number."""
    leaves = [leaf for node in graph.nodes for leaf in joined(node)]
    usual = tuple(float(np.mean([terms[i] for terms in kinds.values()])) for i in range(3))
    summed = 0.0
    for leaf in leaves:
        summed += sum(a * b for a, b in zip(kinds.get(operator_name(leaf), usual), _terms(leaf), strict=True))
    return summed, len(leaves)


def _relative(features: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[float, float]:
    found, _ = nnls(features / times[:, None], np.ones(len(times)))
    return float(found[0]), float(found[1])


def _left_out(features: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Return the 90 % quantile of the relative errors, each network predicted from the others."""
    errors = []
    for i in range(len(times)):
        others = np.arange(len(times)) != i
        found = _relative(features[others], times[others]) if others.any() else (0.0, 0.0)
        errors.append(abs(features[i] @ np.array(found) / times[i] - 1))
    return float(np.quantile(errors, 0.9))
