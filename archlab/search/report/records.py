"""The candidates of a search as flat records, a row each: what `Result.table` and the CSV files hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archlab.search.report.estimates import by_rung, front, known, score_names
from archlab.search.report.importance import as_text
from archlab.search.results import Candidate, Result


def records(result: Result) -> Iterator[dict[str, Any]]:
    """Yield every candidate and then every reference at full precision.

    NAME_low and NAME_high are the ends of a score's 95 % interval, NAME@RUNG is the score at a rung, `proxy.NAME` a
    zero-cost proxy, `point.NAME` the choice of a parameter as text.
    """
    on_front = {candidate.number for candidate in front(result)}
    names = score_names((*result.candidates, *result.references))
    for candidate in result.candidates:
        yield _record(result, candidate, names, "candidate", on_front=candidate.number in on_front)
    for candidate in result.references:
        yield _record(result, candidate, names, "reference", on_front=False)


def front_records(result: Result) -> list[dict[str, Any]]:
    """Return the records of the front's members, from the least to the most in the last objective."""
    by_number = {record["number"]: record for record in records(result) if record["on_front"]}
    return [by_number[candidate.number] for candidate in front(result)]


def _record(result: Result, candidate: Candidate, names: list[str], kind: str, *, on_front: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "number": candidate.number,
        "name": candidate.name,
        "kind": kind,
        "outcome": candidate.outcome,
        "on_front": on_front,
        "hash": candidate.hash,
        "seeds": max(len(candidate.seeds), 1),
        "rungs_reached": len(candidate.rungs),
    }
    for name in names:
        found = known(candidate, name)
        record |= {
            name: found and found.mean,
            f"{name}_low": found and found.low,
            f"{name}_high": found and found.high,
        }
    at, point = by_rung(result, candidate), candidate.point
    record |= {f"{n}@{rung.label}": at.get(i, {}).get(n) for i, rung in enumerate(result.rungs) for n in names}
    record |= {**candidate.cost, **{f"proxy.{name}": value for name, value in candidate.proxies.items()}}
    record |= {f"point.{name}": as_text(point[name]) if name in point else None for name in result.parameters}
    return record | {"seconds": candidate.seconds, "finished": candidate.finished, "reason": candidate.reason}
