"""What each validation sample adds to a figure, compact enough for a record, so that runs pair sample by sample."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archlab.core.errors import InputError, Problem
from archlab.tasks.metrics import Scores

Floats = NDArray[np.float64]
STEPS = 2**16 - 1
"""Steps of a stored share: it is exact to 1 / (2 * 65,535), so a figure of 0 to 100 is exact to 0.001."""
_FORMS = {"u1": "<u1", "u2": "<u2", "share": "<u2"}
MOST_BYTES = 2**26
"""The largest size of one list after decompression."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """The terms of one figure: 100 * sum(parts) / sum(wholes) over the samples, both (N,).

    PCK has a person's hits and labelled joints. Mean OKS has a person's OKS and 1.
    """

    parts: Floats
    wholes: Floats

    @classmethod
    def of(cls, parts: ArrayLike, wholes: ArrayLike = 1) -> Ratio:
        """Build a ratio from numbers of any type; one whole stands for all samples."""
        given = np.asarray(parts, np.float64)
        return cls(given, np.broadcast_to(np.asarray(wholes, np.float64), given.shape))

    @property
    def figure(self) -> float | None:
        """The figure, 0-100; None if the wholes are all 0."""
        whole = float(self.wholes.sum())
        return 100.0 * (float(self.parts.sum()) / whole) if whole else None


@dataclass(frozen=True)
class Terms:
    """The terms of a view's figures. samples: a digest of the samples' names, in order. ratios: by metric key."""

    samples: str
    ratios: Mapping[str, Ratio]

    def plain(self) -> dict[str, Any]:
        """Return JSON-able values: each list as its form and, in base64, its bytes compressed by zlib."""
        lists = {key: [_encoded(ratio.parts), _encoded(ratio.wholes)] for key, ratio in self.ratios.items()}
        return {"samples": self.samples, "ratios": lists}


@dataclass(frozen=True)
class Scored:
    """A network's figures by view and metric key and, for figures that are ratios of sums, their terms by view."""

    figures: dict[str, Scores]
    terms: Mapping[str, Terms] = field(default_factory=dict)

    def with_terms(self) -> dict[str, Any]:
        """Return `{"terms": ...}` by view as JSON-able values, for a row of metrics; empty without terms."""
        return {"terms": {view: terms.plain() for view, terms in self.terms.items()}} if self.terms else {}


def terms_of(plain: Mapping[str, Any], view: str, *, file: str = "") -> Terms | None:
    """Return the terms of a view from a record's `terms`, or None. Raises InputError if they are damaged."""
    found = plain.get(view)
    if found is None:
        return None
    try:
        ratios = {key: Ratio(_decoded(parts), _decoded(wholes)) for key, (parts, wholes) in found["ratios"].items()}
        lengths = {len(each) for ratio in ratios.values() for each in (ratio.parts, ratio.wholes)}
        if len(lengths) > 1:
            raise ValueError("lists of different lengths")
        return Terms(str(found["samples"]), ratios)
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
        raise InputError(Problem(f"damaged: {error}", f"terms.{view}", file)) from None


def digest_of(names: Iterable[Any]) -> str:
    """Return a digest of the samples' names: equal for the same samples in the same order."""
    return hashlib.sha256("\n".join(map(str, names)).encode()).hexdigest()[:16]


def _encoded(values: Floats) -> str:
    """Return whole numbers below 2^16 exactly, and shares from 0 to 1 in steps of 1 / 65,535."""
    form, numbers = ("share", np.rint(values * STEPS))
    if (values == np.rint(values)).all():
        form, numbers = ("u1" if values.max(initial=0) < 256 else "u2"), values
    assert ((numbers >= 0) & (numbers <= STEPS)).all(), "terms are counts or shares"
    return f"{form}:{base64.b64encode(zlib.compress(numbers.astype(_FORMS[form]).tobytes(), 9)).decode()}"


def _decoded(text: str) -> Floats:
    form, _, coded = text.partition(":")
    try:
        packed = base64.b64decode(coded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, MOST_BYTES)
    if not unpacker.eof or form not in _FORMS:
        raise ValueError("a list that is cut, too long, or of an unknown form")
    numbers: Floats = np.frombuffer(content, _FORMS[form]).astype(np.float64)
    return numbers / STEPS if form == "share" else numbers
