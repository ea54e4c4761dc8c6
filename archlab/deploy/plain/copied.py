"""The source of classes and functions that a self-contained file needs, with the imports that they use."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
import types
from dataclasses import dataclass, field
from typing import Any

from archlab.core.errors import InputError, Problem


@dataclass
class Sources:
    """Sources by name, each after those that it uses, and lines of imports."""

    imports: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, thing: Any) -> None:
        """Add the source of a class or function and of what it uses of its own file.

        Raises InputError if there is no source, or if it uses what can neither be imported nor copied.
        """
        if thing.__name__ in self.texts:
            return
        try:
            text = textwrap.dedent(inspect.getsource(thing))
        except (OSError, TypeError) as error:
            raise InputError(
                Problem(f"{thing.__name__} cannot be copied: its source is not in a file", "--python")
            ) from error
        scope = vars(inspect.getmodule(thing))
        for name in _free_names(text):
            if name in scope and scope[name] is not thing:
                self._need(name, scope[name], thing)
        self.texts[thing.__name__] = text.rstrip() + "\n"

    def _need(self, name: str, value: Any, thing: Any) -> None:
        if isinstance(value, types.ModuleType):
            self.imports.add(_import(name, value.__name__))
        elif getattr(value, "__module__", None) == thing.__module__ and hasattr(value, "__qualname__"):
            self.add(value)
        elif hasattr(value, "__module__") and hasattr(value, "__qualname__"):
            alias = "" if value.__name__ == name else f" as {name}"
            self.imports.add(f"from {_public(value)} import {value.__name__}{alias}")
        elif _is_plain(value):
            self.texts.setdefault(name, f"{name} = {_literal(value)}\n")
        else:
            rule = f"it uses {name}, a {type(value).__name__} made when its file is read"
            raise InputError(Problem(f"{thing.__name__} cannot be copied: {rule}", "--python"))


def _import(name: str, module: str) -> str:
    parent, _, last = module.rpartition(".")
    if name == module:
        return f"import {module}"
    if name == last:
        return f"from {parent} import {last}"
    return f"from {parent} import {last} as {name}" if parent else f"import {module} as {name}"


def _public(value: Any) -> str:
    return "torch" if value.__module__ == "torch._tensor" else str(value.__module__)


def _free_names(text: str) -> list[str]:
    """Return the global names that a piece of source may read, in order."""
    found = [node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(found) if not hasattr(builtins, name)]


def _is_plain(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _literal(value: Any) -> str:
    return repr(value).replace("'", '"')
