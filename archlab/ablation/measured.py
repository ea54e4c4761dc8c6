"""Tables of networks trained alike: costs beside the printed costs, scores beside the published scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archlab.ablation.captions import NOT_TRAINED, PUBLISHED, costs_caption, scores_caption
from archlab.ablation.csv import flat
from archlab.ablation.rows import BOXES, COCO, MPII, Measured, Reported, Setting, Spread, rounds_to, settings
from archlab.ablation.study import Ablation, Published, Row
from archlab.counting.count import MEBI
from archlab.report.tables import EMPTY, Cell, Column, Document, Table, number, signed
from archlab.training.runs import Record

COSTS = ("params_m", "coco_mflops", "mpii_mflops")
SCORES = (("ap", "AP"), ("ap50", "AP50"), ("ap75", "AP75"), ("ar", "AR"), ("pckh", "PCKh"))
PCKH_WORDS = {"mean_weighted": "PCKh@0.5", "mean_weighted_threshold_0.10": "PCKh@0.1"}
SHOWN = {
    "ground_truth_boxes": ("AP", "AP50", "AP75", "AR", "mean_oks", *PCKH_WORDS, "pck"),
    "detector_boxes": ("AP", "AP50", "AP75", "AR"),
}
BOX_WORDS = {"ground_truth_boxes": "ground-truth boxes", "detector_boxes": "detector boxes"}
MEASURE_WORDS = {"mean_oks": "OKS", "pck": "PCK", **PCKH_WORDS}


def document(study: Ablation, rows: Sequence[Reported], only: Setting | None = None) -> Document:
    """The table of costs, then a table of scores for each setting that anything was measured in, or for `only` one."""
    shown = [only] if only else settings(rows)
    tables = [scores(rows, setting) for setting in shown] or [published(rows)]
    return Document(study.name, study.title, study.source, (costs(study, rows), *tables), tuple(flat(rows, shown)))


def costs(study: Ablation, rows: Sequence[Reported]) -> Table:
    """Parameters and multiply-adds by both counters, beside the printed ones where there are any."""
    printed = [figure for figure in COSTS if any(_figure(row, figure) is not None for row in rows)]
    groups = {"params_m": ("Parameters, 10⁶", ["counted"])}
    for figure, task in (("coco_mflops", COCO), ("mpii_mflops", MPII)):
        groups[figure] = f"MFLOPs, {task.label}", ["fvcore, 10⁶", "as paper, 2²⁰"]
    columns = [Column("Model", align="l")]
    for figure, (group, names) in groups.items():
        columns += [Column(name, group) for name in (*names, *(["printed", "diff."] if figure in printed else []))]
    body = []
    for row in rows:
        cells = [Cell(row.row.name)]
        for figure, digits in zip(COSTS, (3, 2, 2), strict=True):
            texts, value = _counted(row, figure)
            cells += [*map(Cell, texts), *(_beside(value, row.row, figure, digits) if figure in printed else [])]
        body.append(tuple(cells))
    known = sum(_figure(row, figure) is not None for row in rows for figure in COSTS)
    caption = costs_caption(known, len(disagreements(rows)))
    return Table("Cost", tuple(columns), tuple(body), (caption, *study.notes))


def _figure(row: Reported, figure: str) -> float | None:
    found: float | None = getattr(row.row.published, figure)
    return found


def _counted(row: Reported, figure: str) -> tuple[list[str], float]:
    """Our cells of one cost, and the value that a printed figure is held against."""
    if figure == "params_m":
        return [f"{row.coco.params / 1e6:.3f}"], row.coco.params / 1e6
    count = row.coco if figure == "coco_mflops" else row.mpii
    return [f"{count.fvcore / 1e6:.2f}", f"{count.paper / MEBI:.2f}"], count.paper / MEBI


def _beside(value: float, row: Row, figure: str, digits: int) -> list[Cell]:
    """The printed figure with its remark, and how far the counted value is from it."""
    printed = getattr(row.published, figure)
    if printed is None:
        return [Cell(EMPTY), Cell(EMPTY)]
    return [Cell(f"{printed:.1f}", row.notes.get(figure, "")), Cell(signed(value - printed, digits))]


def disagreements(rows: Iterable[Reported]) -> list[tuple[Row, str]]:
    """Each printed cost that is not our count, rounded: (row, which figure)."""
    found = []
    for row in rows:
        for figure in COSTS:
            printed = _figure(row, figure)
            if printed is not None and not rounds_to(_counted(row, figure)[1], printed):
                found.append((row.row, figure))
    return found


def scores(rows: Sequence[Reported], setting: Setting) -> Table:
    """What was measured in one setting, beside the published scores in columns of their own."""
    boxes = [kind for kind in BOXES if any(_has(row.measured.get(setting), kind) for row in rows)]
    columns = [Column("Model", align="l"), Column("seeds")]
    shown = [(kind, name) for kind in boxes for name in SHOWN[kind] if _known(rows, setting, kind, name)]
    columns += [Column(MEASURE_WORDS.get(name, name), f"Measured, {BOX_WORDS[kind]}") for kind, name in shown]
    body = [
        (Cell(row.row.name), *_measured(row.measured.get(setting), shown), *_published(rows, row.row.published))
        for row in rows
    ]
    body += _mean_pose(rows, setting, shown)
    heading = f"Scores: recipe {setting.recipe}, {setting.data}"
    caption = scores_caption(rows, setting) + ((PUBLISHED,) if _printed_scores(rows) else ())
    return Table(heading, (*columns, *_published_columns(rows)), tuple(body), caption)


def published(rows: Sequence[Reported]) -> Table:
    """The published scores alone, where nothing was measured."""
    body = tuple((Cell(row.row.name), *_published(rows, row.row.published)) for row in rows)
    caption = (NOT_TRAINED, PUBLISHED) if _printed_scores(rows) else (NOT_TRAINED,)
    return Table("Scores", (Column("Model", align="l"), *_published_columns(rows)), body, caption)


def _has(measured: Measured | None, boxes: str) -> bool:
    return measured is not None and any(run.scores.get(boxes) for run in measured.runs)


def _known(rows: Sequence[Reported], setting: Setting, boxes: str, name: str) -> bool:
    """Whether any run here has this score: MPII's have no AP and COCO's no PCKh."""
    found = [run for row in rows if setting in row.measured for run in row.measured[setting].runs]
    return any(name in run.scores.get(boxes, {}) for run in found)


def _printed_scores(rows: Sequence[Reported]) -> list[tuple[str, str]]:
    """The scores that the paper prints of any of the rows, and what they are called."""
    return [(name, word) for name, word in SCORES if any(_figure(row, name) is not None for row in rows)]


def _published_columns(rows: Sequence[Reported]) -> list[Column]:
    found = _printed_scores(rows)
    return [Column(word, "Published, MPII val" if name == "pckh" else "Published, COCO val") for name, word in found]


def _published(rows: Sequence[Reported], figures: Published) -> list[Cell]:
    return [Cell(number(getattr(figures, name), 1)) for name, _ in _printed_scores(rows)]


def _measured(measured: Measured | None, shown: Sequence[tuple[str, str]]) -> list[Cell]:
    """The number of runs and the scores `shown`, each by its boxes and name."""
    if measured is None:
        return [Cell(EMPTY)] * (1 + len(shown))
    found = [spread_text(measured.score(kind, name)) for kind, name in shown]
    return [Cell(str(len(measured.runs))), *map(Cell, found)]


def spread_text(spread: Spread | None) -> str:
    """`63.1`, or `63.1 ± 0.4` over several seeds."""
    if spread is None:
        return EMPTY
    return f"{spread.mean:.1f}" + (f" ± {spread.deviation:.1f}" if spread.deviation is not None else "")


def _mean_pose(rows: Sequence[Reported], setting: Setting, shown: Sequence[tuple[str, str]]) -> list[tuple[Cell, ...]]:
    """A last row for the guess that uses no network: the training set's mean pose in every ground-truth box."""
    guesses = [run.baseline["mean_pose"] for row in rows if setting in row.measured
               for run in row.measured[setting].runs if run.baseline.get("mean_pose")]  # fmt: skip
    if not guesses:
        return []
    found = [number(guesses[0].get(name), 1) if kind == "ground_truth_boxes" else EMPTY for kind, name in shown]
    return [
        (Cell("Mean pose, no network"), Cell(EMPTY), *map(Cell, found), *[Cell(EMPTY)] * len(_printed_scores(rows)))
    ]


def summary(run: Record) -> str:
    """The scores and the time of a finished run on one line."""
    found = run.scores.get("ground_truth_boxes") or run.scores.get("detector_boxes") or {}
    names = [name for name in ("AP", "mean_oks", "mean_weighted", "pck") if name in found]
    parts = [f"{MEASURE_WORDS.get(name, name)} {number(found[name], 1)}" for name in names]
    return ", ".join((*parts, f"{run.seconds:.0f} s"))
