"""What a measurement of time holds: its machine, and the times of each network in each runtime."""

from __future__ import annotations

from dataclasses import dataclass

from archlab.blocks.wiring import Shape


@dataclass(frozen=True)
class Row:
    """A network in one runtime.

    milliseconds: of each round; rounds of all rows of a session were taken in turn, so that they pair. launches:
    operators a pass. peak_mib: the most memory that tensors take in a pass. macs: multiply-adds of fvcore's counter and
    of a batch; bytes: what its operators read and write if none is fused.
    """

    network: str
    hash: str
    input: Shape
    batch: int
    runtime: str
    milliseconds: tuple[float, ...]
    launches: int | None
    peak_mib: float | None
    macs: int
    bytes: int


@dataclass(frozen=True)
class Session:
    """What was measured in turn. clock: `processor` counts one thread's own time, `wall` the time that passes.

    gemm_macs, copy_bytes: the most multiply-adds a second of a product of 1024x1024 matrices, and bytes a second read
    and written by a copy of 128 MiB, measured in the same rounds.
    """

    machine: str
    cores: int
    device: str
    threads: int
    dtype: str
    date: str
    clock: str
    clock_mhz: tuple[float, float] | None
    load_average: float | None
    versions: dict[str, str]
    gemm_macs: float
    copy_bytes: float
    rows: tuple[Row, ...]
    skipped: tuple[str, ...] = ()

    def of(self, runtime: str, batch: int = 1) -> list[Row]:
        """Return the rows of a runtime at a batch."""
        return [row for row in self.rows if (row.runtime, row.batch) == (runtime, batch)]


@dataclass(frozen=True)
class Scored:
    """A network's first figure in one runtime and type. loss: how much lower than eager in float32."""

    network: str
    hash: str
    runtime: str
    dtype: str
    metric: str
    value: float | None
    loss: float | None
