"""The sentences on a campaign's page: its progress, what its data can judge, and how to run what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.ablation.campaign import cost
from archlab.ablation.campaign.verdicts import VERDICTS, Judged
from archlab.ablation.captions import TOO_SMALL_TO_RANK
from archlab.ablation.estimate import Rate, rates
from archlab.ablation.rows import Setting
from archlab.ablation.study import Campaign, networks
from archlab.report.tables import plural, sentence_list
from archlab.training.runs import Record

OVER_SEEDS = (
    "The intervals are Student's t over seeds, of the mean or of the differences between runs of one seed (which share "
    "the order of people and the augmentation). They measure the effect of initialisation and order on one fixed set "
    "of people to score, and not the effect of the choice of these people. Each claim has its own 95 % interval, "
    "without a correction for the number of claims: of twenty pairs of equal networks, one is expected to differ."
)
OVER_BOTH = (
    "The intervals are those of a two-way bootstrap: seeds and scored people are resampled independently, the same "
    "people for both networks, so they measure the effect of initialisation and order and of the choice of people. "
    "Differences are between runs of one seed on one model of CPU. Over one seed the interval is over people alone, "
    "and no claim is decided. Two or three seeds measure the spread over seeds poorly: intervals can be too narrow. "
    "The p values of the claims are corrected for their number."
)


def conclusions(study: Campaign, judged: Sequence[Judged]) -> list[str]:
    """Return what the verdicts mean, the limits of the data, and how the intervals were made."""
    methods = [OVER_BOTH] if any(each.people for each in judged) else []
    methods += [OVER_SEEDS] if not judged or any(not each.people for each in judged) else []
    return [*study.limits, *methods]


def status(study: Campaign, judged: Sequence[Judged], wanted: cost.Wanted, records: Sequence[Record]) -> list[str]:
    """Return the progress of the campaign, whether its data can judge, and the verdicts on the claims."""
    runs = (
        f"{len(wanted.runs)} runs ({len(networks(study))} networks, seeds {sentence_list([*map(str, study.seeds)])}, "
        f"recipe `{study.recipe}`)"
    )
    own = [each for each in judged if wanted.fits(each.setting)]
    if own:
        left = len(wanted.left(records))
        done = len(wanted.runs) - left
        lines = [f"**Recorded: {done if left else 'all'} of the campaign's {runs}.**"]
        return lines + [text for each in own for text in _in_short(study, each)]
    needs = " need a GPU" if study.needs_gpu else " are left"
    lines = [f"**The campaign has not been run: all its {runs}{needs}.** No claim of the paper is judged here."]
    if any(each.ranks for each in judged):
        lines.append("The figures below are from other recipes.")
    elif judged:
        lines.append(f"The figures below are from smaller trainings. {TOO_SMALL_TO_RANK}")
    return lines


def _in_short(study: Campaign, judged: Judged) -> list[str]:
    if not judged.ranks:
        return [TOO_SMALL_TO_RANK]
    found = [each.verdict for each in judged.claims]
    tally = ", ".join(f"{found.count(name)} {name}" for name in VERDICTS if name in found)
    lines = [f"**{can_judge(judged)}**", f"Of {plural(len(found), 'claim')} of the paper: {tally}."]
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
        "Runs go seed by seed, so a campaign that is cut short compares all networks over fewer seeds. Within a seed "
        "the reference and the controls come first. The same command resumes after any stop. Each finished run leaves "
        "a record. With `--reuse-records` a recorded run counts as done on any machine that has the same people, by "
        "their fingerprint. `--dry-run` prints what is left, and how long it will take once one run has finished.",
        *_estimate(study, wanted, left, records),
    ]


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
