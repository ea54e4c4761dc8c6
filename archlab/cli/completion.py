"""Shell completion: a script for bash or zsh that completes commands, options, built-in names and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from archlab.cli.parser import Command, Group, Parser

SHELLS = ("bash", "zsh")
NAMED = {"spec": "networks", "a": "networks", "b": "networks", "space": "spaces", "recipe": "recipes",
         "study": "studies", "studies": "studies"}  # fmt: skip
"""Arguments that take a built-in name or a file, and the kind of the name."""


def completion(o: argparse.Namespace) -> None:
    """Print a completion script for bash or zsh."""
    import shtab

    from archlab.cli.app import parser

    made = parser()
    for action in _actions(made):
        if found := _completed(action):
            action.complete = found  # type: ignore[attr-defined]
    print(shtab.complete(made, o.shell, preamble=_preamble(o.shell)))


def completion_arguments(p: Parser) -> None:
    p.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")


def _completed(action: argparse.Action) -> dict[str, Any] | None:
    """Return what shtab completes an argument with, None for what it knows itself and for free text."""
    import shtab

    if action.dest in NAMED:
        return dict.fromkeys(SHELLS, f"_archlab_{NAMED[action.dest]}")
    metavar = str(action.metavar)
    if metavar == "DIR":
        return dict(shtab.DIRECTORY)
    return (
        dict(shtab.FILE)
        if metavar.startswith("FILE") or metavar in ("RUN", "SOURCE", "MODULE") or "." in metavar
        else None
    )


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)
        elif action.choices is None:
            yield action


def _preamble(shell: str) -> str:
    """Return a shell function for each kind of built-in name, which completes files too."""
    from archlab.core import builtin

    networks = builtin.names("search_spaces", "*/*.yaml").keys() - {"base", "space"}
    names = {
        "networks": networks,
        "spaces": {path.parent.name for path in builtin.folder("search_spaces").glob("*/space.yaml")},
        "recipes": builtin.names("studies", "recipes/*.yaml").keys(),
        "studies": builtin.names("studies", "*.yaml").keys(),
    }
    return "\n".join(_FUNCTION[shell].format(kind=kind, names=" ".join(sorted(of))) for kind, of in names.items())


_FUNCTION = {
    "bash": '_archlab_{kind}() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
    "zsh": "_archlab_{kind}() {{ _alternative 'names:{kind}:({names})' 'files:file:_files'; }}",
}

GROUP = Group(
    "shell completion",
    (Command("completion", completion, completion_arguments, "completion bash > ~/.archlab.bash"),),
)
