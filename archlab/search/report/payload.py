"""The data of the page's plot and panel: every candidate with its numbers, texts, spec and graph."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from archlab.search.report.analysis import Analysis, best_of_front
from archlab.search.report.estimates import by_rung, deepest, known, score_names, shown_scores
from archlab.search.report.importance import as_text
from archlab.search.report.quantities import COSTS, quantity
from archlab.search.results import Candidate, Result

RUN = ("number", "finished", "seconds")


def payload(analysis: Analysis, graphs: Mapping[str, str]) -> dict[str, Any]:
    """Return the page's data; `graphs` are packed drawings by hash."""
    points = [_point(analysis, candidate, graphs) for candidate in _candidates(analysis)]
    used = list(dict.fromkeys(key for point in points for key in point["values"]))
    columns = [column for column in _columns(analysis) if column["key"] in used]
    best = best_of_front(analysis.result)
    return {
        "columns": columns,
        "kinds": _kinds(analysis, points),
        "points": points,
        "graphs": dict(graphs),
        "x": analysis.cost if analysis.cost in used else used[0] if used else "",
        "y": analysis.score if analysis.score in used else used[-1] if used else "",
        "chosen": identity(analysis, best) if best else points[0]["id"] if points else "",
    }


def as_script(values: Mapping[str, Any]) -> str:
    """Return JSON that cannot end its script element."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def identity(analysis: Analysis, candidate: Candidate) -> str:
    """Return a candidate's id in the page: c and its number, or r and its position for a reference."""
    if any(candidate is reference for reference in analysis.result.references):
        return f"r{[candidate is reference for reference in analysis.result.references].index(True)}"
    return f"c{candidate.number}"


def kind(analysis: Analysis, candidate: Candidate) -> str:
    """Return `reference`, `front`, or the outcome."""
    if identity(analysis, candidate).startswith("r"):
        return "reference"
    return "front" if candidate.number in analysis.front_numbers else candidate.outcome


def state(analysis: Analysis, candidate: Candidate) -> str:
    """Return what became of a candidate, as text."""
    at = f" at {label}" if (label := deepest(analysis.result, candidate)) else ""
    words = {
        "reference": "reference, trained with the same recipe",
        "front": "on the front",
        "complete": "fully trained",
        "stopped": f"stopped{at}",
        "failed": f"failed: {candidate.reason or 'no reason given'}",
    }
    return words[kind(analysis, candidate)]


def _candidates(analysis: Analysis) -> Iterator[Candidate]:
    yield from analysis.result.candidates
    yield from analysis.result.references


