"""What the page of a campaign says in words: how far it is, what its data can judge, how what is missing is run."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.ablation.campaign import cost
from archlab.ablation.campaign.verdicts import VERDICTS, Judged
from archlab.ablation.captions import RANKS_NOTHING, plural
from archlab.ablation.rows import Setting
from archlab.ablation.study import Campaign, networks
from archlab.report.tables import sentence_list
from archlab.training.runs import Record

CONCLUSIONS = (
    "A claim that held says that on drawn people, after equal and short trainings, one network located joints better "
    "than the other by more than the spread of seeds explains. That is evidence for the mechanism that the paper "
    "gives, at this scale; it is no reproduction of the paper's accuracies. A claim that did not hold is evidence "
    "against it here, and does not refute it on photographs. Undecided means that these seeds cannot tell, and not "
    "that the two networks are equal.",
    "Synthetic people have the poses, occlusions, textures and backgrounds that a programme draws, and fewer of them: "
    "what a network gains from the variety of photographs, or loses to it, is not seen. The training is a small share "
    "of the paper's 210 epochs of COCO, which favours networks that learn fast. Measured AP therefore stands beside "
    "published AP for the order and the sign of differences, never for the level or their size.",
    "The intervals are Student's t over seeds, of the mean or of the differences between runs of one seed (which share "
    "the order of people and the draws of augmentation). They say how much initialisation and order matter, on one "
    "fixed set of people to score, and not how much the choice of these people matters: that would take a bootstrap "
    "over people, and the records hold no score by person. Each claim has its own 95 %; there is no correction for "
    "their number, so that of twenty pairs of equal networks one would seem to differ.",
)


def status(study: Campaign, judged: Sequence[Judged], wanted: cost.Wanted, records: Sequence[Record]) -> list[str]:
    """How far the campaign is, whether its data can judge, and what became of the claims."""
    all_of_it = (
        f"{len(wanted.runs)} runs ({len(networks(study))} networks, seeds {sentence_list([*map(str, study.seeds)])}, "
        f"recipe `{study.recipe}`)"
    )
    own = [each for each in judged if wanted.fits(each.setting)]
    if own:
        left = len(wanted.left(records))
        done = len(wanted.runs) - left
        lines = [f"**{done if left else 'All'} of the campaign's {all_of_it} are recorded.**"]
        return lines + [text for each in own for text in _in_short(study, each)]
    lines = [
        f"**The campaign has not been run: all its {all_of_it} wait for a GPU.** No claim of the paper is judged here."
    ]
    if any(each.ranks for each in judged):
        lines.append("The figures below are of other recipes.")
    elif judged:
        lines.append(f"The figures below are of a smaller training, on a CPU's scale. {RANKS_NOTHING}")
    return lines


def _in_short(study: Campaign, judged: Judged) -> list[str]:
    if not judged.ranks:
        return [RANKS_NOTHING]
    found = [each.verdict for each in judged.claims]
    tally = ", ".join(f"{found.count(name)} {name}" for name in VERDICTS if name in found)
    lines = [f"**{can_judge(judged)}**", f"Of {plural(len(found), 'claim')} of the paper: {tally}."]
    reference = judged.line(study.reference)
    if study.reference_ap and reference.ap:
        low, high = study.reference_ap
        where = "within" if low <= reference.ap.mean <= high else "outside"
        lines.append(
            f"{reference.row.name} has AP {reference.ap.mean:.1f}, {where} the {low:g} to {high:g} at which the data "
            "is taken to be neither too hard nor too easy."
        )
    if judged.setting.val_people < study.val_people:
        scored = f"Scored on {judged.setting.val_people:,} people"
        lines.append(f"{scored}, fewer than the {study.val_people:,} that this campaign asks for.")
    return lines


def can_judge(judged: Judged) -> str:
    """Plainly, whether this data can judge an ablation."""
    if not judged.ranks:
        return "At this scale the controls decide nothing either."
    if judged.can_judge:
        return "This data can judge an ablation: every control shows its margin."
    failed = [each.control.name for each in judged.controls if each.shown == "not shown"]
    if judged.can_judge is None:
        missing = [each.control.name for each in judged.controls if each.shown != "shown"]
        return f"Whether this data can judge an ablation is not known yet. Not decided: {'; '.join(missing)}."
    return (
        "This data cannot judge an ablation, because it does not show what is plainly there: "
        f"{'; '.join(failed)}. The verdicts on claims are arithmetic and no more."
    )


def how(study: Campaign, wanted: cost.Wanted, records: Sequence[Record]) -> list[str]:
    """The command that begins the campaign and goes on with it, and an estimate of its cost, in Markdown."""
    left = wanted.left(records)
    if not left:
        return []
    seeds = ",".join(map(str, study.seeds))
    command = f"archlab ablate {study.name} --recipe {study.recipe} --seeds {seeds} --reuse-records"
    data = wanted.recipe.data
    drawn = f"{data.train:,} images to train on and {data.val:,} to score on, of level {data.level}" if data else ""
    return [
        "## What is left to run",
        f"On a machine with a GPU, from the top of the repository:\n\n```\n{command}\n```",
        *([f"It draws its people first ({drawn})."] if data else []),
        "Runs go seed by seed, so that a campaign that is cut short compares all networks by fewer seeds; within a "
        "seed the reference and the controls go first. The same command goes on after any stop. A finished run is a "
        "record in `reports/records`; with `--reuse-records` a recorded run counts as done on any machine that has the "
        "same people, by their fingerprint. `--dry-run` says what is left, and for how long once one run is finished.",
        *_estimate(wanted, left, records),
    ]


def _estimate(wanted: cost.Wanted, left: Sequence[tuple[str, int]], records: Sequence[Record]) -> list[str]:
    """By the rate of the campaign's own finished runs; without any, by that of other runs, and a floor for a GPU."""
    work = wanted.work(left)
    if work is None:
        return []
    own = [record for record in records if wanted.fits(Setting.of(record))]
    lines = [
        f"Estimated by arithmetic, not measured: {plural(len(left), 'run')} of {wanted.samples:,} samples, "
        f"{_power(work)} activations of the forward pass.",
        *(_at(rate, work) for rate in cost.rates(own) or cost.rates(records)),
    ]
    return ["\n".join(f"- {line}" for line in (*lines, *([] if own else [_floor(work)])))]


def _at(rate: cost.Rate, work: float) -> str:
    return (
        f"At the {_power(rate.a_second)} a second of {plural(rate.runs, 'finished run')} by the recipe {rate.recipe} "
        f"on {rate.device} ({plural(rate.threads, 'thread')} each): {_spelt(work / rate.a_second)}, one run after "
        "another."
    )


def _floor(work: float) -> str:
    return (
        f"On a GPU that copies {cost.COPIED_BYTES / 1e12:.1f} TB/s, no less than {_spelt(cost.traffic_seconds(work))} "
        f"if a training step moves {cost.STEP_BYTES / 1e9:.0f} GB an image (Lite-HRNet-18, float32, operator by "
        "operator) and others move in proportion to their activations. That is a floor: launches, loading, scoring and "
        "the drawing of people come on top. No run of this campaign has been timed on a GPU."
    )


def _power(value: float) -> str:
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _spelt(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds > 3 * 86400 else f"{seconds / 3600:.1f} hours"
