"""The page of a campaign: its measurements, what may be concluded from them, and how to run what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from archlab.ablation.campaign import cost
from archlab.ablation.campaign.tables import tables
from archlab.ablation.campaign.text import CONCLUSIONS, how_to_run, status
from archlab.ablation.campaign.verdicts import Judged, judge
from archlab.ablation.rows import Reported, Setting, count_network, match_runs, settings_of
from archlab.ablation.study import Campaign, networks
from archlab.core.files import write_text
from archlab.report.statistics import Interval
from archlab.report.tables import TableSet, comma_separated, section, title
from archlab.training.runs import Record


def write_page(study: Campaign, records: Sequence[Record], out: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """Write `NAME.md` and `NAME.csv` and return the files."""
    judged, rows = _judged(study, records, plugin)
    made = _tables(study, judged, rows)
    wanted = cost.wanted(study, partial(count_network, plugin=plugin))
    paths = [out / f"{study.name}.md", out / f"{study.name}.csv"]
    write_text(paths[0], markdown(study, judged, rows, wanted, records))
    write_text(paths[1], comma_separated(made))
    return paths


def campaign_tables(
    study: Campaign, records: Sequence[Record], *, plugin: Sequence[str] = (), only: Sequence[Setting] = ()
) -> TableSet:
    """Return the tables of a campaign, for every setting that any network was measured in or for those in `only`."""
    judged, rows = _judged(study, records, plugin)
    return _tables(study, [each for each in judged if not only or each.setting in only], rows)


def _judged(study: Campaign, records: Sequence[Record], plugin: Sequence[str]) -> tuple[list[Judged], list[Reported]]:
    rows = match_runs(networks(study), records, partial(count_network, plugin=plugin))
    return [judge(study, rows, setting) for setting in settings_of(rows)], rows


def _tables(study: Campaign, judged: Sequence[Judged], rows: Sequence[Reported]) -> TableSet:
    made = [table for each in judged for table in tables(study, each, rows)]
    records = [record for each in judged for record in flat(each)]
    return TableSet(study.name, study.title, study.source, tuple(made), tuple(records))


def markdown(
    study: Campaign, judged: Sequence[Judged], rows: Sequence[Reported], wanted: cost.Wanted, records: Sequence[Record]
) -> str:
    """Return the page. Once there are larger runs, those too small to rank networks are in the CSV file only."""
    head = title(_tables(study, (), ()))
    parts = [*head, *status(study, judged, wanted, records), *study.notes, *how_to_run(study, wanted, records)]
    own = any(wanted.fits(each.setting) for each in judged)
    for each in (each for each in judged if each.ranks or not own):
        parts += [section(table) for table in tables(study, each, rows)]
    parts += ["## What may be concluded from synthetic people", *CONCLUSIONS]
    return "\n\n".join(parts) + "\n"


def flat(judged: Judged) -> list[dict[str, Any]]:
    """Return all figures at full precision: a record for each row, control, claim and order."""
    setting = judged.setting
    head = {"recipe": setting.recipe, "recipe_hash": setting.recipe_hash, "data": setting.data,
            "data_fingerprint": setting.data_fingerprint, "boxes": judged.view.key, "ranks": judged.ranks}  # fmt: skip
    controls = {each.control.spec: each.shown for each in judged.controls}
    made: list[dict[str, Any]] = [
        head
        | {"kind": "control" if line.row.spec in controls else "row", "name": line.row.name, "spec": line.row.spec}
        | {"ap_by_seed": " ".join(f"{seed}:{ap}" for seed, ap in line.by_seed.items())}
        | _spread("ap", line.ap)
        | _spread("difference", line.difference)
        | _spread("detector_ap", line.detector)
        | {"published": line.row.published.ap, "verdict": controls.get(line.row.spec)}
        for line in judged.lines
    ]
    made += [
        head
        | {"kind": "claim", "name": each.claim.sentence, "spec": f"{each.claim.better} - {each.claim.worse}"}
        | _spread("difference", each.difference)
        | {"published": each.printed, "verdict": each.verdict}
        for each in judged.claims
    ]
    if judged.order:
        made.append(head | {"kind": "order", "name": "Kendall's tau-b", "tau": judged.order.tau,
                            "p": judged.order.p, "rows": judged.order.n})  # fmt: skip
    return made


def _spread(name: str, found: Interval | None) -> dict[str, Any]:
    if found is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_seeds": 0}
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_seeds": found.n}
