"""Reports: tables and plots from studies and run records alone. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from archlab import load
from archlab.ablation import discrepancies, rows, scatter, structure, units
from archlab.ablation.campaign import page
from archlab.ablation.counted_systems import counted_systems
from archlab.ablation.drawings import Drawing, Predictions
from archlab.ablation.load import distinct_rows, load_study, load_trainable
from archlab.ablation.measured import ablation_tables
from archlab.ablation.predictions import Drawn, write_predictions
from archlab.ablation.records import check_records, of_task, read_records, task_of
from archlab.ablation.study import Ablation, Campaign, Scatter, Structure, Study, UnitComplexity
from archlab.ablation.systems import Discrepancies, Systems
from archlab.ablation.systems_table import systems_tables
from archlab.ablation.timed import Timing
from archlab.ablation.timed_tables import timed_ablation, timed_systems
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_bytes, write_text
from archlab.network.graph import assemble
from archlab.report import tables
from archlab.report.pareto import Panel
from archlab.training.runs import Record


def write_report(
    study: Study | str | Path,
    records: Path,
    out: Path,
    *,
    plugin: Sequence[str] = (),
    allow_dirty: bool = False,
    drawn: Drawn | None = None,
    timing: Timing | None = None,
) -> list[Path]:
    """Write a study's report to the folder `out` and return the files.

    Tables are `NAME.md`, `.csv` and `.tex`, a plot or a drawing is `NAME.png` and `.svg`, drawn predictions are
    `NAME.png`, a campaign or a page of discrepancies is `NAME.md` with its figures (`NAME.csv`).
    records: the folder of run records. Without it, or without a run of a network, its measured scores stay empty.
    plugin: modules with blocks or tasks that the study's networks use.
    allow_dirty: accept records of uncommitted changes even if `out` is under version control.
    drawn: the weights and the pictures of a study of predictions.
    timing: measured time, in columns of tables of costs and as the axis of plots; the files are `NAME_latency`.
    """
    study = load_study(study, plugin)
    if timing and not isinstance(study, Ablation | Scatter | Systems):
        raise InputError(Problem(f"{study.name} is of kind {study.kind}, which shows no costs by time", "--cost"))
    known = read_records(records)
    if not allow_dirty and isinstance(study, Ablation | Campaign | Scatter | Systems):
        check_records(known, out)
    if isinstance(study, Scatter):
        return write_plot(study, known, out, plugin=plugin, timing=timing)
    if isinstance(study, Drawing):
        return write_drawing(study, out, plugin=plugin)
    if isinstance(study, Predictions):
        return write_predictions(study, drawn or Drawn(), out, plugin=plugin, allow_dirty=allow_dirty)
    if isinstance(study, Campaign):
        return page.write_page(study, known, out, plugin=plugin)
    forms = (".md", ".csv") if isinstance(study, Discrepancies) else tuple(FORMS)
    return write_tables(study_tables(study, known, plugin=plugin, timing=timing), out, forms)


def study_tables(
    study: Ablation | Campaign | Discrepancies | Structure | Systems | UnitComplexity,
    records: Sequence[Record],
    *,
    plugin: Sequence[str] = (),
    timing: Timing | None = None,
) -> tables.TableSet:
    """Return the tables of a study. timing: as in `write_report`."""
    if isinstance(study, Structure):
        return structure.structure_tables(study, plugin)
    if isinstance(study, Campaign):
        return page.campaign_tables(study, records, plugin=plugin)
    if isinstance(study, UnitComplexity):
        return units.unit_tables(study, plugin)
    if isinstance(study, Discrepancies):
        return discrepancies.discrepancy_tables(study, plugin)
    if isinstance(study, Systems):
        systems = counted_systems(study, records, plugin)
        made = systems_tables(study, systems, plugin)
        return timed_systems(study, systems, made, timing) if timing else made
    found = reported_rows(study, records, plugin)
    made = ablation_tables(study, found, plugin)
    return timed_ablation(found, made, timing) if timing else made


def reported_rows(study: Ablation, records: Sequence[Record], plugin: Sequence[str] = ()) -> list[rows.Reported]:
    """Return the rows of an ablation, counted, with their runs."""
    counter = partial(rows.count_network, plugin=plugin)
    task = task_of(study.recipe, plugin)
    return rows.match_runs(study.rows, records, counter, counted_at=study.counted_at, task=task)


FORMS = {".md": tables.markdown, ".csv": tables.comma_separated, ".tex": tables.latex}


def write_tables(made: tables.TableSet, out: Path, forms: Sequence[str] = tuple(FORMS)) -> list[Path]:
    """Write tables in some of their three forms and return the files."""
    paths = [out / f"{made.name}{ending}" for ending in forms]
    for path, form in zip(paths, forms, strict=True):
        write_text(path, FORMS[form](made))
    return paths


def study_panels(
    study: Scatter, records: Sequence[Record], plugin: Sequence[str] = (), timing: Timing | None = None
) -> list[Panel]:
    """Return the panels of a scatter, with the measured points of the studies that it names."""
    counter = partial(rows.count_network, plugin=plugin)
    found: dict[tuple[str, str], rows.Reported] = {}
    for each in (load_trainable(name, plugin) for name in study.measured):
        known = of_task(records, each.recipe, plugin) if isinstance(each, Systems) else records
        new = [row for row in distinct_rows([each]) if row.network not in found]
        made = rows.of_one_task(rows.measured_rows(new, known, counter), task_of(each.recipe, plugin))
        found |= {row.row.network: row for row in made}
    quoted = []
    for panel in study.panels:
        systems = [each for name in panel.systems for each in counted_systems(_systems(name, plugin), (), plugin)]
        quoted.append(scatter.published_panel(panel, systems))
    return scatter.panels(study, [*found.values()], plugin, quoted, timing)


def _systems(name: str, plugin: Sequence[str]) -> Systems:
    loaded = load_study(name, plugin)
    if not isinstance(loaded, Systems):
        raise InputError(Problem(f"{name} is of kind {loaded.kind}; expected systems", field="panels.systems"))
    return loaded


def ablation_panels(study: Ablation, records: Sequence[Record], plugin: Sequence[str] = ()) -> list[Panel]:
    """Return the panels of an ablation's own rows."""
    return scatter.panels(study, reported_rows(study, records, plugin), plugin)


