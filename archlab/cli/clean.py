"""The command that frees disk space."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.cli import options
from archlab.cli.output import print_json, print_table
from archlab.cli.parser import Parser
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.training.cleaning import Waste

FOLDERS = ("runs", "searches", "results")


def clean(o: argparse.Namespace) -> int:
    """Delete what runs and searches no longer need; asks first.

    Records, scores, curves and the weights of finished runs stay, and so does
    every run that is in training.
    """
    from archlab.training.cleaning import delete, find_waste

    found = find_waste(o.folders or _folders(o.generated), generated=o.generated)
    if not o.json:
        _print(found)
    agreed = bool(found) and not o.dry_run and (o.yes or _agreed(found))
    done = delete(found) if agreed else []
    if o.json:
        print_json([{"path": str(each.path), "kind": each.kind, "bytes": each.bytes, "deleted": each in done}
                    for each in found])  # fmt: skip
    elif agreed:
        print(f"deleted {_words(done)}")
    return 0


def _folders(generated: bool) -> list[Path]:
    """Return the usual folders that exist here."""
    names = (*FOLDERS, "data") if generated else FOLDERS
    return [Path(name) for name in names if Path(name).is_dir()]


def _agreed(found: list[Waste]) -> bool:
    if not sys.stdin.isatty():
        raise InputError(Problem(f"{_words(found)} would be deleted: say so, or look with --dry-run", "--yes"))
    print(f"delete {_words(found)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _words(found: list[Waste]) -> str:
    return f"{len(found)} files, {sum(each.bytes for each in found) / 2**20:.1f} MiB"


def _print(found: list[Waste]) -> None:
    """Print how much there is of each kind, and where."""
    from rich.table import Table

    from archlab.training.cleaning import KINDS

    table = Table("what", "folder", "files", "MiB")
    table.columns[1].overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for kind in KINDS:
        for folder in dict.fromkeys(_folder(each) for each in found if each.kind == kind):
            held = [each for each in found if each.kind == kind and _folder(each) == folder]
            table.add_row(kind, str(folder), str(len(held)), f"{sum(each.bytes for each in held) / 2**20:.1f}")
    if found:
        print_table(table, _words(found))
    else:
        print("nothing to delete")


def _folder(waste: Waste) -> Path:
    return waste.run.parent if waste.run else waste.path.parent


def clean_arguments(p: Parser) -> None:
    p.add_argument("folders", type=Path, nargs="*", metavar="DIR",
                   help="folders to look through (default: runs, searches and results)")  # fmt: skip
    p.add_argument("--generated", action="store_true", help="delete data too that recipes generate again (in data)")
    p.add_argument("--dry-run", action="store_true", help="print what would be deleted; delete nothing")
    p.add_argument("--yes", action="store_true", help="delete without asking")
    options.json_output(p, "print one JSON list: path, kind, bytes, and whether it was deleted")
