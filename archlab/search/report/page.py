"""The page of a search: one self-contained HTML file that loads nothing from a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path

from archlab.report import web
from archlab.report.tables import Cell, Column, Table
from archlab.search.report import figures
from archlab.search.report import text as words
from archlab.search.report.analysis import Analysis
from archlab.search.report.estimates import known
from archlab.search.report.importance import Importance
from archlab.search.report.payload import as_script, identity, kind, payload, state
from archlab.search.report.quantities import Quantity, quantity
from archlab.search.report.tables import ends, report_tables
from archlab.search.results import Candidate

HERE = Path(__file__).parent
SHOWN_FACTS = 8  # the others are folded
THEMED = {"#0072b2": "blue", "#d55e00": "front", "#009e73": "green", "#555555": "soft", "#e6e6e6": "grid",
          "#999999": "grey", "#cc79a7": "pink", "#e69f00": "amber", "#000000": "ink", "#ffffff": "ground"}  # fmt: skip
NAV = {
    "explore": "Candidates",
    "front": "Front",
    "references": "References",
    "growth": "Hypervolume",
    "distribution": "Distribution",
    "bands": "Equal cost",
    "importance": "Importance",
    "correlations": "Correlations",
    "all": "All candidates",
}
ALT = {
    "front": "Costs and scores of the fully trained candidates and of the front.",
    "hypervolume": "Hypervolume by the number of candidates finished.",
    "hypervolume_by_time": "Hypervolume by time.",
    "edf": "Share of candidates above each score, by rung.",
    "bands": "Median and best score in bands of equal count by cost.",
    "importance": "Share of the variance of scores by parameter.",
}
# Ids of matplotlib's groups, which repeat in each of its files.
GROUPS = "figure|axes|patch|line2d|xtick|ytick|text|matplotlib|PolyCollection|LineCollection|FillBetween|legend"


def page(analysis: Analysis, graphs: Mapping[str, str]) -> str:
    """Return the whole document; `graphs` are packed drawings by hash."""
    result = analysis.result
    pictures = {name: _picture(figures.svg(analysis, name), name) for name in figures.available(analysis)}
    sections = [section for section in _sections(analysis, pictures) if section[2]]
    facts = words.facts(analysis)
    places = {
        "title": escape(result.title),
        "study": escape(result.study),
        "date": escape(result.date),
        "lead": escape(words.lead(analysis)),
        "facts": _terms(facts[:SHOWN_FACTS]),
        "circumstances": _terms(facts[SHOWN_FACTS:]),
        "may": _items(words.may(analysis)),
        "may_not": _items(words.may_not(analysis)),
        "contents": "\n".join(
            f'<a href="#{name}">{escape(NAV[name])}</a>' for name in ("explore", *(name for name, *_ in sections))
        ),
        "front_picture": pictures.get("front", "<p>No candidate is fully trained.</p>"),
        "sections": "\n".join(_section(*section) for section in sections),
        "footer": escape(words.footer(analysis)),
        "data": as_script(payload(analysis, graphs)),
    }
    body = web.filled(HERE / "page.html", places)
    return web.document(places["title"], body, style=HERE / "page.css", script=HERE / "page.js")


def _sections(analysis: Analysis, pictures: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, heading and content of each section below the plot; empty ones are omitted."""
    tables = {table.heading: table for table in report_tables(analysis).tables}
    front, correlations = tables.get("Front and references"), tables.get("Rank correlations")
    yield "front", "Front and references", _table(front, _numbered(analysis)) if front else ""
    yield "references", "Against the references", _verdicts(analysis)
    growth = "".join(pictures[name] for name in ("hypervolume", "hypervolume_by_time") if name in pictures)
    yield "growth", "Hypervolume", _note(words.hypervolume(analysis)) + _charts(growth) if growth else ""
    distribution = f'<div class="note">{_paragraphs(words.distribution(analysis))}</div>'
    yield "distribution", "Distribution of scores", _charts(pictures["edf"] + distribution) if "edf" in pictures else ""
    names = (f"Bands of equal count at {rung.label}" for rung in ends(analysis))
    held = "".join(_headed(tables[name]) for name in names if name in tables)
    yield "bands", "At equal cost", _charts(f"{pictures['bands']}<div>{held}</div>") if held else ""
    yield "importance", "Importance of parameters", _importance(analysis, pictures, tables)
    yield "correlations", "Rank correlations", _table(correlations) if correlations else ""
    yield "all", "All candidates", _all(analysis)


def _section(name: str, title: str, content: str) -> str:
    heading = f'<h2 id="{name}-title">{escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">\n{heading}\n{content}\n</section>'


