"""The sentences of a search's report: what was run, what the figures say, and what they do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from archlab.ablation.captions import TOO_SMALL_TO_RANK, plural
from archlab.report.tables import sentence_list
from archlab.search.report.analysis import Analysis
from archlab.search.report.estimates import COUNTED, Certainty, Domination, all_known, dominations, known, vector
from archlab.search.report.importance import LEAST
from archlab.search.report.quantities import product, quantity
from archlab.search.results import Candidate, Objective, Result, Rung


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """What a reader must know of the study before any figure; what only repeats it stands last."""
    result = analysis.result
    ways = {"maximize": "up", "minimize": "down"}
    return [
        ("Objectives", ", ".join(f"{quantity(o.name).label} {ways[o.direction]}" for o in result.objectives)),
        ("Candidates", counted(result)),
        ("Sampler", sampler(result)),
        ("Space", f"{result.space}, {_large(result.space_size)} networks"),
        ("Data", f"{result.data}; recipe {result.recipe}"),
        ("Rungs", "; ".join(map(_rung, result.rungs))),
        ("Seeds", seeds(analysis)),
        (
            "Device",
            f"{result.device} ({plural(result.threads, 'thread')} a worker)" if result.device else "nothing trained",
        ),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
        ("Command", result.command),
        ("Fingerprint", result.fingerprint),
    ]


def _rung(rung: Rung) -> str:
    size = f"{rung.input[0]}×{rung.input[1]}"
    at = "" if size in rung.label.replace("x", "×") else f" at {size}"
    return f"{rung.label}: {rung.samples:,} samples{at}" if rung.samples else f"{rung.label}{at}"


def _large(n: int) -> str:
    """`1,866,240`, and `3.2 × 10^20` where digits would only be counted."""
    return f"{n:,}" if n < 1e12 else f"{n / 10 ** (len(str(n)) - 1):.1f} × 10^{len(str(n)) - 1}"


def sampler(result: Result) -> str:
    """The sampler by the name that its paper gives it."""
    return {"tpe": "TPE", "nsga2": "NSGA-II", "nsga3": "NSGA-III", "gp": "GP"}.get(result.sampler, result.sampler)


def counted(result: Result) -> str:
    """How many trials ended how, and how many were asked for."""
    found = Counter[str](candidate.outcome for candidate in result.candidates)
    words = {"complete": "complete", "stopped": "stopped at a rung", "failed": "failed"}
    ends = ", ".join(f"{found[outcome]} {word}" for outcome, word in words.items() if found[outcome])
    return f"{len(result.candidates)} of {result.asked} asked for: {ends or 'none finished'}"


def seeds(analysis: Analysis) -> str:
    """How many of the front have several seeds."""
    several = [c for c in analysis.front if len(c.seeds) > 1]
    if not several:
        return "one a candidate"
    numbers = sorted({len(c.seeds) for c in several})
    most = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{len(several)} of the {len(analysis.front)} on the front with {most}, the others with one"


def may(analysis: Analysis) -> Iterator[str]:
    """What the figures support."""
    result = analysis.result
    last = result.rungs[-1].label if result.rungs else "the last rung"
    if result.complete:
        n = len(result.references)
        compared = f"{plural(len(result.complete), 'complete candidate')}" + (
            f" and the {plural(n, 'reference')}" if n else ""
        )
        yield (
            f"The {compared} were trained by one recipe on one data set and scored at the last rung ({last}): there "
            "they can be compared with each other."
        )
    if all(name in COUNTED for c in result.candidates for name in c.cost):
        yield "Costs are counted, not measured: they are exact."
    if any(len(c.seeds) > 1 for c in analysis.front):
        yield "Where an interval is shown, it is the 95 % t-interval of the mean over seeds."


def may_not(analysis: Analysis) -> Iterator[str]:
    """What they do not support."""
    result = analysis.result
    data = re.findall(r"\w+", result.data)
    if "quick" in data:
        yield TOO_SMALL_TO_RANK
    if "synthetic" in data:
        yield "The data is synthetic: an order found here is not an order on COCO or MPII."
    single = sum(len(c.seeds) < 2 for c in analysis.front)
    if single:
        yield (
            f"{single} of the {len(analysis.front)} on the front have one seed. The best of many single scores is "
            "partly luck, and training it again tends to give less."
        )
    elif analysis.front:
        yield "The seed by which a candidate was chosen is one of its seeds, so its mean is still slightly flattered."
    if len(result.rungs) > 1:
        yield "Scores at different rungs are not compared: a candidate that was stopped has none at the last."
    if "random" not in result.sampler.lower():
        yield (
            f"The sampler ({sampler(result)}) chooses by what it has seen, so distributions and importances describe "
            "these candidates, not the space."
        )


def hypervolume(analysis: Analysis) -> str:
    """The reference point, and what the study reached."""
    if not analysis.reference_point or not analysis.growth:
        return "No candidate is complete, so there is no hypervolume."
    names = tuple(o.name for o in analysis.result.objectives)
    at = ", ".join(quantity(n).said(analysis.reference_point[n]) for n in names)
    unit = product(names)
    reached = unit.text(analysis.growth[-1].hypervolume)
    return (
        f"What the front covers, counted from the reference point ({at}): {reached} in {unit.unit}. "
        "By the score that each candidate had when it finished, before it was trained with other seeds."
    )


def verdicts(analysis: Analysis) -> list[tuple[Candidate, str]]:
    """For each reference, whether any candidate beats it in every objective, and how sure that is."""
    return [(reference, _verdict(analysis, reference)) for reference in analysis.result.references]


def _verdict(analysis: Analysis, reference: Candidate) -> str:
    result = analysis.result
    sought = "(" + ", ".join(quantity(o.name).label for o in result.objectives) + ")"
    if not all_known([reference], result.objectives):
        return f"It has no score at the last rung, so nothing can be said of it on {sought}."
    pairs = [pair for pair in analysis.dominations if pair.loser is reference]
    if not pairs:
        worse = dominations([reference], result.complete, result.objectives)
        also = f" It beats {plural(len(worse), 'complete candidate')} of {len(result.complete)}." if worse else ""
        return f"No candidate on the front beats it on {sought}.{also}"
    return " ".join(
        _ended(pairs, certainty, sought) for certainty in ENDINGS if any(p.certainty == certainty for p in pairs)
    )


ENDINGS: dict[Certainty, tuple[str, str, str]] = {
    "clear": ("dominates", "dominate", "with 95 % intervals that lie apart."),
    "overlapping": (
        "has better means",
        "have better means",
        "but the 95 % intervals overlap, which shows no difference.",
    ),
    "unknown": (
        "has better means",
        "have better means",
        "but on one seed on one side at least: that shows nothing yet.",
    ),
}


def _ended(pairs: list[Domination], certainty: Certainty, sought: str) -> str:
    """`Numbers 4 and 7 dominate it on (...), with intervals that lie apart.`"""
    numbers = [str(pair.winner.number) for pair in pairs if pair.certainty == certainty]
    one, several, ending = ENDINGS[certainty]
    who, verb = (f"Number {numbers[0]}", one) if len(numbers) == 1 else (f"Numbers {sentence_list(numbers)}", several)
    return f"{who} {verb} {'it ' if certainty == 'clear' else ''}on {sought}, {ending}"


def described(candidate: Candidate, analysis: Analysis) -> str:
    """A candidate in a few words, as a screen reader says it."""
    who = candidate.name if candidate in analysis.result.references else f"Candidate {candidate.number}"
    names = (o.name for o in analysis.result.objectives)
    return f"{who}: " + ", ".join(
        f"{quantity(n).label} {quantity(n).with_error(known(candidate, n))}" for n in names if known(candidate, n)
    )


def lead(analysis: Analysis) -> str:
    """The study in a sentence or two."""
    result = analysis.result
    sought = [Objective(analysis.score, "maximize")]
    scored = all_known(analysis.front, sought)
    if not scored:
        return f"{counted(result)}. None reached the last rung, so there is no front."
    best = max(scored, key=lambda candidate: vector(candidate, sought))
    score, cost = quantity(analysis.score), quantity(analysis.cost)
    n = len(analysis.front)
    return (
        f"{plural(n, 'candidate')} of {len(result.complete)} complete ones {'is' if n == 1 else 'are'} on the front. "
        f"The best by {score.label} is number {best.number}: {score.with_error(known(best, analysis.score))} at "
        f"{cost.said(best.cost.get(analysis.cost))}."
    )


def footer(analysis: Analysis) -> str:
    """Where the same figures stand as files."""
    return (
        "The same figures lie beside this page: candidates.csv and front.csv, and each picture as PNG and SVG. Made by "
        f"archlab {analysis.result.versions.get('archlab', '')}."
    )


def distribution(analysis: Analysis) -> Iterator[str]:
    """How to read the distribution."""
    yield (
        "Each line is the share of candidates that scored at least so much at a rung; of two lines at one rung the one "
        "further to the right is the better set. Bands are bootstrap 95 % intervals, point by point."
    )
    if len(analysis.rungs) > 1:
        yield (
            "Rungs differ in training and input, so lines of different rungs are not compared; beyond the first they "
            "hold survivors only."
        )
    if "random" not in analysis.result.sampler.lower():
        yield f"The sampler ({sampler(analysis.result)}) sought good ones: these are better than the space's average."


def importance(analysis: Analysis) -> Iterator[str]:
    """How to read importances."""
    yield (
        "Main effects only: what parameters do together is not in it. Where a sampler has learnt, parameters come "
        "together, and one can show the effect of another. An interval that reaches 0 shows no effect."
    )
    if len(analysis.rungs) > 1:
        yield "At the last rung only survivors are left, which hides effects by which others were stopped."


def too_few(analysis: Analysis) -> str:
    return f"Fewer than {LEAST} candidates were scored at any rung: too few to say which parameters matter."
