"""A made-up search result over real networks: specs, hashes and costs are archlab's, the scores a formula and noise."""

from functools import cache
from typing import Any

import numpy as np

import archlab
from archlab.search.results import Candidate, Objective, Result, Rung

SIZES = ((64, 48), (128, 96), (128, 96))
RUNGS = (
    Rung("short 64x48", 800, SIZES[0]),
    Rung("40 iterations", 2400, SIZES[1]),
    Rung("full training", 9600, SIZES[2]),
)
UNITS = ("conditional_channel_weighting", "shuffle_block", "basic_block")
PARAMETERS = ("width", "modules.stage2", "modules.stage3", "modules.stage4", "unit", "ratio", "spatial_ratio", "fusion")
MEBI = 2**20


def make_result(n: int = 60, *, seed: int = 0, retrained: int = 3, **changes: Any) -> Result:
    """`n` candidates of which a third goes on at each rung; the best front members trained with `retrained` seeds."""
    rng = np.random.default_rng(seed)
    drawn = [_draw(rng) for _ in range(n)]
    made = [_measured(i, point, rng) for i, point in enumerate(drawn)]
    reached = [_reached(made, i, len(made) // 3, len(made) // 9 * 2) for i in range(n)]
    candidates = tuple(
        _candidate(i, point, scores, depth, failed=i % 23 == 11)
        for i, (point, scores, depth) in enumerate(zip(drawn, made, reached, strict=True))
    )
    candidates = tuple(
        _with_seeds(c, retrained, rng) if c.outcome == "complete" and c.number % 3 == 0 else c for c in candidates
    )
    references = tuple(_reference(name, score, rng) for name, score in REFERENCES.items())
    values: dict[str, Any] = {
        "study": "lite_hrnet_quick",
        "title": "Neighbours of Lite-HRNet-18 at 128×96",
        "space": "lite_hrnet",
        "space_size": 1_866_240,
        "recipe": "search_quick",
        "sampler": "nsga2",
        "objectives": (Objective("pck", "maximize"), Objective("macs", "minimize")),
        "rungs": RUNGS,
        "parameters": PARAMETERS,
        "candidates": candidates,
        "references": references,
        "asked": n,
        "data": "synthetic quick",
        "device": "cpu: a processor",
        "threads": 1,
        "versions": {"archlab": "0.1.0", "torch": "2.13.0", "optuna": "5.0.0"},
        "date": "2026-11-23",
        "command": "archlab search studies/lite_hrnet_quick.yaml",
        "fingerprint": "5ea9c4" * 5,
    }
    return Result(**(values | changes))


REFERENCES = {"lite_hrnet_18": 71.0, "small_hrnet_w16": 66.0}


def _draw(rng: np.random.Generator) -> dict[str, Any]:
    unit = UNITS[int(rng.choice(3, p=[0.5, 0.35, 0.15]))]
    point: dict[str, Any] = {
        "width": int(rng.integers(2, 4 if unit == UNITS[2] else 8)) * 8,
        **{f"modules.stage{i}": int(rng.integers(1, 5)) for i in (2, 3, 4)},
        "unit": unit,
        "fusion": str(rng.choice(["released", "plain"])),
    }
    if unit == UNITS[0]:
        point |= {"ratio": int(rng.choice([4, 8, 16])), "spatial_ratio": int(rng.choice([2, 4]))}
    return point


@cache
def _counted(fields: tuple[tuple[str, Any], ...], name: str = "lite_hrnet_18") -> tuple[str, str, dict[str, float]]:
    spec = archlab.load(name, input=(3, *SIZES[-1]), **dict(fields))
    cost = archlab.cost(spec)
    flops = {"macs": float(cost.flops["fvcore"]), "mflops": cost.flops["paper"] / MEBI}
    return (
        spec.to_yaml(),
        archlab.spec_hash(spec),
        {"params": float(cost.params), **flops, "activations": float(cost.activations)},
    )


def _network(point: dict[str, Any]) -> tuple[str, str, dict[str, float]]:
    ratios = {key: point[key] for key in ("ratio", "spatial_ratio") if key in point}
    unit = {"block": point["unit"], **ratios} if point["unit"] == UNITS[0] else point["unit"]
    fields = {"stages.width": point["width"], "stages.modules": [point[f"modules.stage{i}"] for i in (2, 3, 4)]}
    frozen = [(key, tuple(value) if isinstance(value, list) else value) for key, value in fields.items()]
    if isinstance(unit, dict):
        frozen += [(f"stages.unit.{key}", value) for key, value in unit.items() if key != "block"]
    else:
        frozen.append(("stages.unit", unit))
    frozen.append(("stages.fusion.sum", point["fusion"]))
    return _counted(tuple(frozen))


def _measured(i: int, point: dict[str, Any], rng: np.random.Generator) -> list[dict[str, float]]:
    """A score at each rung: grows with the logarithm of the cost, prefers some choices, and has noise."""
    macs = _network(point)[2]["macs"]
    true = 52 + 13 * np.log10(macs / 5e6) + {UNITS[0]: 3.5, UNITS[1]: 1.0, UNITS[2]: 0.0}[point["unit"]]
    true += {1: -3.0, 2: 0.0, 3: 0.8, 4: 1.0}[point["modules.stage3"]]
    found = []
    for level, noise in ((0.62, 2.2), (0.85, 1.6), (1.0, 0.9)):
        pck = float(level * true + rng.normal(0, noise))
        found.append(_figures(pck, 0.72 * pck + float(rng.normal(0, 0.8))))
    return found


def _figures(pck: float, oks: float) -> dict[str, float]:
    """What a record scores, under the names that a search gives."""
    ap = max(0.0, oks - 30)
    found = {"ap": ap, "AP50": min(100.0, 1.7 * ap), "AP75": 0.8 * ap, "AR": ap + 6, "mean_oks": oks, "pck": pck}
    return {name: round(value, 3) for name, value in found.items()}


def _reached(made: list[list[dict[str, float]]], i: int, second: int, third: int) -> int:
    """How many rungs a candidate gets through: the best thirds go on."""
    first = sorted(range(len(made)), key=lambda j: -made[j][0]["pck"])[: max(second * 2, 8)]
    if i not in first:
        return 1
    return 3 if i in sorted(first, key=lambda j: -made[j][1]["pck"])[: max(third, 6) + 6] or i % 2 == 0 else 2


def _candidate(i: int, point: dict[str, Any], scores: list[dict[str, float]], depth: int, *, failed: bool) -> Candidate:
    text, key, cost = _network(point)
    macs = cost["macs"]
    proxies = {"synflow": float(np.log10(macs) * 11), "naswot": round(200 + macs / 1e6 + scores[0]["pck"], 2)}
    return Candidate(
        number=i,
        name=f"lite_hrnet_quick_{i:03d}",
        outcome="failed" if failed else "complete" if depth == 3 else "stopped",
        hash=key,
        point=point,
        cost=cost,
        values={} if failed else {"pck": scores[depth - 1]["pck"], "macs": macs},
        rungs=() if failed else tuple(scores[:depth]),
        spec=text,
        seconds=4.0 + 3 * depth,
        finished=12.0 * i + 5 * depth,
        proxies=proxies,
        reason="the loss became NaN at step 12 <batch 3>" if failed else "",
    )


def _with_seeds(candidate: Candidate, n: int, rng: np.random.Generator) -> Candidate:
    first = candidate.rungs[-1]
    seeds = {"1": dict(first)}
    for seed in range(2, n + 1):
        seeds[str(seed)] = {name: round(score - 0.4 + float(rng.normal(0, 0.7)), 3) for name, score in first.items()}
    values = {field: getattr(candidate, field) for field in Candidate.__dataclass_fields__}
    return Candidate(**(values | {"seeds": seeds if n > 1 else {}}))


def _reference(name: str, pck: float, rng: np.random.Generator) -> Candidate:
    """Trained by the full recipe only, so it has one rung, the last."""
    text, key, cost = _counted((), name)
    scores = _figures(pck, 0.72 * pck)
    made = Candidate(
        -1, name, "complete", key, {}, cost, {"pck": pck, "macs": cost["macs"]}, (scores,), text, 13.0, 0.0
    )
    return _with_seeds(made, 3, rng)
