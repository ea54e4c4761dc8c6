"""A search's report in Markdown: the study, what it shows and does not show, and its tables."""

from __future__ import annotations

from archlab.report.tables import escaped, section
from archlab.search.report import figures
from archlab.search.report import text as words
from archlab.search.report.analysis import Analysis
from archlab.search.report.tables import report_tables


def markdown(analysis: Analysis) -> str:
    """Return the whole file; its pictures are files next to it."""
    result = analysis.result
    parts = [
        f"# {escaped(result.title)}",
        escaped(words.lead(analysis)),
        "\n".join(f"- {escaped(term)}: {escaped(value)}" for term, value in words.facts(analysis) if value),
        "## What this shows",
        "\n".join(f"- {escaped(sentence)}" for sentence in words.may(analysis)),
        "## What it does not show",
        "\n".join(f"- {escaped(sentence)}" for sentence in words.may_not(analysis)),
    ]
    available = figures.available(analysis)
    parts += [f"![{name}]({name}.png)" for name in ("front", "hypervolume") if name in available]
    parts.append(escaped(words.hypervolume(analysis)))
    if result.references:
        parts += ["## Against the references"]
        parts += [
            "\n".join(f"- {escaped(each.name)}: {escaped(verdict)}" for each, verdict in words.verdicts(analysis))
        ]
    parts += [section(table) for table in report_tables(analysis).tables]
    return "\n\n".join(parts) + "\n"
