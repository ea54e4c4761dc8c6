"""The sentences of a search's report: what was run, what the figures show, and what they do not show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from archlab.ablation.captions import TOO_SMALL_TO_RANK, too_small_to_rank
from archlab.report.machines import mixed
from archlab.report.tables import plural, sentence_list
from archlab.search.report.analysis import Analysis, best_of_front
from archlab.search.report.estimates import COUNTED, Certainty, Domination, all_known, dominations, known
from archlab.search.report.importance import LEAST
from archlab.search.report.quantities import product, quantity
from archlab.search.results import Candidate, Result, Rung


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the facts of the study, term by term; those that only serve to repeat it come last."""
    result = analysis.result
    ways = {"maximize": "up", "minimize": "down"}
    return [
        (
            "Objectives",
            ", ".join(f"{quantity(o.name, analysis.result).label} {ways[o.direction]}" for o in result.objectives),
        ),
        ("Candidates", counted(result)),
        ("Sampler", sampler(result)),
        ("Space", f"{result.space}, {_large(result.space_size)} networks"),
        ("Data", f"{result.data}; recipe {result.recipe}"),
        ("Rungs", "; ".join(map(_rung, result.rungs))),
        ("Seeds", seeds(analysis)),
        (
            "Device",
            sentence_list(result.machines) or _device(result),
        ),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
        ("Command", result.command),
        ("Fingerprint", result.fingerprint),
    ]


def _device(result: Result) -> str:
    return f"{result.device} ({plural(result.threads, 'thread')} per worker)" if result.device else "nothing trained"


def _rung(rung: Rung) -> str:
    size = f"{rung.input[0]}×{rung.input[1]}"
    at = "" if size in rung.label.replace("x", "×") else f" at {size}"
    return f"{rung.label}: {rung.samples:,} samples{at}" if rung.samples else f"{rung.label}{at}"


def _large(n: int) -> str:
    """Return `1,866,240`, but `3.2 × 10^20` for a number that is too long to read."""
    return f"{n:,}" if n < 1e12 else f"{n / 10 ** (len(str(n)) - 1):.1f} × 10^{len(str(n)) - 1}"


def sampler(result: Result) -> str:
    """Return the sampler by the name of its paper."""
    return {"tpe": "TPE", "nsga2": "NSGA-II", "nsga3": "NSGA-III", "gp": "GP"}.get(result.sampler, result.sampler)


def counted(result: Result) -> str:
    """Return how many trials ended in which way, and how many were requested."""
    found = Counter[str](candidate.outcome for candidate in result.candidates)
    words = {"complete": "fully trained", "stopped": "stopped at a rung", "failed": "failed"}
    ends = ", ".join(f"{found[outcome]} {word}" for outcome, word in words.items() if found[outcome])
    return f"{len(result.candidates)} of {result.asked} requested: {ends or 'none finished'}"


def seeds(analysis: Analysis) -> str:
    """Return the number of seeds of the front's members and of the others."""
    several = [c for c in analysis.front if len(c.seeds) > 1]
    if not several:
        return "1 per candidate"
    numbers = sorted({len(c.seeds) for c in several})
    most = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    members = "" if len(several) == len(analysis.front) else f" ({len(several)} of {len(analysis.front)})"
    return f"{most} per front member{members}, 1 per other candidate"


def may(analysis: Analysis) -> Iterator[str]:
    """Yield what the figures show."""
    result = analysis.result
    last = result.rungs[-1].label if result.rungs else "the last rung"
    if result.complete:
        n = len(result.references)
        compared = f"{plural(len(result.complete), 'fully trained candidate')}" + (
            f" and the {plural(n, 'reference')}" if n else ""
        )
        yield (
            f"The {compared} were trained with one recipe on one data set. Their scores at the last rung ({last}) "
            "can be compared."
        )
    if all(name in COUNTED for c in result.candidates for name in c.cost):
        yield "Costs are counted, not measured, so they are exact."
    if result.latency:
        yield f"Latency is a median of measured passes, {result.latency}; other costs are counted, so they are exact."
    if any(len(c.seeds) > 1 for c in analysis.front):
        yield "Intervals of scores are 95 % t-intervals of the mean over seeds."


def may_not(analysis: Analysis) -> Iterator[str]:
    """Yield what the figures do not show."""
    result = analysis.result
    data = re.findall(r"\w+", result.data)
    if too_small_to_rank(result.data):
        yield TOO_SMALL_TO_RANK
    if "synthetic" in data:
        yield "The data is synthetic: a ranking on it is no ranking on COCO or MPII."
    if result.machines:
        yield mixed(result.machines)
    single = sum(len(c.seeds) < 2 for c in analysis.front)
    if single:
        yield (
            f"{single} of the {len(analysis.front)} front members have one seed. The best of many single scores is "
            "partly luck; training again tends to give a lower score."
        )
    elif analysis.front:
        yield "The seed with which a candidate was selected counts in its mean, which makes the mean slightly too high."
    if len(result.rungs) > 1:
        yield "Scores at different rungs cannot be compared; a stopped candidate has no score at the last rung."
    if "random" not in result.sampler.lower():
        yield (
            f"The sampler ({sampler(result)}) learns from earlier candidates, so distributions and importances "
            "describe these candidates, not the space."
        )


