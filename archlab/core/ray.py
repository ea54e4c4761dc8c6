"""The engine that places commands on a cluster with Ray, and the choice between engines."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from archlab.core.errors import InputError, Problem
from archlab.core.processes import CommandLine, Engine, Processes, run

EngineName = Literal["processes", "ray"]
SMALLEST_SHARE = 1e-4
"""The smallest share of a GPU or core that Ray can assign."""


class Ray:
    """The engine that runs commands on a Ray cluster: the one at RAY_ADDRESS, or a cluster of this machine only.

    Each command runs in a Ray task, which holds a GPU or a share of one; without a GPU, or if the CPU is requested, it
    holds cores. A command ends with its Ray task. All machines must have the working directory at the same path.
    """

    pins_gpus = True

    def __init__(self, ray: Any, device: str | None) -> None:
        self._ray, self._device = ray, device

    def jobs(self) -> int:
        return max(1, int(self._of("GPU") or self._of("CPU")))

    def nodes(self) -> int:
        return sum(node["Alive"] for node in self._ray.nodes())

    def finished(
        self, commands: Iterable[CommandLine], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        waiting, running = enumerate(commands), dict[Any, int]()
        start = self._ray.remote(max_retries=0, max_calls=1, **self._share(at_once))(run).remote
        try:
            while True:
                while len(running) < at_once and (following := next(waiting, None)):
                    number, command = following
                    running[start(replace(command, folder=Path.cwd()))] = number
                if not running:
                    return
                ended, _ = self._ray.wait(list(running), timeout=every_seconds)
                for each in ended:
                    yield running.pop(each), self._code(each)
                tick()
        finally:
            self._stop(list(running))

    def _of(self, resource: str) -> float:
        if resource == "GPU" and self._device not in (None, "cuda"):
            return 0.0
        return float(self._ray.cluster_resources().get(resource, 0))

    def _share(self, at_once: int) -> dict[str, float]:
        """Return the resources that each of `at_once` commands holds."""
        if gpus := self._of("GPU"):
            return {"num_cpus": 0, "num_gpus": _part(min(1.0, gpus / at_once))}
        cores = self._of("CPU") / at_once
        return {"num_cpus": int(cores) if cores >= 1 else _part(cores)}

    def _code(self, ended: Any) -> int:
        """Return the command's exit code, or 1 if Ray lost the process that ran it."""
        try:
            return int(self._ray.get(ended))
        except self._ray.exceptions.RayError:
            return 1

    def _stop(self, running: list[Any]) -> None:
        """Interrupt the Ray tasks so that they end their commands; kill those that do not end."""
        for each in running:
            self._ray.cancel(each)
        _, left = self._ray.wait(running, num_returns=len(running), timeout=15) if running else ([], [])
        for each in left:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(each, force=True)


def _part(share: float) -> float:
    """Round a share down to a multiple of the smallest, so that all planned commands fit."""
    return max(SMALLEST_SHARE, int(share / SMALLEST_SHARE) * SMALLEST_SHARE)


@contextmanager
def engine(name: EngineName, device: str | None) -> Iterator[Engine]:
    """Yield the connected engine of this name. Raises InputError if Ray is missing or its cluster unreachable."""
    if name == "processes":
        yield Processes(device)
        return
    if importlib.util.find_spec("ray") is None:
        raise InputError(Problem("Ray is not installed; run pip install 'archlab[ray]'", "--engine"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(log_to_driver=False, **({"address": address} if address else {"include_dashboard": False}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            Problem(f"cannot connect to the Ray cluster: {error}", "--engine", f"RAY_ADDRESS={address}")
        ) from None
    try:
        yield Ray(ray, device)
    finally:
        ray.shutdown()
