"""The sentences on a campaign's page: its progress, what its data can judge, and how to run what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archlab.ablation.campaign import cost
from archlab.ablation.campaign.verdicts import VERDICTS, Judged
from archlab.ablation.captions import TOO_SMALL_TO_RANK
from archlab.ablation.estimate import Rate, rates
from archlab.ablation.rows import Setting
from archlab.ablation.study import FIRST_SEEDS, Campaign, networks
from archlab.report.bootstrap import RESAMPLES
from archlab.report.statistics import Interval
from archlab.report.tables import escaped, plural, sentence_list
from archlab.training.runs import Record

OVER_SEEDS = (
    "The intervals are Student's t over seeds, of the mean or of the differences between runs of one seed (which share "
    "the order of people and the augmentation). They measure the effect of initialisation and order on one fixed set "
    "of people to score, and not the effect of the choice of these people. Each claim has its own 95 % interval, "
    "without a correction for the number of claims: of twenty pairs of equal networks, one is expected to differ."
)
PAPER_SAMPLES, PAPER_INPUT = 210 * 150_000, (256, 192)
"""The paper's training on COCO: 210 epochs (released configurations) of 150,000 people (section 4.1)."""


def conclusions(study: Campaign, judged: Sequence[Judged], wanted: cost.Wanted) -> list[str]:
    """Return what the verdicts mean, the limits of the data and the training, and how the intervals were made."""
    own = [each for each in judged if wanted.fits(each.setting)]
    over_seeds = [OVER_SEEDS] if any(not each.people for each in judged) else []
    sizes = [_scale(each, samples) for each in own if (samples := each.setting.budget or wanted.samples)]
    return [*study.limits, *sizes, *(_over_both(each) for each in judged if each.people), *over_seeds]


def _scale(judged: Judged, samples: int) -> str:
    """Return the size of the training against the paper's."""
    setting, (height, width) = judged.setting, judged.setting.input[1:]
    area = PAPER_INPUT[0] * PAPER_INPUT[1] / (height * width)
    larger = "" if area <= 1 else f" and {area:.1f} times the pixels of an input"
    return (
        f"A network saw {samples:,} samples at {height}×{width}, {samples / setting.train_samples:.1f} times each of "
        f"{setting.train_samples:,} {setting.unit}. The paper's training on COCO has {PAPER_SAMPLES / samples:,.0f} "
        f"times as many samples{larger}."
    )


def _over_both(judged: Judged) -> str:
    """Return how the intervals of one setting were made, with the error over seeds that they contain."""
    unit = judged.setting.unit
    text = (
        f"Intervals ({escaped(judged.setting.heading)}): the {judged.people:,} scored {unit} were resampled with "
        f"replacement {RESAMPLES:,} times, the same {unit} for all networks. Differences are between runs of one seed "
        "on one kind of machine, which share the order of samples and the augmentation."
    )
    if judged.error is None:
        return (
            f"{text} No two networks have two seeds in common, so the error over seeds is not known: the intervals are "
            "of these trainings, other seeds may give other signs, and no claim is decided."
        )
    return (
        f"{text} Each resample adds an error over seeds, which was drawn from Student's t. All networks share its "
        f"standard deviation, {judged.error.deviation:.2f} {judged.metric.heading} for one run about its network and "
        f"its seed, estimated with {plural(judged.error.freedom, 'degree')} of freedom."
    )


def status(
    study: Campaign,
    judged: Sequence[Judged],
    budgets: Mapping[Setting, Sequence[Judged]],
    wanted: cost.Wanted,
    records: Sequence[Record],
) -> list[str]:
    """Return the progress of the campaign, whether its data can judge, and the verdicts on the claims.

    budgets: the judgements at each budget, by setting.
    """
    runs = (
        f"{len(wanted.runs)} runs ({len(networks(study))} networks, seeds {sentence_list([*map(str, study.seeds)])}, "
        f"recipe `{study.recipe}`)"
    )
    own = [each for each in judged if wanted.fits(each.setting)]
    if own:
        left = len(wanted.left(records))
        done = len(wanted.runs) - left
        lines = [f"**Recorded: {done if left else 'all'} of the campaign's {runs}.**"]
        return lines + [text for each in own for text in _in_short(study, each, budgets.get(each.setting, ()))]
    needs = " need a GPU" if study.needs_gpu else " are left"
    lines = [f"**The campaign has not been run: all its {runs}{needs}.** No claim of the paper is judged here."]
    if any(each.ranks for each in judged):
        lines.append("The figures below are from other recipes.")
    elif judged:
        lines.append(f"The figures below are from smaller trainings. {TOO_SMALL_TO_RANK}")
    return lines


def _in_short(study: Campaign, judged: Judged, budgets: Sequence[Judged]) -> list[str]:
    if not judged.ranks:
        return [TOO_SMALL_TO_RANK]
    lines = [f"**{can_judge(judged)}**", f"Of {plural(len(judged.claims), 'claim')} of the paper: {_tally(judged)}."]
    measured = [each.difference for each in judged.claims if each.difference]
    if measured and (earlier := [f"at {each.budget:,} samples {_tally(each)}" for each in budgets[:-1]]):
        lines.append(f"The same trainings at smaller budgets: {'; '.join(earlier)}.")
    if measured and judged.people and judged.error is None:
        lines.append(over_people(measured, judged.setting.unit))
    reference = judged.line(study.reference)
    if study.reference_ap and reference.ap:
        low, high = study.reference_ap
        where = "within" if low <= reference.ap.mean <= high else "outside"
        lines.append(
            f"{reference.row.name} has AP {reference.ap.mean:.1f}, {where} the range {low:g} to {high:g} in which the "
            "data is neither too hard nor too easy."
        )
    if judged.setting.val_samples < study.val_people:
        scored = f"Scored on {judged.setting.val_samples:,} people"
        lines.append(f"{scored}, fewer than the {study.val_people:,} that this campaign requires.")
    return lines


