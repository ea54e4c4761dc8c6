"""Run hostile trials and write the page: cd tests && python -m faults.report (two hours on two cores).

The trials may run in pieces: `--only kills --command train --kills 20` runs one, and `--seed 3` adds other trials to
those of seed 2. Pieces that have ended with nothing wrong do not run again; `--again` runs them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from faults.files import damaged_files, mutated_yaml
from faults.inputs import damaged_inputs
from faults.kills import KILLED, kills
from faults.limits import disk_full, few_files, may_mount, read_only, twice
from faults.pieces import Piece, Pieces, asked, total
from faults.scenes import COMMANDS, Command, Scene
from faults.trials import Outcome, Trial
from helpers.paths import REPOSITORY

from archlab.core.files import write_text
from archlab.report.tables import Cell, Column, Table, TableSet, markdown
from archlab.training.circumstances import circumstances

PAGE = REPOSITORY / "reports" / "faults.md"
FEW = (12, 20, 32, 64)
"""Limits on open files."""
Ends = Iterator[Outcome | Trial]


@dataclass(frozen=True)
class Kind:
    """Trials of one kind. title: in the page, with their number of each command in the place of `{n}`.

    count: the number unless an option says another. commands: each is a piece; () for trials of no single command.
    run: yields the ends, of a number, a seed, a command and its scene, or of a number, a seed and an empty folder.
    """

    title: str
    count: int
    commands: tuple[Command, ...]
    run: Callable[..., Ends]


KINDS = {
    "kills": Kind(
        "a command of three, killed {n} times and started again", 20, KILLED,
        lambda n, seed, command, scene: kills(scene, n, seed, (command,)),
    ),
    "levels": Kind(
        "a command on a disk that is full at {n} levels", 20, COMMANDS,
        lambda n, seed, command, scene: disk_full(scene, n, (command,)),
    ),
    "closed": Kind(
        "a command in a folder that cannot be written", 1, COMMANDS, lambda n, seed, command, scene: read_only(scene, (command,))
    ),
    "few": Kind(
        f"a command with {FEW[0]} to {FEW[-1]} open files", 1, COMMANDS,
        lambda n, seed, command, scene: few_files(scene, FEW, (command,)),
    ),
    "twice": Kind("two of a command at once", 1, COMMANDS, lambda n, seed, command, scene: twice(scene, (command,))),
    "inputs": Kind(
        "a command with a damaged or changed file, {n} times each", 20, COMMANDS,
        lambda n, seed, command, scene: damaged_inputs(scene, n, seed, (command,)),
    ),
    "yaml": Kind(
        "{n} shipped YAML files with one to three changes", 1000, (), lambda n, seed, folder: mutated_yaml(folder, n, seed)
    ),
    "files": Kind(
        "{n} runs and data with damaged files", 200, (), lambda n, seed, folder: damaged_files(folder, n, seed)
    ),
}  # fmt: skip


def main() -> None:
    o = _options()
    commit = str(circumstances()["commit"] or "unknown")[:7]
    assert not str(circumstances()["commit"]).endswith("-dirty") or o.pieces, "the page names a commit: commit first"
    pieces = Pieces(o.pieces or PAGE.with_suffix(".json"))
    with tempfile.TemporaryDirectory() as name:
        for kind, command in _left(o, pieces):
            ends = [*_shown(_run(Path(name), kind, command, getattr(o, kind), o.seed))]
            codes = {str(code): count for code, count in sorted(Counter(end.code for end in ends).items())}
            wrong = tuple(end.wrong for end in ends if end.wrong)
            day, label = f"{datetime.now(UTC):%Y-%m-%d}", command.name if command else ""
            pieces.add(Piece(kind, label, getattr(o, kind), o.seed, commit, day, codes, wrong))
    write_text(o.pieces.with_suffix(".md") if o.pieces else PAGE, markdown(_tables(pieces)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind in KINDS.items():
        parser.add_argument(f"--{name}", type=int, default=kind.count, metavar="N", help=kind.title.format(n="N"))
    parser.add_argument("--only", action="append", choices=KINDS, help="run only trials of this kind; may be repeated")
    parser.add_argument("--command", action="append", help="run only trials of this command; may be repeated")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="run pieces again that have ended")
    parser.add_argument("--pieces", type=Path, help="another file of pieces, for a try; its page lies next to it")
    return parser.parse_args()


def _left(o: argparse.Namespace, pieces: Pieces) -> list[tuple[str, Command | None]]:
    """Return the pieces that are asked for and have not ended."""
    names = [name for name in KINDS if not o.only or name in o.only]
    wanted: list[tuple[str, Command | None]] = [
        (name, each) for name in names for each in KINDS[name].commands or (None,)
    ]
    chosen = [(name, each) for name, each in wanted if not o.command or (each and each.name in o.command)]
    return [
        (name, each)
        for name, each in chosen
        if o.again or not pieces.has(name, each.name if each else "", getattr(o, name), o.seed)
    ]


def _run(folder: Path, kind: str, command: Command | None, count: int, seed: int) -> Ends:
    """Yield how the trials of a piece end; commands run in a scene, which is made for the first of them."""
    run = KINDS[kind].run
    if command is None:
        own = folder / kind
        own.mkdir()
        return run(count, seed, own)
    scene = Scene(folder / "scene") if (folder / "scene").is_dir() else Scene.made(folder / "scene")
    return run(count, seed, command, scene)


def _shown(ends: Iterable[Outcome | Trial]) -> Ends:
    """Pass ends on, and print those that are wrong."""
    for end in ends:
        if end.wrong:
            print(end, file=sys.__stderr__, flush=True)
        yield end


def _row(name: str, pieces: Pieces) -> tuple[str, ...]:
    found = pieces.of(name)
    codes, wrong = total(found), sum(len(piece.wrong) for piece in found)
    title = KINDS[name].title.format(n=f"{asked(found):,}")
    return (title, f"{codes.total():,}", *(f"{codes[code]:,}" for code in ("0", "1", "2", "-9")), str(wrong))


def _tables(pieces: Pieces) -> TableSet:
    columns = (
        Column("Trials", align="l"), Column("commands"), Column("exit 0"), Column("exit 1"), Column("exit 2"),
        Column("killed"), Column("wrong"),
    )  # fmt: skip
    disk = (
        "Every other level is a small file system, the others limit a file's size"
        if may_mount()
        else "A file's size is limited"
    )
    whole = list(pieces.found.values())
    places = ", ".join(f"{commit} ({date})" for commit, date in sorted({(each.commit, each.date) for each in whole}))
    notes = (
        "Wrong: a traceback, exit code 70, no end within some minutes, an exit code without an error, a line of over"
        " 1,500 characters. After a kill also: a process that lives on, or runs, losses, scores, weights or files that"
        " are not those of the undisturbed command. After a limit, the command runs again without it: wrong if it then"
        " does not end with what the undisturbed command makes.",
        f"{disk}; once, the standard output is full.",
        f"Seeds {', '.join(map(str, sorted({each.seed for each in whole})))}; commits {places}."
        " `make test-all` runs a short form.",
    )
    rows = [_row(name, pieces) for name in KINDS if pieces.of(name)]
    body = tuple(tuple(map(Cell, row)) for row in rows)
    return TableSet("faults", "Hostile trials", "tests/faults", (Table("Trials", columns, body, notes),), ())


if __name__ == "__main__":
    main()