def _verdicts(analysis: Analysis) -> str:
    found = words.verdicts(analysis)
    terms = "".join(f"<dt>{escape(reference.name)}</dt><dd>{escape(verdict)}</dd>" for reference, verdict in found)
    return f'<dl class="verdicts">{terms}</dl>' if found else ""


def _importance(analysis: Analysis, pictures: Mapping[str, str], tables: Mapping[str, Table]) -> str:
    if "importance" not in pictures:
        return _note(words.too_few(analysis)) if analysis.rungs else ""
    rung = next(rung for rung in analysis.rungs if rung.importances)
    table = _table(tables["Importance of parameters"])
    explained = f'<div>{table}<div class="note">{_paragraphs(words.importance(analysis))}</div></div>'
    score = quantity(analysis.score, analysis.result)
    levels = f'<div class="levels">{"".join(_levels(each, score) for each in rung.importances)}</div>'
    return _charts(pictures["importance"] + explained) + _folded(f"Mean score by value, at {rung.label}", levels)


def _levels(importance: Importance, score: Quantity) -> str:
    """Return the mean score of each value of a parameter."""
    columns = Column("value", align="l"), Column("n"), Column(score.label)
    rows = tuple((Cell(each.value), Cell(str(each.n)), Cell(score.text(each.mean))) for each in importance.levels)
    return f"<div><h3>{escape(importance.parameter)}</h3>{_table(Table(importance.parameter, columns, rows, ()))}</div>"


def _all(analysis: Analysis) -> str:
    """Return a folded table of every candidate."""
    result = analysis.result
    names = list(dict.fromkeys([*(o.name for o in result.objectives), "params"]))
    found = sorted(result.candidates, key=lambda c: c.number)
    columns = (
        Column("Candidate", align="l"),
        Column("Outcome", align="l"),
        *(Column(quantity(n, analysis.result).title) for n in names),
    )
    rows = tuple(
        (
            Cell(""),
            Cell(state(analysis, c)),
            *(Cell(quantity(n, analysis.result).with_error(known(c, n))) for n in names),
        )
        for c in found
    )
    table = _table(Table("All candidates", columns, rows, ()), [_button(analysis, c) for c in found])
    summary = f"{words.counted(result)}. Scores at different rungs cannot be compared."
    return _folded(summary, table) if found else ""


def _button(analysis: Analysis, candidate: Candidate) -> str:
    name = candidate.name if kind(analysis, candidate) == "reference" else str(candidate.number)
    label = f'aria-label="Show {escape(words.described(candidate, analysis))}"'
    return f'<button type="button" data-show="{identity(analysis, candidate)}" {label}>{escape(name)}</button>'


def _numbered(analysis: Analysis) -> list[str]:
    return [_button(analysis, candidate) for candidate in (*analysis.front, *analysis.result.references)]


def _folded(summary: str, content: str) -> str:
    return f'<details class="more"><summary>{escape(summary)}</summary>{content}</details>'


def _charts(content: str) -> str:
    return f'<div class="charts">{content}</div>'


def _note(sentence: str) -> str:
    return f'<p class="note">{escape(sentence)}</p>'


def _headed(table: Table) -> str:
    return f'<h3 class="card-title">{escape(table.heading)}</h3>{_table(table)}'


def _table(table: Table, first: Iterable[str] = ()) -> str:
    """Return a table with its caption; `first` is HTML that replaces the first cell of each row."""
    ends = [' class="l"' if column.align == "l" else "" for column in table.columns]
    head = "".join(f'<th scope="col"{end}>{escape(c.name)}</th>' for c, end in zip(table.columns, ends, strict=True))
    lines = [[escape(cell.text) for cell in row] for row in table.rows]
    for line, cell in zip(lines, first, strict=False):
        line[0] = cell
    body = "".join(
        "<tr>" + "".join(f"<td{end}>{text}</td>" for end, text in zip(ends, line, strict=True)) + "</tr>"
        for line in lines
    )
    made = f'<table class="data"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    notes = "".join(map(_note, table.caption))
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.heading)}">{made}</div>{notes}'


def _picture(svg: str, name: str) -> str:
    """Return a figure in the page's colours and type, with ids that no other figure has."""
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: f"var(--{THEMED[found[0]]})" if found[0] in THEMED else found[0], svg)
    svg = re.sub(r'(font(?:-family)?: [^"]*?)\'?DejaVu Sans\'?(, sans-serif)?', r"\1var(--sans)", svg)
    svg = re.sub(rf' id="(?:{GROUPS})[._\w]*"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    svg = re.sub(r"\n\s*", "\n", svg)
    return f'<figure class="chart" role="img" aria-label="{escape(ALT[name])}">{svg.strip()}</figure>'


def _terms(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd></div>" for term, value in pairs)


def _items(sentences: Iterable[str]) -> str:
    return "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
