"""Where the workers of a search run: as processes of this machine, or placed on a cluster by Ray."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

from archlab.core import processes
from archlab.core.errors import InputError, Problem
from archlab.core.processes import Task, run

EngineName = Literal["processes", "ray"]
SMALLEST_SHARE = 1e-4
"""Of a GPU or core, that Ray knows."""


class Engine(Protocol):
    """What a search needs of one."""

    pins_gpus: bool
    """Whether it gives every task its own GPU"""

    def jobs(self) -> int:
        """Tasks at once where nobody says how many: one a GPU, or one a core where there is none."""

    def nodes(self) -> int:
        """Machines."""

    def finished(
        self, tasks: Iterable[Task], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        """As `archlab.processes.finished`."""


class Processes:
    """Of this machine."""

    pins_gpus = False

    def __init__(self, device: str | None) -> None:
        self._device = device

    def jobs(self) -> int:
        import torch

        from archlab.core.device import pick_device

        if pick_device(self._device).type == "cuda":
            return torch.cuda.device_count()
        return processes.default_jobs(self._device)

    def nodes(self) -> int:
        return 1

    def finished(
        self, tasks: Iterable[Task], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        return processes.finished(tasks, at_once=at_once, tick=tick, every_seconds=every_seconds)


class Ray:
    """Of a cluster: the one that RAY_ADDRESS names, or one of this machine alone.

    A task of Ray's holds a GPU, or a share of one, or cores where there is none or the CPU is asked for, and runs the
    command; should it die, the command ends with it. All machines see this folder under the same path.
    """

    pins_gpus = True

    def __init__(self, ray: Any, device: str | None) -> None:
        self._ray, self._device = ray, device

    def jobs(self) -> int:
        return max(1, int(self._of("GPU") or self._of("CPU")))

    def nodes(self) -> int:
        return sum(node["Alive"] for node in self._ray.nodes())

    def finished(
        self, tasks: Iterable[Task], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        waiting, running = enumerate(tasks), dict[Any, int]()
        start = self._ray.remote(max_retries=0, max_calls=1, **self._share(at_once))(run).remote
        try:
            while True:
                while len(running) < at_once and (following := next(waiting, None)):
                    number, task = following
                    running[start(replace(task, folder=Path.cwd()))] = number
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
        """What each of so many tasks holds."""
        if gpus := self._of("GPU"):
            return {"num_cpus": 0, "num_gpus": _part(min(1.0, gpus / at_once))}
        cores = self._of("CPU") / at_once
        return {"num_cpus": int(cores) if cores >= 1 else _part(cores)}

    def _code(self, ended: Any) -> int:
        """The command's exit code; 1 where Ray lost the process that ran it."""
        try:
            return int(self._ray.get(ended))
        except self._ray.exceptions.RayError:
            return 1

    def _stop(self, running: list[Any]) -> None:
        """Interrupt them, so that they end their commands; those that do not end are killed."""
        for each in running:
            self._ray.cancel(each)
        _, left = self._ray.wait(running, num_returns=len(running), timeout=15) if running else ([], [])
        for each in left:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(each, force=True)


def _part(share: float) -> float:
    """Rounded down to what Ray counts in, so that as many as are meant to fit do."""
    return max(SMALLEST_SHARE, int(share / SMALLEST_SHARE) * SMALLEST_SHARE)


@contextmanager
def engine(name: EngineName, device: str | None) -> Iterator[Engine]:
    """The engine of this name, connected; InputError where Ray is not installed or its cluster cannot be reached."""
    if name == "processes":
        yield Processes(device)
        return
    if importlib.util.find_spec("ray") is None:
        raise InputError(Problem("Ray is not installed: pip install 'archlab[ray]'", "--engine"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(log_to_driver=False, **({"address": address} if address else {"include_dashboard": False}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            Problem(f"the cluster cannot be used: {error}", "--engine", f"RAY_ADDRESS={address}")
        ) from None
    try:
        yield Ray(ray, device)
    finally:
        ray.shutdown()
