"""The tables of a campaign in one setting: scores, controls, claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archlab.ablation.campaign.text import can_judge
from archlab.ablation.campaign.verdicts import Judged, JudgedClaim, JudgedControl, Line
from archlab.ablation.captions import TOO_SMALL_TO_RANK, data_line, device_line
from archlab.ablation.rows import Reported, runs_in
from archlab.ablation.study import Campaign
from archlab.report.machines import mixture
from archlab.report.statistics import Interval
from archlab.report.tables import EMPTY, Cell, Column, Table, number, plural, signed


def tables(study: Campaign, judged: Judged, rows: Sequence[Reported]) -> list[Table]:
    """Return the tables of scores, controls and claims in one setting; no table of controls or claims without any."""
    where, shown = judged.setting.heading, _begun(study, judged)
    made = [_scores(study, shown, rows, where)]
    made += [_controls(study, shown, where)] if judged.controls else []
    return made + ([_claims(study, shown, where)] if judged.claims else [])


def _begun(study: Campaign, judged: Judged) -> Judged:
    """Return the judgement without further rows and claims that are not measured, which a sentence names."""
    further = study.further
    lines = tuple(line for line in judged.lines if line.by_seed or line.row not in further.rows)
    claims = tuple(each for each in judged.claims if each.difference or each.claim not in further.claims)
    return replace(judged, lines=lines, claims=claims)


def _scores(study: Campaign, judged: Judged, rows: Sequence[Reported], where: str) -> Table:
    reference = judged.line(study.reference)
    against, title = f"Minus {reference.row.name}, by seed", judged.metric.heading
    columns = [
        Column("Model", align="l"),
        Column("seeds", align="l"),
        Column("mean", title),
        Column("95 % interval", title),
        Column("mean", against),
        Column("95 % interval", against),
        Column("AP", "Published, COCO val"),
        Column("minus reference", "Published, COCO val"),
    ]
    both = any(line.detector and line.detector != line.ap for line in judged.lines)
    if judged.metric.key != "AP":
        columns.insert(6, Column("mean", "AP"))
    if both:
        columns.insert(4, Column("mean", "AP, detector boxes"))
    body = []
    for line in judged.lines:
        cells = _score_cells(line, reference)
        if judged.metric.key != "AP":
            cells.insert(6, number(line.ap.mean if line.ap else None, 1))
        if both:
            cells.insert(4, number(line.detector.mean if line.detector else None, 1))
        body.append(tuple(map(Cell, cells)))
    caption = (*_scores_caption(judged, rows), *_waiting(study, judged), _order_text(judged))
    return Table(f"Scores: {where}", tuple(columns), tuple(body), caption)


def _scores_caption(judged: Judged, rows: Sequence[Reported]) -> list[str]:
    """Return boxes, data, recipe, seeds and machines, the score of the mean pose, and the networks that are missing."""
    setting = judged.setting
    runs = runs_in(rows, setting)
    seeds = _listed(sorted({run.seed for run in runs}))
    key = judged.metric.key
    guess = next((run.baseline["mean_pose"].get(key) for run in runs if run.baseline.get("mean_pose")), None)
    floor = "" if guess is None else f" The mean pose of the training people, without a network: {guess:.1f}."
    lines = [f"{judged.metric.title}, 0 to 100, in {judged.view.title}.{floor} {data_line(setting, runs)}"]
    lines.append(f"{'Seeds' if ',' in seeds else 'Seed'}: {seeds}. {device_line(runs)}")
    lines += mixture(runs)
    if len({run.samples for run in runs}) > 1:
        lines.append("The runs differ in their number of samples, so differences are not due to the networks alone.")
    if missing := [line.row.name for line in judged.lines if not line.by_seed]:
        lines.append(f"Not measured: {'; '.join(missing)}.")
    return lines + ([] if judged.ranks else [TOO_SMALL_TO_RANK])


def _waiting(study: Campaign, judged: Judged) -> list[str]:
    """Return the further networks and claims that are not measured, and so not in the tables, in a sentence."""
    measured = [line.row for line in judged.lines]
    rows = [row.name for row in study.further.rows if row not in measured]
    claims = len(study.all_claims) - len(judged.claims)
    if not rows and not claims:
        return []
    about = f", and {plural(claims, 'claim')} about further networks" if claims else ""
    return [f"Not in these tables until measured: {'; '.join(rows) or 'no network'}{about}."]


def _score_cells(line: Line, reference: Line) -> list[str]:
    published = line.row.published.ap
    base = reference.row.published.ap
    itself = line.row.spec == reference.row.spec
    return [
        line.row.name,
        _listed([*line.by_seed]) or EMPTY,
        number(line.score.mean if line.score else None, 1),
        _bounds(line.score),
        "reference" if itself else _signed(line.difference),
        EMPTY if itself else _bounds(line.difference, signs=True),
        number(published, 1),
        EMPTY if itself or published is None or base is None else signed(published - base, 1),
    ]


def _order_text(judged: Judged) -> str:
    if judged.order is None:
        return "Order: not measured; this needs two rows that share a seed."
    found = judged.order
    chance = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    text = (
        f"Order of the {found.n} measured rows by mean {judged.metric.heading} against the paper's, by AP: Kendall's "
        f"tau-b {signed(found.tau, 2)}{_interval_of_tau(judged)}, two-sided permutation {chance} (how often random "
        "orders give a tau as far from 0)."
    )
    return text if judged.ranks else f"{text} With runs this small it shows only that it can be computed."


def _interval_of_tau(judged: Judged) -> str:
    found = judged.agreement
    return f" ({signed(found.low, 2)} to {signed(found.high, 2)} over seeds and {judged.setting.unit})" if found else ""


def _controls(study: Campaign, judged: Judged, where: str) -> Table:
    columns = (
        Column("Control", align="l"),
        Column(f"must be, {judged.metric.heading}", align="l"),
        Column("measured difference"),
        Column("95 % interval"),
        Column("seeds"),
        Column("shown", align="l"),
    )
    body = tuple(tuple(map(Cell, _control_cells(each))) for each in judged.controls)
    name = judged.line(study.reference).row.name
    caption = (
        f"Differences from {name}, by seed. A control is shown if the mean reaches the margin and the interval "
        "excludes zero. Data that does not show the controls cannot judge an ablation.",
        can_judge(judged),
    )
    return Table(f"Controls: {where}", columns, body, caption)


def _control_cells(each: JudgedControl) -> list[str]:
    return [
        each.control.name,
        f"at least {each.control.at_least:g} {each.control.side}",
        _signed(each.difference),
        _bounds(each.difference, signs=True),
        str(each.difference.n) if each.difference else EMPTY,
        each.shown,
    ]


def _claims(study: Campaign, judged: Judged, where: str) -> Table:
    title = judged.metric.heading
    columns = [
        Column("Claim of the paper", align="l"),
        Column("where", align="l"),
        Column("better − worse", align="l"),
        Column("printed, AP"),
        Column(f"measured, {title}"),
        Column("95 % interval"),
        Column("p"),
        Column("seeds"),
        Column("verdict", align="l"),
    ]
    body = [_claim_cells(each) for each in judged.claims]
    if title != "AP":
        columns.insert(4, Column("measured, AP"))
        for cells, each in zip(body, judged.claims, strict=True):
            cells.insert(4, _signed(each.ap))
    caption = [
        f"Held: the whole interval is above zero{_also(judged)}, whether or not the difference is as large as printed. "
        f"Not held: the whole interval is below zero{_also(judged)}. Undecided: everything else, and differences "
        "without an error over seeds.",
    ]
    if judged.people:
        count = plural(len(study.all_claims), "claim")
        caption.append(f"p: two-sided, corrected for {count} by Holm's method. A claim that is not measured counts.")
    near = {each.claim.within for each in judged.claims if each.claim.within is not None}
    limit = "the paper gives no limit"
    caption += [f"Comparable (≈): a difference of at most {points:g} {title}; {limit}." for points in near]
    caption += [] if judged.ranks else ["With runs this small no claim is decided, whatever the differences."]
    return Table(f"Claims: {where}", tuple(columns), tuple(tuple(map(Cell, cells)) for cells in body), tuple(caption))


def _also(judged: Judged) -> str:
    return ", and p is below 0.05" if judged.people else ""


def _claim_cells(each: JudgedClaim) -> list[str]:
    sign = "≈" if each.claim.within is not None else "−"
    return [
        f"“{each.claim.sentence}”",
        each.claim.place,
        f"{each.better.name} {sign} {each.worse.name}",
        _printed(each),
        _signed(each.difference),
        _bounds(each.difference, signs=True),
        EMPTY if each.p is None else "< 0.001" if each.p < 0.001 else f"{each.p:.3f}",
        str(each.difference.n) if each.difference else EMPTY,
        each.verdict,
    ]


def _printed(each: JudgedClaim) -> str:
    if each.printed is None:
        return EMPTY
    return signed(each.printed, 1) + ("" if each.claim.pckh is None else " PCKh")


def _signed(found: Interval | None) -> str:
    return signed(found.mean, 1) if found else EMPTY


def _bounds(found: Interval | None, *, signs: bool = False) -> str:
    if found is None or found.low is None or found.high is None:
        return EMPTY
    low, high = (
        (signed(b, 1) for b in (found.low, found.high)) if signs else (f"{b:.1f}" for b in (found.low, found.high))
    )
    return f"{low} to {high}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def budget_tables(judged: Sequence[Judged]) -> list[Table]:
    """Return the measured controls and claims at each budget: the difference, its interval and the verdict.

    judged: one for each budget.
    """
    found = [each for each in zip(*(each.controls for each in judged), strict=True) if any(c.difference for c in each)]
    controls = [(each[0].control.name, [_at_budget(c.difference, c.shown) for c in each]) for each in found]
    known = [each for each in zip(*(each.claims for each in judged), strict=True) if any(c.difference for c in each)]
    claims = [(_claim_cells(each[0])[2], [_at_budget(c.difference, c.verdict) for c in each]) for each in known]
    named = {"Controls": ("Control", controls), "Claims": ("better − worse", claims)}
    return [_by_budget(judged, title, *rows) for title, rows in named.items() if rows[1]]


def _by_budget(judged: Sequence[Judged], title: str, first: str, rows: Sequence[tuple[str, list[str]]]) -> Table:
    columns = (Column(first, align="l"), *(Column(_at(each), align="l") for each in judged))
    body = tuple(tuple(map(Cell, [name, *cells])) for name, cells in rows)
    caption = (
        f"Differences of {judged[0].metric.heading} with 95 % intervals, judged at each budget by the same rules; no "
        "word: undecided. The budgets share their trainings, so they do not confirm each other.",
    )
    return Table(f"{title} by budget: {judged[0].setting.heading}", columns, body, caption)


def _at_budget(found: Interval | None, verdict: str) -> str:
    """Return a difference, its interval and its verdict, which is left out while nothing is decided."""
    if found is None:
        return EMPTY
    return _with_bounds(found) + ("" if verdict == "undecided" else f" {verdict}")


def _at(judged: Judged) -> str:
    return f"{judged.budget or judged.setting.budget:,} samples"


def _with_bounds(found: Interval) -> str:
    bounds = _bounds(found, signs=True)
    return _signed(found) if bounds == EMPTY else f"{_signed(found)} ({bounds})"
