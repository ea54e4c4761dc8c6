"""Tables of systems: each count next to the printed cost with its verdict, then published and measured scores."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from archlab.ablation import measured as trained
from archlab.ablation.counted_systems import CountedSystem
from archlab.ablation.csv import circumstances, score_columns, scores
from archlab.ablation.printed import DIFFERS, PUBLISHED_ONLY, REPRODUCED, Printed, Verdict
from archlab.ablation.rows import Reported, Setting, compared, runs_in
from archlab.ablation.system_claims import claims_table
from archlab.ablation.systems import System, Systems
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet, number, plural, sentence_list
from archlab.training.runs import Record

FROM_SCRATCH = "from scratch"
UNPRINTED = Printed("0", "paper", "2^30")
"""The rule by which multiply-adds are shown where none are printed."""
PUBLISHED = "Published scores are the paper's, after its full training. They cannot be compared with measured ones."


def systems_tables(
    study: Systems, rows: Sequence[CountedSystem], plugin: Sequence[str] = (), only: Sequence[Setting] | None = None
) -> TableSet:
    """Return the tables of costs and published scores, and one of scores for each setting that compares rows.

    only: leave out other settings.
    """
    networks = distinct_networks(rows)
    settings = [each for each in compared(networks) if only is None or each in only]
    tables = [_costs(study, rows), *([_published(study, rows)] if study.scores else [])]
    tables += [claims_table(study, rows)] if study.claims else []
    tables += [_measured(networks, setting, plugin) for setting in settings]
    records = [_record(study, each) | run for each in rows for run in _runs(each, networks, settings, plugin)]
    return TableSet(study.name, study.title, study.source, tuple(tables), tuple(records))


def distinct_networks(rows: Iterable[CountedSystem]) -> list[Reported]:
    """Return the networks, each once: a network at two inputs is trained once."""
    found: dict[tuple[str, str], Reported] = {}
    for each in rows:
        if each.reported:
            found.setdefault(each.reported.row.network, each.reported)
    return list(found.values())


def _costs(study: Systems, rows: Sequence[CountedSystem]) -> Table:
    columns = _heads(study)
    columns += [Column(name, "Parameters, 10⁶") for name in ("counted", "printed", "verdict")]
    columns += [Column("counted as", "Multiply-adds", "l")]
    columns += [Column(name, "Multiply-adds") for name in ("counted", "printed", "verdict")]
    body = [(*_head(study, each.system), *_cost_cells(each)) for each in rows]
    return Table("Cost", tuple(columns), tuple(body), (_caption(rows), *study.notes))


def _heads(study: Systems) -> list[Column]:
    """Return the columns that say what a row is; those of backbones and of pre-training if the paper has them."""
    columns = [Column("System", align="l")]
    columns += [Column("Backbone", align="l")] if _has_backbones(study) else []
    columns.append(Column("Input"))
    return [*columns, Column("Pre-training")] if _has_pretraining(study) else columns


def _has_backbones(study: Systems) -> bool:
    return any(row.backbone for row in study.rows)


def _has_pretraining(study: Systems) -> bool:
    return any(row.pretrained is not None for row in study.rows)


def _head(study: Systems, system: System) -> list[Cell]:
    cells = [Cell(system.name, system.reason)]
    cells += [Cell(system.backbone or EMPTY)] if _has_backbones(study) else []
    cells.append(_input(system))
    return [*cells, Cell(_pretraining(system))] if _has_pretraining(study) else cells


def _input(system: System) -> Cell:
    note = f"Counted at {_size(system.counted)}. {system.counted_reason}" if system.counted else ""
    return Cell(_size(system.input) if system.input else EMPTY, note)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _pretraining(system: System) -> str:
    return {None: EMPTY, True: "ImageNet", False: "none"}[system.pretrained]


def _cost_cells(each: CountedSystem) -> list[Cell]:
    params, flops = each.system.params, each.system.flops
    rule = (flops or UNPRINTED).rule if each.count else EMPTY
    return [*_judged(each, params, Printed("0")), Cell(rule), *_judged(each, flops, UNPRINTED)]


def _judged(each: CountedSystem, printed: Printed | None, rule: Printed) -> list[Cell]:
    """Return our count in the unit of the print, the print, and the verdict with its reason.

    rule: the rule of our count if there is no print.
    """
    ours = number(each.value(printed or rule), 3)
    if printed is None:
        return [Cell(ours), Cell(EMPTY), Cell(EMPTY if each.count else PUBLISHED_ONLY)]
    note = "With the auxiliary outputs of training." if printed.counter == "training_params" else ""
    return [Cell(ours, note), Cell(printed.printed), Cell(each.verdict(printed), printed.reason)]


def _caption(rows: Sequence[CountedSystem]) -> str:
    """Return how costs are counted and judged, with the number of each verdict."""
    verdicts = Tally(each.verdict(cost) for each in rows for cost in each.system.costs.values())
    words: dict[Verdict, str] = {REPRODUCED: "are reproduced", DIFFERS: "differ", PUBLISHED_ONLY: "are published only"}
    counts = sentence_list([f"{verdicts[name]} {word}" for name, word in words.items()])
    return (
        "Counted as: the counter, the unit, and whether the print truncates. Counters: the paper's, fvcore's, and the "
        "summary of HRNet's code (convolutions alone, transposed ones at their outputs). Reproduced: our count, "
        "rounded or truncated to the printed decimals, is the printed figure. "
        f"Of {plural(verdicts.total(), 'printed cost')} {counts}."
    )


def _published(study: Systems, rows: Sequence[CountedSystem]) -> Table:
    columns = _heads(study)
    columns += [Column(heading, "Published") for heading in study.scores.values()]
    body = []
    for each in rows:
        found = [number(each.system.scores.get(score), 1) for score in study.scores]
        body.append((*_head(study, replace(each.system, reason="", counted=None)), *map(Cell, found)))
    return Table("Published scores", tuple(columns), tuple(body), (PUBLISHED,))


def _measured(rows: Sequence[Reported], setting: Setting, plugin: Sequence[str]) -> Table:
    """Return the scores measured in one setting, with the pre-training of our runs, as in the paper's column."""
    table = trained.scores(rows, setting, plugin)
    starts = [_start(runs_in([row], setting)) for row in rows] + [EMPTY] * (len(table.rows) - len(rows))
    body = [(row[0], Cell(start), *row[1:]) for row, start in zip(table.rows, starts, strict=True) if start]
    return replace(table, columns=(table.columns[0], Column("Pre-training"), *table.columns[1:]), rows=tuple(body))


