"""Reports: from studies and run records alone to tables and plots; torch is never imported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from archlab.ablation import measured as ablation
from archlab.ablation import rows, scatter, structure, units
from archlab.ablation import study as studies
from archlab.ablation.campaign import page as campaign_page
from archlab.ablation.records import read_records
from archlab.ablation.study import Ablation, Campaign, Scatter, Structure, Study
from archlab.core.files import write_text
from archlab.report import tables
from archlab.training.runs import Record


def report(study: Study | str | Path, records: Path, out: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """Write a study's tables (`NAME.md`, `.csv`, `.tex`) or plot (`NAME.png`, `.svg`) to `out`; the files written.

    A campaign is a page (`NAME.md`) and its figures (`NAME.csv`).

    `records` is the folder of run records; without it, or without a run that fits, measured places stay empty.
    `plugin` names modules with blocks that the study's networks may use.
    """
    if isinstance(study, str | Path):
        study = studies.load(study)
    known = read_records(records)
    if isinstance(study, Scatter):
        return plot(study, known, out, plugin=plugin)
    if isinstance(study, Campaign):
        return campaign_page.write(study, known, out, plugin=plugin)
    return write(document(study, known, plugin=plugin), out)


def document(
    study: Ablation | Campaign | Structure | studies.UnitComplexity,
    records: Sequence[Record],
    *,
    plugin: Sequence[str] = (),
) -> tables.Document:
    """The tables of a study."""
    if isinstance(study, Structure):
        return structure.document(study, plugin)
    if isinstance(study, Campaign):
        return campaign_page.document(study, records, plugin=plugin)
    if isinstance(study, studies.UnitComplexity):
        return units.document(study, plugin)
    return ablation.document(study, rows.gather(study.rows, records, partial(rows.count, plugin=plugin)))


def write(made: tables.Document, out: Path) -> list[Path]:
    """A document in its three forms."""
    forms = {".md": tables.markdown, ".csv": tables.comma_separated, ".tex": tables.latex}
    paths = [out / f"{made.name}{ending}" for ending in forms]
    for path, form in zip(paths, forms.values(), strict=True):
        write_text(path, form(made))
    return paths


def plot(study: Scatter, records: Sequence[Record], out: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """The figure of a study, with what was measured of the studies that it names."""
    from archlab.report import scatter_plot, style

    trained = studies.rows_to_train(studies.load_ablation(name) for name in study.measured)
    paths = [out / f"{study.name}.png", out / f"{study.name}.svg"]
    found = rows.gather(trained, records, partial(rows.count, plugin=plugin))
    style.save(scatter_plot.figure(scatter.panels(study, found)), paths)
    return paths