def write_plot(
    study: Scatter,
    records: Sequence[Record],
    out: Path,
    *,
    plugin: Sequence[str] = (),
    timing: Timing | None = None,
) -> list[Path]:
    """Write the figure of a scatter as PNG and SVG and return the files. Raises InputError if it has no point."""
    from archlab.report import scatter_plot, style

    panels = study_panels(study, records, plugin, timing)
    if not panels:
        raise InputError(Problem("has no point to draw: no row is published or measured", "rows", study.name))
    name = f"{study.name}_latency" if timing else study.name
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    style.save(scatter_plot.figure(panels), paths)
    return paths


def write_drawing(study: Drawing, out: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """Write a drawing as SVG and PNG and return the files."""
    from archlab.report.drawing import draw_parts, kinds
    from archlab.report.drawing.png import as_png

    graphs = [assemble(load(part.spec, plugin=plugin, **part.fields)) for part in study.parts]
    wrong = [each for part, graph in zip(study.parts, graphs, strict=True) for each in part.unknown(kinds(graph))]
    if wrong:
        raise InputError(wrong)
    chosen = [[str(block.value) for block in part.blocks] for part in study.parts]
    drawn = draw_parts([*zip(graphs, chosen, strict=True)], study.title)
    paths = [out / f"{study.name}.png", out / f"{study.name}.svg"]
    write_bytes(paths[0], as_png(drawn))
    write_text(paths[1], drawn)
    return paths