def _kinds(analysis: Analysis, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of points that can be shown or hidden; stopped ones start hidden if any is complete."""
    n = Counter(point["group"] for point in points)
    labels = {"front": "on the front", "complete": "fully trained", "reference": "references"}
    kinds = [{"key": key, "kind": key, "rung": 0, "label": label, "on": True} for key, label in labels.items()]
    for i, rung in enumerate(analysis.result.rungs):
        kinds.append({"key": f"stopped{i}", "kind": "stopped", "rung": i, "label": f"stopped at {rung.label}",
                      "on": not analysis.result.complete})  # fmt: skip
    return [each | {"n": n[str(each["key"])]} for each in kinds if n[str(each["key"])]]


def _columns(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield what an axis can show.

    `better` is 1 or -1 if more or less is better, else 0; `rung` marks the scores at one rung.
    """
    result = analysis.result
    ways = {name: 1 if direction == "maximize" else -1 for name, direction in result.directions.items()}
    sought = {objective.name for objective in result.objectives}
    everyone = (*result.candidates, *result.references)
    scores, costs = score_names(everyone), _names(everyone, "cost")
    for name in dict.fromkeys((*(o.name for o in result.objectives), *shown_scores(result, everyone), *scores, *costs)):
        group = "Objectives" if name in sought else "Scores" if name in scores else "Costs"
        yield _column(result, name, group, ways.get(name, -1 if name in costs else 1))
    for i, rung in enumerate(result.rungs[:-1]):
        for name in shown_scores(result, everyone):
            title = f"{quantity(name, result).label} at {rung.label}"
            better = ways.get(name, 1)
            yield _column(result, name, f"At {rung.label}", better) | {
                "key": f"{name}@{i}",
                "title": title,
                "rung": True,
            }
    for name in _names(result.candidates, "proxies"):
        yield _column(result, name, "Zero-cost proxies", 0) | {"key": f"proxy:{name}"}
    for name in RUN:
        yield _column(result, name, "The run", 0)


def _column(result: Result, name: str, group: str, better: int) -> dict[str, Any]:
    found = quantity(name, result)
    return {"key": name, "title": found.title, "scale": found.scale, "digits": found.digits, "group": group,
            "better": better, "rung": False}  # fmt: skip


def _names(candidates: Iterable[Candidate], of: str) -> list[str]:
    return list(dict.fromkeys(name for c in candidates for name in getattr(c, of)))


def _point(analysis: Analysis, candidate: Candidate, graphs: Mapping[str, str]) -> dict[str, Any]:
    which, rung = kind(analysis, candidate), max(by_rung(analysis.result, candidate), default=0)
    names = dict.fromkeys((*score_names((candidate,)), *candidate.cost))
    found = {name: each for name in names if (each := known(candidate, name))}
    values = {name: each.mean for name, each in found.items()}
    values |= {
        f"{n}@{i}": float(v)
        for i, at in by_rung(analysis.result, candidate).items()
        for n, v in at.items()
        if math.isfinite(v)
    }
    values |= {f"proxy:{name}": float(v) for name, v in candidate.proxies.items() if math.isfinite(v)}
    if which != "reference":
        values |= {name: float(getattr(candidate, name)) for name in RUN}
    return {
        "id": identity(analysis, candidate),
        "title": candidate.name if which == "reference" else f"Candidate {candidate.number}",
        "kind": which,
        "group": f"stopped{rung}" if which == "stopped" else which,
        "rung": rung,
        "state": state(analysis, candidate),
        "hash": candidate.hash,
        "values": values,
        "errors": {name: [each.low, each.high] for name, each in found.items() if each.low is not None},
        "facts": [[heading, rows] for heading, rows in facts(analysis, candidate) if rows],
        "spec": candidate.spec,
        "graph": candidate.hash if candidate.hash in graphs else None,
    }


def facts(analysis: Analysis, candidate: Candidate) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the panel's facts of a candidate, by heading."""
    result = analysis.result
    shown = shown_scores(result, (candidate,))
    at, n = deepest(result, candidate), len(candidate.seeds)
    heading = f"Scores at {at}, mean of {n} seeds ± 95\u00a0%" if n > 1 else f"Scores at {at}, one seed"
    yield (
        heading,
        [
            [quantity(name, analysis.result).label, quantity(name, analysis.result).with_error(known(candidate, name))]
            for name in shown
        ],
    )
    if n > 1:
        yield "By seed", [[f"seed {seed}", _listed(result, shown, scores)] for seed, scores in candidate.seeds.items()]
    before = list(by_rung(result, candidate).items())[:-1]
    yield "At earlier rungs", [[result.rungs[i].label, _listed(result, shown, at)] for i, at in before]
    yield (
        "Costs",
        [
            [quantity(n, analysis.result).title, quantity(n, analysis.result).text(v)]
            for n, v in _ordered(candidate.cost).items()
        ],
    )
    yield "Choices", [[name, as_text(candidate.point[name])] for name in result.parameters if name in candidate.point]
    yield (
        "Zero-cost proxies",
        [
            [quantity(n, analysis.result).title, quantity(n, analysis.result).text(v)]
            for n, v in candidate.proxies.items()
        ],
    )
    yield (
        "Training",
        [["seconds", quantity("seconds", analysis.result).text(candidate.seconds)]] if candidate.seconds else [],
    )


def _listed(result: Result, shown: Iterable[str], scores: Mapping[str, float]) -> str:
    """Return the shown scores as one line, or all scores of a rung with a proxy."""
    names = [name for name in shown if name in scores] or list(scores)
    return ", ".join(quantity(name, result).phrase(scores[name]) for name in names)


def _ordered(costs: Mapping[str, float]) -> dict[str, float]:
    """Return the known costs first, in their order."""
    return {name: costs[name] for name in (*(n for n in COSTS if n in costs), *costs)}