def over_people(differences: Sequence[Interval], unit: str) -> str:
    """Return how many differences have intervals over people on one side of zero."""
    above = sum(found.low is not None and found.low > 0 for found in differences)
    below = sum(found.high is not None and found.high < 0 for found in differences)
    return (
        f"Over {unit} alone, the intervals of {above} of {plural(len(differences), 'difference')} are above zero and "
        f"those of {below} below it. These are differences of single trainings, without an error over seeds."
    )


def _tally(judged: Judged) -> str:
    found = [each.verdict for each in judged.claims]
    return ", ".join(f"{found.count(name)} {name}" for name in VERDICTS if name in found)


def can_judge(judged: Judged) -> str:
    """Return whether this data can judge an ablation, as a sentence."""
    if not judged.ranks:
        return "With runs this small the controls are not decided either."
    if judged.can_judge:
        return "This data can judge an ablation: every control is shown."
    failed = [each.control.name for each in judged.controls if each.shown == "not shown"]
    if judged.can_judge is None:
        missing = [each.control.name for each in judged.controls if each.shown != "shown"]
        return f"It is not yet known whether this data can judge an ablation. Not decided: {'; '.join(missing)}."
    return (
        f"This data cannot judge an ablation, because it does not show these controls: {'; '.join(failed)}. "
        "The verdicts on claims have no meaning."
    )


def how_to_run(study: Campaign, wanted: cost.Wanted, records: Sequence[Record]) -> list[str]:
    """Return the command that starts or resumes the campaign, and an estimate of its cost, in Markdown."""
    left = wanted.left(records)
    if not left:
        return []
    seeds = ",".join(map(str, study.seeds))
    data = wanted.recipe.options.data
    folder = "" if data else " --data DATA"
    command = f"archlab ablate {study.name} --recipe {study.recipe} --seeds {seeds}{folder} --reuse-records"
    where = "On a machine with a GPU, in" if study.needs_gpu else "In"
    drawn = f"{data.train:,} images for training and {data.val:,} for scoring, level {data.level}" if data else ""
    return [
        "## What is left to run",
        f"{where} the root folder of the repository:\n\n```\n{command}\n```",
        f"It first generates its data ({drawn})."
        if data
        else f"DATA is a folder of the data set `{wanted.recipe.options.dataset}`.",
        "Runs go seed by seed, so a campaign that is cut short compares all networks over fewer seeds. "
        f"{_first(study)}Within a seed the reference and the controls come first. The same command resumes after any "
        "stop. Each finished run leaves a record. With `--reuse-records` a recorded run counts as done on any machine "
        "that has the same people, by their fingerprint. `--dry-run` prints what is left, and how long it will take "
        "once one run has finished.",
        *_estimate(study, wanted, left, records),
    ]


def _first(study: Campaign) -> str:
    """Return which runs come before those of further rows, empty if there are none."""
    if not study.further.rows:
        return ""
    first = study.seeds[:FIRST_SEEDS]
    own = len(networks(study)) - len(study.further.rows)
    return (
        f"First come the {own * len(first)} runs of {own} networks, the campaign's own rows and its controls, from "
        f"{plural(len(first), 'seed')}, then {plural(len(study.further.rows), 'further network')} from the same, then "
        "all from other seeds. "
    )


def _estimate(
    study: Campaign, wanted: cost.Wanted, left: Sequence[tuple[str, int]], records: Sequence[Record]
) -> list[str]:
    """Return an estimate from the campaign's own finished runs, else from other runs, with a lower bound for a GPU."""
    work = wanted.work(left)
    if work is None:
        return []
    own = [record for record in records if wanted.fits(Setting.of(record))]
    lines = [
        f"Estimated, not measured: {plural(len(left), 'run')} of {wanted.samples:,} samples, "
        f"{_power(work)} activations of the forward pass.",
        *(_at(rate, work) for rate in rates(own) or rates(records)),
    ]
    return ["\n".join(f"- {line}" for line in (*lines, *([_floor(work)] if study.needs_gpu and not own else [])))]


def _at(rate: Rate, work: float) -> str:
    return (
        f"At the rate of {plural(rate.runs, 'finished run')} by the recipe {rate.recipe} on {rate.device} "
        f"({plural(rate.threads, 'thread')} each), {_power(rate.per_second)} per second: "
        f"{_spelt(work / rate.per_second)}, one run after another."
    )


def _floor(work: float) -> str:
    return (
        f"On a GPU that copies {cost.COPIED_BYTES / 1e12:.1f} TB/s, at least {_spelt(cost.traffic_seconds(work))}, "
        f"if a training step moves {cost.STEP_BYTES / 1e9:.0f} GB per image (Lite-HRNet-18, float32, operator by "
        "operator) and other networks in proportion to their activations. This is a lower bound: kernel launches, "
        "loading, scoring and data generation come on top. No run of this campaign has been timed on a GPU."
    )


def _power(value: float) -> str:
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _spelt(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds > 3 * 86400 else f"{seconds / 3600:.1f} hours"
