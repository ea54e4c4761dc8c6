"""Breaking a wide flow into several lines, like text. Letters mark where a net that crosses a break continues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase

from archlab.network.graph import Ref
from archlab.report.drawing.flow import Flow, Piece
from archlab.report.drawing.picture import STRONG


def breaks(columns: Sequence[tuple[float, float]], ties: Mapping[int, int], limit: float) -> list[int]:
    """Return the columns at which lines start, each line filled up to `limit`.

    columns: (start, end) of each. ties: how strongly a column belongs to the one before it, 0 by default. A line starts
    at the weakest tie.
    """
    starts = [0]
    for column, (_, end) in enumerate(columns):
        if end - columns[starts[-1]][0] > limit and column > starts[-1]:
            starts.append(min(range(starts[-1] + 1, column + 1), key=lambda c: (ties.get(c, 0), -c)))
    return starts


def broken(flow: Flow, starts: Sequence[int]) -> list[Flow]:
    """Return the flow as lines that start at the given columns."""
    line = [sum(column >= start for start in starts) - 1 for column in flow.columns]
    made = {ref: line[i] for i, piece in enumerate(flow.pieces) for ref in piece.outputs}
    found = {ref for i, piece in enumerate(flow.pieces) for ref in piece.inputs if made[ref] < line[i]}
    crossing = sorted(found, key=lambda ref: (made[ref], flow.rows[ref], ref))
    letters = {ref: _letter(k) for k, ref in enumerate(crossing)}
    column = {ref: c for piece, c in zip(flow.pieces, flow.columns, strict=True) for ref in piece.outputs}
    parts = []
    for n in range(len(starts)):
        here = [i for i in range(len(flow.pieces)) if line[i] == n]
        soonest = sorted(here, key=lambda i: flow.columns[i])
        read = dict.fromkeys(ref for i in soonest for ref in flow.pieces[i].inputs if made[ref] < n)
        # The value made last and the value read first come first, so that their nets run straight.
        sent = sorted((ref for ref in crossing if made[ref] == n), key=lambda ref: -column[ref])
        parts.append(_part(flow, here, starts[n], _ends(flow, letters, read), _ends(flow, letters, sent)))
    return parts


def _part(
    flow: Flow,
    here: Sequence[int],
    start: int,
    entries: Sequence[tuple[Ref, Piece]],
    exits: Sequence[tuple[Ref, Piece]],
) -> Flow:
    shift = bool(entries) - start
    columns = [flow.columns[i] + shift for i in here]
    last = max(columns) + 1
    pieces = (
        *(replace(piece, outputs=(ref,)) for ref, piece in entries),
        *(flow.pieces[i] for i in here),
        *(replace(piece, inputs=(ref,)) for ref, piece in exits),
    )
    labelled = flow.labelled | {ref for ref, _ in entries}
    return replace(
        flow, pieces=pieces, columns=(*[0] * len(entries), *columns, *[last] * len(exits)), labelled=labelled
    )


def _ends(flow: Flow, letters: dict[Ref, str], refs: Iterable[Ref]) -> list[tuple[Ref, Piece]]:
    return [(ref, Piece(None, ((letters[ref], STRONG),), (flow.rows[ref],) * 2)) for ref in refs]


def _letter(k: int) -> str:
    again, at = divmod(k, len(ascii_uppercase))
    return ascii_uppercase[at] + (str(again) if again else "")
