"""The sentences below a table: what was measured on what, with what and when, and what the figures do not say."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.ablation.rows import COCO, Reported, Setting
from archlab.report.tables import sentence_list
from archlab.training.runs import Record

RANKS_NOTHING = (
    "This scale ranks nothing: on people this easy, and in a training this short, a row shows that its network is "
    "built, trained and scored, not that it is better or worse than another."
)
PUBLISHED = (
    "Published scores are the paper's own, on COCO val and MPII val after its full training; they cannot be compared "
    "with measured ones."
)
NOT_TRAINED = "None of these networks was trained here: there is no record of a finished run."


def costs_caption(printed: int, differ: int) -> str:
    """How costs are counted, and how many of the printed figures follow by rounding."""
    counted = (
        "Multiply-adds in evaluation mode, by fvcore and by the paper's own rules, whose M is 2²⁰. Parameters are for "
        f"{COCO.outputs} heat-maps."
    )
    if not printed:
        return counted
    return (
        f"{counted} Diff.: counted as the paper does, less printed; {printed - differ} of the {printed} printed costs "
        "are the counted ones, rounded."
    )


def scores_caption(rows: Sequence[Reported], setting: Setting) -> tuple[str, ...]:
    """Data, recipe, seeds, devices and dates; which rows are missing; and how little the figures may say."""
    runs = [run for row in rows if setting in row.measured for run in row.measured[setting].runs]
    lines = [data_line(setting, runs), _circumstances(runs)]
    if missing := [row.row.name for row in rows if setting not in row.measured]:
        lines.append(f"Not trained: {sentence_list(missing)}.")
    if ranks_nothing(setting):
        lines.append(RANKS_NOTHING)
    elif len({run.seed for run in runs}) == 1:
        lines.append("One seed shows no spread; small differences may be chance.")
    return tuple(lines)


def ranks_nothing(setting: Setting) -> bool:
    """Whether the data is of the level that is made for a quick look."""
    return "quick" in setting.data.split()


def data_line(setting: Setting, runs: Sequence[Record]) -> str:
    """The data and the recipe of some runs."""
    height, width = setting.input[1:]
    samples = sorted({run.samples for run in runs})
    trained = f"{samples[0]:,} training samples" + (" each" if len(samples) == 1 else f" to {samples[-1]:,}")
    return (
        f"Data: {setting.data}, {setting.train_people:,} people to train on and {setting.val_people:,} to score "
        f"(fingerprint {setting.data_fingerprint[:8]}). Recipe: {setting.recipe} ({setting.recipe_hash[:8]}), "
        f"input {height}×{width}, {trained}."
    )


def _circumstances(runs: Sequence[Record]) -> str:
    seeds = sorted({run.seed for run in runs})
    if len(seeds) == 1:
        seeded = f"Seed: {seeds[0]}"
    else:
        seeded = f"Seeds: {', '.join(map(str, seeds))}; mean ± sample standard deviation over them"
    return f"{seeded}. {device_line(runs)} {_measures(runs)}; all scores are 0 to 100."


def _measures(runs: Sequence[Record]) -> str:
    """What the scores are that say too little by their names: of COCO's layout, or of MPII's, which has no AP."""
    scored = [scores for run in runs for scores in run.scores.values()]
    if any("AP" in scores for scores in scored):
        return "OKS is the mean over people, PCK the share of joints within 0.1 of the box's longer side"
    square = "PCK is the share of joints within 0.1 of the side of the square that MPII's scale spans"
    if not any("mean_weighted" in scores for scores in scored):
        return square
    return (
        "PCKh is the share of joints within 0.5 or 0.1 of the head's size, without pelvis and thorax, "
        f"each joint weighed by how often it is labelled. {square}"
    )


def device_line(runs: Sequence[Record]) -> str:
    """With what, how long and when some runs were made."""
    devices = sentence_list(sorted({f"{run.device} ({plural(run.threads, 'thread')})" for run in runs}))
    took = " to ".join(dict.fromkeys(f"{f(run.seconds for run in runs):.0f} s" for f in (min, max)))
    return f"Device: {devices}, {took} a run. Date: {_span(sorted(run.date for run in runs))}."


def _span(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
