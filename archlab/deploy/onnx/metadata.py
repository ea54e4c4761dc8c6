"""What an ONNX file says of itself, read without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from archlab.core.errors import InputError, Problem

PREFIX = "archlab."
"""The beginning of the keys in a file's metadata."""


@dataclass(frozen=True)
class About:
    """A file's statements. input: channels, height, width. names: of the outputs. recipe: as YAML."""

    task: str
    input: tuple[int, int, int]
    names: tuple[str, ...]
    recipe: str


def check_installed(field: str, packages: Sequence[str] = ("onnx", "onnxruntime"), *, extra: str = "onnx") -> None:
    """Raise InputError if a package of an extra is missing."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise InputError(Problem(f"{' and '.join(missing)} not installed; run pip install 'archlab[{extra}]'", field))


def read(stated: Mapping[str, str], file: Path) -> About:
    """Return what a file's metadata state. Raises InputError if they are not those of `archlab export --onnx`."""
    of = {key.removeprefix(PREFIX): value for key, value in stated.items() if key.startswith(PREFIX)}
    try:
        channels, height, width = json.loads(of["input"])
        names = json.loads(of.get("keypoints") or of["classes"])
        return About(of["task"], (channels, height, width), tuple(names), of["recipe"])
    except (KeyError, TypeError, ValueError):
        rule = "says nothing of its input and outputs: only files of `archlab export --onnx` are read"
        raise InputError(Problem(rule, file=str(file))) from None
