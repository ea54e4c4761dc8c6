"""What an ONNX file says of itself."""

from __future__ import annotations

from importlib.util import find_spec

from archlab.core.errors import InputError, Problem

PREFIX = "archlab."
"""The beginning of the keys in a file's metadata."""


def check_installed(field: str) -> None:
    """Raise InputError if a package of the extra is missing."""
    if missing := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise InputError(Problem(f"{' and '.join(missing)} not installed; run pip install 'archlab[onnx]'", field))
