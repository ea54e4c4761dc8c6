"""How commands are declared and parsed: grouped help with examples, and errors of one line with the nearest name."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from archlab.core.errors import InputError, Problem, nearest

Run = Callable[[argparse.Namespace], int | None]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises InputError, with a hint, where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise InputError(Problem(message.removeprefix("argument "), file=self.prog))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments. Raises InputError for those that no option takes."""
        found, extra = super().parse_known_args(args, namespace)
        extra = self._fill(found, extra)
        if extra:
            self.error("; ".join(self._unknown(text) for text in extra))
        return found, extra

    def _fill(self, found: argparse.Namespace, extra: list[str]) -> list[str]:
        """Give an optional argument without a flag what stands after options, where argparse does not look for it."""
        for action in self._actions:
            waits = action.nargs == "?" and not action.option_strings and vars(found).get(action.dest) == action.default
            if waits and extra and not extra[0].startswith("-"):
                self._check_value(action, extra[0])
                setattr(found, action.dest, self._get_value(action, extra[0]))
                extra = extra[1:]
        return extra

    def _unknown(self, text: str) -> str:
        name = text.split("=")[0]
        if not name.startswith("-"):
            return f"unexpected argument {text!r}"
        known = [flag for action in self._actions if action.help != argparse.SUPPRESS for flag in action.option_strings]
        return f"unknown option {name}{nearest(name, known)}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        old = getattr(action, "old", ())
        if action.choices is not None and value not in action.choices and value not in old:
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value"
            raise argparse.ArgumentError(action, f"unknown {what} {value!r}{nearest(str(value), action.choices)}")


@dataclass(frozen=True)
class Command:
    """A command: its name, of one word or of two (`data synth`), what runs it, its arguments, and an example.

    The docstring of `run` is the command's help. `run` returns the exit code, None for 0.
    """

    name: str
    run: Run
    arguments: Callable[[Parser], None]
    example: str

    @property
    def about(self) -> str:
        return first_line(self.run)


@dataclass(frozen=True)
class Group:
    """Commands of one purpose, listed together in `archlab --help`."""

    title: str
    commands: tuple[Command, ...]


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help whose description is laid out already, without argparse's own list of commands."""

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action, argparse._SubParsersAction):
            super().add_argument(action)


def build_parser(prog: str, about: str, groups: Iterable[Group], common: Callable[[Parser], None]) -> Parser:
    """Return the parser of all commands. `common` adds the options that every command takes."""
    groups = tuple(groups)
    parser = Parser(
        prog=prog, description=f"{textwrap.fill(about, 78)}\n\n{_listing(prog, groups)}", formatter_class=_Help
    )
    common(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    families: dict[str, Any] = {}
    for command in (command for group in groups for command in group.commands):
        family, _, name = command.name.rpartition(" ")
        if family and family not in families:
            families[family] = _family(commands, family, groups, common, prog)
        _add(families.get(family, commands), name, command, common, prog)
    return parser


def _family(commands: Any, name: str, groups: Iterable[Group], common: Callable[[Parser], None], prog: str) -> Any:
    """Add what the commands `name ...` are added to."""
    members = [each for group in groups for each in group.commands if each.name.startswith(f"{name} ")]
    listing = textwrap.dedent(_commands(prog, members))
    title = next(group.title for group in groups if members[0] in group.commands)
    made = commands.add_parser(name, help=title, description=listing, formatter_class=_Help)
    common(made)
    return made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)


def _add(commands: Any, name: str, command: Command, common: Callable[[Parser], None], prog: str) -> None:
    example = f"example:\n  {prog} {command.example}"
    about = textwrap.dedent((command.run.__doc__ or "").strip().replace("\n    ", "\n"))
    formatter = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=command.about, description=about, epilog=example, formatter_class=formatter)
    parser.set_defaults(command=command.run)
    command.arguments(parser)
    common(parser)


def _listing(prog: str, groups: Sequence[Group]) -> str:
    return "\n\n".join(f"{group.title}:\n{_commands(prog, group.commands)}" for group in groups)


def _commands(prog: str, commands: Iterable[Command]) -> str:
    lines = []
    for each in commands:
        lines += textwrap.wrap(each.about, 78, initial_indent=f"  {each.name:13} ", subsequent_indent=" " * 16)
        lines.append(f"{'':16}{prog} {each.example}")
    return "\n".join(lines)


def first_line(thing: Any) -> str:
    """Return the first line of a thing's docstring."""
    return str(thing.__doc__ or "").strip().split("\n")[0]
