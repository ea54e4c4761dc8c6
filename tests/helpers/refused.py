"""Refusals of a user's input: the place of the first problem and the values that it names, whatever its prose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archlab.core.errors import InputError


@contextmanager
def refused(
    *values: object,
    file: Path | str | None = None,
    line: int | None = None,
    field: str | None = None,
    error: type[InputError] = InputError,
) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Assert that the block raises an InputError whose first problem stands at this place and names these values.

    Values stand in the message as `str` writes them; a place that is not given is not compared.
    """
    with pytest.raises(error) as caught:
        yield caught
    first = caught.value.problems[0]
    wanted = {"file": None if file is None else str(file), "line": line, "field": field}
    for name, value in wanted.items():
        assert value is None or getattr(first, name) == value, f"{name} of {first!r}"
    for value in values:
        assert str(value) in first.message, f"no {value} in {first!r}"