def _start(runs: Iterable[Record]) -> str:
    """Return what some runs started from, empty without runs."""
    return sentence_list(list(dict.fromkeys(run.weights or FROM_SCRATCH for run in runs)))


def _record(study: Systems, each: CountedSystem) -> dict[str, Any]:
    """Return the printed and the counted figures of a row, at full precision."""
    system, count = each.system, each.count
    values: dict[str, Any] = {
        "system": system.name, "group": system.group, "backbone": system.backbone, "spec": system.spec,
        "input": "x".join(map(str, system.input or ())), "pretrained": system.pretrained,
        "counted_input": "x".join(map(str, system.size)) if count else "",
    }  # fmt: skip
    counters = ("params", "paper", "fvcore", "summary")
    values |= {f"counted_{name}": getattr(count, name) if count else None for name in counters}
    values["auxiliary_params"] = each.auxiliary_params if count else None
    for name, printed in (("params", system.params), ("flops", system.flops)):
        values |= {f"published_{name}": printed.printed if printed else None,
                   f"{name}_rule": printed.rule if printed and count else None,
                   f"{name}_verdict": each.verdict(printed) if printed else None}  # fmt: skip
    return values | {f"published_{score}": system.scores.get(score) for score in study.scores}


def _runs(
    each: CountedSystem, networks: Sequence[Reported], settings: Sequence[Setting], plugin: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the measured scores of a row in each setting, one empty record without any."""
    runs = each.reported.measured if each.reported else {}
    found = []
    for setting in settings:
        if setting in runs:
            columns = score_columns(setting, runs_in(networks, setting), plugin)
            found.append(circumstances(setting, runs[setting]) | scores(runs[setting], columns))
    return found or [{}]