def hypervolume(analysis: Analysis) -> str:
    """Return the reference point and the hypervolume reached."""
    if not analysis.reference_point or not analysis.growth:
        return "No candidate is fully trained, so there is no hypervolume."
    names = tuple(o.name for o in analysis.result.objectives)
    at = ", ".join(quantity(n, analysis.result).phrase(analysis.reference_point[n]) for n in names)
    unit = product(analysis.result)
    reached = unit.text(analysis.growth[-1].hypervolume)
    return (
        f"The hypervolume of the front from the reference point ({at}) is {reached}, in {unit.unit}. It uses the score "
        "that each candidate had when it finished, before it was trained with more seeds."
    )


def verdicts(analysis: Analysis) -> list[tuple[Candidate, str]]:
    """Return for each reference whether a candidate beats it in every objective, and with what certainty."""
    return [(reference, _verdict(analysis, reference)) for reference in analysis.result.references]


def _verdict(analysis: Analysis, reference: Candidate) -> str:
    result = analysis.result
    sought = "(" + ", ".join(quantity(o.name, analysis.result).label for o in result.objectives) + ")"
    if not all_known([reference], result.objectives):
        return f"It has no score at the last rung, so it cannot be compared on {sought}."
    pairs = [pair for pair in analysis.dominations if pair.loser is reference]
    if not pairs:
        worse = dominations([reference], result.complete, result.objectives)
        also = f" It beats {plural(len(worse), 'fully trained candidate')} of {len(result.complete)}." if worse else ""
        return f"No candidate on the front beats it on {sought}.{also}"
    return " ".join(
        _ended(pairs, certainty, sought) for certainty in ENDINGS if any(p.certainty == certainty for p in pairs)
    )


ENDINGS: dict[Certainty, tuple[str, str, str]] = {
    "clear": ("dominates", "dominate", "with 95 % intervals that do not overlap."),
    "overlapping": (
        "has better means",
        "have better means",
        "but the 95 % intervals overlap, so no difference is shown.",
    ),
    "unknown": (
        "has better means",
        "have better means",
        "but at least one side has a single seed, so nothing is shown yet.",
    ),
}


def _ended(pairs: list[Domination], certainty: Certainty, sought: str) -> str:
    """Return `Numbers 4 and 7 dominate it on (...), with intervals that do not overlap.`"""
    numbers = [str(pair.winner.number) for pair in pairs if pair.certainty == certainty]
    one, several, ending = ENDINGS[certainty]
    who, verb = (f"Number {numbers[0]}", one) if len(numbers) == 1 else (f"Numbers {sentence_list(numbers)}", several)
    return f"{who} {verb} {'it ' if certainty == 'clear' else ''}on {sought}, {ending}"


def described(candidate: Candidate, analysis: Analysis) -> str:
    """Return a candidate in a few words, for a screen reader."""
    who = candidate.name if candidate in analysis.result.references else f"Candidate {candidate.number}"
    names = (o.name for o in analysis.result.objectives)
    return f"{who}: " + ", ".join(
        f"{quantity(n, analysis.result).label} {quantity(n, analysis.result).with_error(known(candidate, n))}"
        for n in names
        if known(candidate, n)
    )


def lead(analysis: Analysis) -> str:
    """Return the study in a sentence or two."""
    result = analysis.result
    best = best_of_front(result)
    if best is None:
        return f"{counted(result)}. No candidate reached the last rung, so there is no front."
    score, cost = quantity(analysis.score, analysis.result), quantity(analysis.cost, analysis.result)
    n = len(analysis.front)
    return (
        f"{n} of {plural(len(result.complete), 'fully trained candidate')} {'is' if n == 1 else 'are'} on the front. "
        f"The best by {score.label} is number {best.number}: {score.with_error(known(best, analysis.score))} at "
        f"{cost.phrase(best.cost.get(analysis.cost))}."
    )


def footer(analysis: Analysis) -> str:
    """Return where the same figures are as files."""
    return (
        "The same figures are in the files next to this page: candidates.csv, front.csv, and each plot as PNG and SVG. "
        f"Made by archlab {analysis.result.versions.get('archlab', '')}."
    )


def distribution(analysis: Analysis) -> Iterator[str]:
    """Yield how to read the distribution."""
    yield (
        f"Each line shows the share of candidates with at {'least' if analysis.upwards else 'most'} a given score at a "
        f"rung. At the same rung, a line further {'right' if analysis.upwards else 'left'} is a better set of "
        "candidates. Bands are pointwise bootstrap 95 % intervals."
    )
    if len(analysis.rungs) > 1:
        yield (
            "Rungs differ in training and input, so lines of different rungs cannot be compared. After the first rung "
            "they contain only candidates that passed the rung before."
        )
    if "random" not in analysis.result.sampler.lower():
        yield f"The sampler ({sampler(analysis.result)}) looks for good candidates: they exceed the space's average."


def importance(analysis: Analysis) -> Iterator[str]:
    """Yield how to read importances."""
    yield (
        "Main effects only, without interactions. A sampler that learns makes parameters correlated, so one can show "
        "the effect of another. An interval that includes 0 shows no effect."
    )
    if len(analysis.rungs) > 1:
        yield "The last rung has only candidates that passed, which hides the effects that stopped the others."


def too_few(analysis: Analysis) -> str:
    return f"Fewer than {LEAST} candidates were scored at each rung: too few to show which parameters matter."
