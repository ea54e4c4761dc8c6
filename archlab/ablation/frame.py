"""Studies for a notebook: their tables as pandas data frames and their plots as Matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.ablation.csv import flat
from archlab.ablation.drawings import Drawing, Predictions
from archlab.ablation.load import load_study
from archlab.ablation.records import of_task, read_records
from archlab.ablation.report import ablation_panels, reported_rows, study_panels, study_tables
from archlab.ablation.rows import count_network, match_runs, settings_of
from archlab.ablation.study import Ablation, Campaign, Scatter, Study, networks
from archlab.core.errors import InputError, Problem
from archlab.training.runs import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

RECORDS = Path("results/records")
"""Where `archlab ablate` keeps the records of finished runs."""
Records = str | Path | Sequence[Record]


def table(
    study: str | Path | Study, *, records: Records = RECORDS, recipe: str = "", plugin: Sequence[str] = ()
) -> DataFrame:
    """Return a study as a data frame: one row per network, at full precision, in the columns of the study's CSV file.

    `published_...` columns hold the paper's figures. Measured scores are the means over seeds in one setting, the one
    with the most training; their columns begin with the view, as in `ground_truth_boxes_AP`, and end with `_sd` for the
    sample standard deviation. Studies that train nothing have one row per printed line.
    records: a folder of run records, or the records. recipe: the recipe of the measured scores.
    plugin: modules with blocks or tasks that the study's networks use.
    """
    from pandas import DataFrame

    loaded, known = load_study(study, plugin), _records(records)
    if isinstance(loaded, Scatter | Drawing | Predictions):
        hint = ": use complexity_accuracy" if isinstance(loaded, Scatter) else ""
        raise InputError(Problem(f"{loaded.name} is a picture{hint}", field="study"))
    if not isinstance(loaded, Ablation | Campaign):
        return DataFrame.from_records(study_tables(loaded, known, plugin=plugin).records)
    if isinstance(loaded, Ablation):
        rows = reported_rows(loaded, known, plugin)
    else:
        known = of_task(known, loaded.recipe, plugin)
        rows = match_runs(networks(loaded), known, partial(count_network, plugin=plugin))
    settings = [setting for setting in settings_of(rows) if recipe in ("", setting.recipe)]
    return DataFrame.from_records(flat(rows, settings[:1], plugin)).set_index("model")


def complexity_accuracy(
    study: str | Path | Scatter | Ablation, *, records: Records = RECORDS, plugin: Sequence[str] = ()
) -> Figure:
    """Return the plot of multiply-adds against scores, with the Pareto front: published and measured panels.

    study: a scatter, or an ablation, whose own rows are shown. records, plugin: as in `table`.
    `archlab.report.style.save` writes the figure.
    """
    from archlab.report.scatter_plot import figure

    loaded, known = load_study(study, plugin), _records(records)
    if isinstance(loaded, Scatter):
        panels = study_panels(loaded, known, plugin)
    elif isinstance(loaded, Ablation):
        panels = ablation_panels(loaded, known, plugin)
    else:
        raise InputError(Problem(f"{loaded.name} is of kind {loaded.kind}; expected a scatter or an ablation", "study"))
    if not panels:
        raise InputError(Problem(f"{loaded.name} has neither published nor measured points", "study"))
    return figure(panels)


def _records(records: Records) -> Sequence[Record]:
    return read_records(Path(records)) if isinstance(records, str | Path) else records
