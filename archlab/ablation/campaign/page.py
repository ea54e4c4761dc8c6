"""The page of a campaign: its measurements, what may be concluded from them, and how to run what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from archlab.ablation.campaign import cost
from archlab.ablation.campaign.curves import budget_sections, curves_of, flat_budgets, write_figure
from archlab.ablation.campaign.tables import budget_tables, tables
from archlab.ablation.campaign.text import conclusions, how_to_run, status
from archlab.ablation.campaign.verdicts import Judged, judge
from archlab.ablation.records import of_task
from archlab.ablation.rows import Reported, Setting, count_network, match_runs, runs_in, settings_of
from archlab.ablation.study import Campaign, networks
from archlab.core.files import write_text
from archlab.report.statistics import Interval
from archlab.report.tables import TableSet, comma_separated, section, title
from archlab.training.runs import Record

Budgets = Mapping[Setting, Sequence[Judged]]
"""The judgements of each setting at its budgets, increasing; none without budgets."""


def write_page(study: Campaign, records: Sequence[Record], out: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """Write `NAME.md` and `NAME.csv`, with curves also `NAME_budgets.png` and `.svg`; return the files."""
    judged, rows = _judged(study, records, plugin)
    budgets = _at_budgets(study, judged, rows)
    wanted = cost.wanted(study, partial(count_network, plugin=plugin))
    paths = [out / f"{study.name}.md", out / f"{study.name}.csv"]
    shown = _shown(judged, wanted)
    drawn = next(((each, found) for each in shown if (found := curves_of(each, rows))), None)
    plots = write_figure(study.name, *drawn, out) if drawn else []
    image = {drawn[0].setting: plots[1].name} if drawn else {}
    write_text(paths[0], markdown(study, judged, budgets, rows, wanted, records, image))
    write_text(paths[1], comma_separated(_tables(study, judged, budgets, rows)))
    return [*paths, *plots]


def campaign_tables(
    study: Campaign, records: Sequence[Record], *, plugin: Sequence[str] = (), only: Sequence[Setting] = ()
) -> TableSet:
    """Return the tables of a campaign, for every setting that any network was measured in or for those in `only`."""
    judged, rows = _judged(study, records, plugin)
    chosen = [each for each in judged if not only or each.setting in only]
    return _tables(study, chosen, _at_budgets(study, chosen, rows), rows)


def _judged(study: Campaign, records: Sequence[Record], plugin: Sequence[str]) -> tuple[list[Judged], list[Reported]]:
    known = of_task(records, study.recipe, plugin)
    rows = match_runs(networks(study), known, partial(count_network, plugin=plugin))
    found = [setting for setting in settings_of(rows) if cost.of_its_data(study, setting)]
    return [judge(study, rows, setting) for setting in found], rows


def _tables(study: Campaign, judged: Sequence[Judged], budgets: Budgets, rows: Sequence[Reported]) -> TableSet:
    made = [table for each in judged for table in tables(study, each, rows)]
    records = [record for each in judged for record in (*flat(each), *_flat_budgets(each, budgets, rows))]
    return TableSet(study.name, study.title, study.source, tuple(made), tuple(records))


def markdown(
    study: Campaign,
    judged: Sequence[Judged],
    budgets: Budgets,
    rows: Sequence[Reported],
    wanted: cost.Wanted,
    records: Sequence[Record],
    images: Mapping[Setting, str],
) -> str:
    """Return the page. Once there are larger runs, those too small to rank networks are in the CSV file only.

    images: the files of the plots of scores by budget.
    """
    head = title(_tables(study, (), {}, ()))
    shown = _shown(judged, wanted)
    parts = [*head, *status(study, judged, budgets, wanted, records), *study.notes]
    parts += how_to_run(study, wanted, records)
    for each in shown:
        parts += [section(table) for table in tables(study, each, rows)]
        if each.setting in images:
            parts += budget_sections(each, curves_of(each, rows), images[each.setting])
        if len(budgets[each.setting]) > 1:
            parts += [section(table) for table in budget_tables(budgets[each.setting])]
    parts += ["## What may be concluded", *conclusions(study, shown, wanted)]
    return "\n\n".join(parts) + "\n"


def _at_budgets(study: Campaign, judged: Sequence[Judged], rows: Sequence[Reported]) -> Budgets:
    """Return the judgements of each setting at each of its budgets, increasing; the last is the given one."""
    found = {}
    for each in judged:
        budgets = sorted({at.budget for run in runs_in(rows, each.setting) for at in run.budgets})
        smaller = [judge(study, rows, each.setting, budget) for budget in budgets[:-1]]
        found[each.setting] = [*smaller, each] if budgets else []
    return found


def _shown(judged: Sequence[Judged], wanted: cost.Wanted) -> list[Judged]:
    own = any(wanted.fits(each.setting) for each in judged)
    return [each for each in judged if each.ranks or not own]


def flat(judged: Judged) -> list[dict[str, Any]]:
    """Return all figures at full precision: a record for each row, control, claim and order."""
    head = _head(judged)
    controls = {each.control.spec: each.shown for each in judged.controls}
    made: list[dict[str, Any]] = [
        head
        | {"kind": "control" if line.row.spec in controls else "row", "name": line.row.name, "spec": line.row.spec}
        | {"score_by_seed": " ".join(f"{seed}:{score}" for seed, score in line.by_seed.items())}
        | _spread("score", line.score)
        | {"ap": line.ap.mean if line.ap else None}
        | _spread("difference", line.difference)
        | _spread("detector_ap", line.detector)
        | {"published": line.row.published.ap, "verdict": controls.get(line.row.spec)}
        for line in judged.lines
    ]
    made += [
        head
        | {"kind": "claim", "name": each.claim.sentence, "spec": f"{each.claim.better} - {each.claim.worse}"}
        | _spread("difference", each.difference)
        | {"ap": each.ap.mean if each.ap else None, "p": each.raw_p, "p_holm": each.p}
        | {"published": each.printed, "verdict": each.verdict}
        for each in judged.claims
    ]
    if judged.order:
        around = judged.agreement
        bounds = {"tau_low": around.low, "tau_high": around.high} if around else {}
        made.append(head | bounds | {"kind": "order", "name": "Kendall's tau-b", "tau": judged.order.tau,
                            "p": judged.order.p, "rows": judged.order.n})  # fmt: skip
    return made


def _flat_budgets(judged: Judged, budgets: Budgets, rows: Sequence[Reported]) -> list[dict[str, Any]]:
    """Return the curves, and the controls and claims at each smaller budget."""
    kinds = {"control": "control by budget", "claim": "claim by budget"}
    made = [_head(judged) | record for record in flat_budgets(curves_of(judged, rows))]
    for each in budgets[judged.setting][:-1]:
        found = [record for record in flat(each) if record["kind"] in kinds]
        made += [record | {"kind": kinds[record["kind"]], "budget": each.budget} for record in found]
    return made


def _head(judged: Judged) -> dict[str, Any]:
    setting = judged.setting
    return {"recipe": setting.recipe, "recipe_hash": setting.recipe_hash, "data": setting.data,
            "data_fingerprint": setting.data_fingerprint, "boxes": judged.view.key, "ranks": judged.ranks,
            "metric": judged.metric.name}  # fmt: skip


def _spread(name: str, found: Interval | None) -> dict[str, Any]:
    if found is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_seeds": 0}
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_seeds": found.n}
