"""The unit complexity table: the printed formulas evaluated, and the same units counted as built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from archlab.ablation.study import Formula, Unit, UnitComplexity
from archlab.blocks import registry
from archlab.blocks.wiring import WiringError, wire
from archlab.core.errors import InputError, Problem, nearest
from archlab.counting import count as counting
from archlab.counting.count import MEBI
from archlab.counting.rules import Count
from archlab.network.graph import Graph, Node
from archlab.network.spec import Initialisation
from archlab.report.tables import Cell, Column, Table, TableSet, signed

Maps = Sequence[tuple[int, int, int]]


def pointwise(maps: Maps) -> int:
    """sum_s N_s C_s^2, with N_s positions and C_s channels at resolution s."""
    return sum(h * w * c * c for c, h, w in maps)


def depthwise(maps: Maps) -> int:
    """sum_s 9 N_s C_s."""
    return 9 * weighted(maps)


def weighted(maps: Maps) -> int:
    """sum_s N_s C_s: one multiplication an element."""
    return sum(h * w * c for c, h, w in maps)


def spatial(maps: Maps) -> int:
    """sum_s (2 C_s^2 + N_s C_s)."""
    return sum(2 * c * c for c, _, _ in maps) + weighted(maps)


def multi_resolution(maps: Maps) -> int:
    """2 (sum_s C_s)^2 + sum_s N_s C_s."""
    return 2 * sum(c for c, _, _ in maps) ** 2 + weighted(maps)


def both(maps: Maps) -> int:
    """2 (sum_s C_s)^2 + 2 sum_s (C_s^2 + N_s C_s)."""
    return multi_resolution(maps) + spatial(maps)


FORMULAS: dict[str, Callable[[Maps], int]] = {
    "pointwise": pointwise,
    "depthwise": depthwise,
    "spatial": spatial,
    "multi_resolution": multi_resolution,
    "both": both,
}


def unit_tables(study: UnitComplexity, plugin: Sequence[str] = ()) -> TableSet:
    """Return a table of the printed formulas and one of the units as built."""
    tables = [_formulas(study)]
    built = [count_unit(unit, study.maps, plugin) for unit in study.units]
    if built:
        tables.append(_units(study, built))
    records = [_formula_record(study, formula) for formula in study.formulas]
    records += [
        {"unit": unit.name, "what": "built", **_counts(each)} for unit, each in zip(study.units, built, strict=True)
    ]
    return TableSet(study.name, study.title, study.source, tuple(tables), tuple(records))


def evaluate_formula(formula: Formula, maps: Maps) -> int:
    """Return the multiply-adds by a printed formula. Raises InputError if there is no such formula."""
    if formula.formula not in FORMULAS:
        hint = nearest(formula.formula, FORMULAS)
        raise InputError(Problem(f"no formula is called {formula.formula!r}{hint}", "formulas.formula"))
    return FORMULAS[formula.formula](maps)


def count_unit(unit: Unit, maps: Maps, plugin: Sequence[str] = ()) -> Count:
    """Count a block alone on the given maps. A block that takes a single map is counted once on each.

    Raises InputError if there is no such block or it cannot be built with these arguments.
    """
    table = registry.blocks(plugin)
    if unit.block not in table:
        raise InputError(Problem(f"no block is called {unit.block!r}{nearest(unit.block, table)}", "units.block"))
    function = table[unit.block]
    try:
        wired = wire(function, tuple(maps), registry.takes_many(function), tuple(unit.arguments.items()))
    except (TypeError, WiringError) as error:
        raise InputError(Problem(f"{unit.block}: {error}", "units.arguments")) from None
    every = frozenset(range(len(wired.outputs)))
    node = Node(unit.name, unit.block, (), (), wired, wired.leaves, every)
    return counting.cost(Graph(unit.name, maps[0], 0, Initialisation(), (node,), (0, 0), ())).total


def _formulas(study: UnitComplexity) -> Table:
    exchange, flops = "Exchange of resolutions", "MFLOPs, 2²⁰"
    columns = [Column("Unit", align="l"), Column("within", exchange), Column("across", exchange)]
    columns += [Column("Formula", align="l"), *(Column(name, flops) for name in ("computed", "printed", "diff."))]
    body = []
    for formula in study.formulas:
        value = evaluate_formula(formula, study.maps) / MEBI
        texts = [formula.name, _answer(formula.single_resolution), _answer(formula.cross_resolution), formula.theory]
        texts += [f"{value:.3f}", f"{formula.mflops:g}", signed(value - formula.mflops, 3)]
        body.append(tuple(map(Cell, texts)))
    caption = (
        f"Maps of {_shapes(study.maps)} (height, width, channels). Nₛ: positions, Cₛ: channels of resolution s; Σ: sum "
        "over the resolutions."
    )
    return Table("Printed formulas", tuple(columns), tuple(body), (caption, *study.notes))


def _answer(answer: bool) -> str:
    return "yes" if answer else "no"


def _units(study: UnitComplexity, counts: Sequence[Count]) -> Table:
    columns = (Column("Unit", align="l"), Column("Parameters"), Column("as paper, 2²⁰", "MFLOPs"),
               Column("fvcore, 10⁶", "MFLOPs"), Column("against the first"))  # fmt: skip
    body = [
        (Cell(unit.name), Cell(f"{each.params:,}"), Cell(f"{each.paper / MEBI:.3f}"), Cell(f"{each.fvcore / 1e6:.3f}"),
         Cell(_saving(counts[0].paper, each.paper) if each is not counts[0] else "-"))
        for unit, each in zip(study.units, counts, strict=True)
    ]  # fmt: skip
    return Table(
        "The units as built", columns, tuple(body), (f"The same maps, {_shapes(study.maps)}.", *study.unit_notes)
    )


def _saving(first: int, second: int) -> str:
    return f"{100 * (1 - second / first):.0f} % less" if second <= first else f"{100 * (second / first - 1):.0f} % more"


def _shapes(maps: Maps) -> str:
    return " and ".join(f"{h}×{w}×{c}" for c, h, w in maps)


def _formula_record(study: UnitComplexity, formula: Formula) -> dict[str, Any]:
    flops = evaluate_formula(formula, study.maps)
    return {"unit": formula.name, "what": "formula", "formula": formula.theory, "paper_flops": flops,
            "paper_mflops": flops / MEBI, "published_mflops": formula.mflops}  # fmt: skip


def _counts(counted: Count) -> dict[str, Any]:
    return {"params": counted.params, "fvcore_flops": counted.fvcore, "paper_flops": counted.paper,
            "paper_mflops": counted.paper / MEBI}  # fmt: skip
