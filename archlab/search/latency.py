"""The measured time of candidates: each network once on a machine, and a prediction by which the gate refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from archlab.core.device import device_name, pick_device
from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json, write_json
from archlab.deploy.bench.predict import Predictor, fit, milliseconds_of, read_predictor
from archlab.deploy.bench.record import slug
from archlab.deploy.bench.runtimes import Setting, Skipped
from archlab.network.graph import Graph, assemble
from archlab.network.spec import Spec
from archlab.search.config import LATENCY, LatencyForm
from archlab.search.space.gate import Checked, check
from archlab.search.space.points import sample
from archlab.search.space.space import CostRange, Space

FITTED = 8
"""The number of networks of a space that a predictor is fitted to."""
LEAST_MARGIN = 0.1
DRAWS = 1_000


@dataclass(frozen=True)
class Stopwatch:
    """Measures networks in one runtime on this machine. folder: keeps what was measured, by hash and machine."""

    form: LatencyForm
    folder: Path

    @property
    def setting(self) -> Setting:
        return Setting(pick_device(self.form.device), self.form.batch, self.form.threads)

    def milliseconds(self, spec: Spec) -> float:
        """Return a network's milliseconds: as measured before on this machine, else measured now."""
        graph = assemble(spec)
        path = self._path(graph.hash)
        if path.is_file():
            return float(read_json(path, "measured time")["milliseconds"])
        found = round(self._measured(graph), 4)
        write_json(
            path, {"milliseconds": found, "hash": graph.hash, "machine": self._machine, "setting": self.form.about}
        )
        return found

    def predictor(self, space: Space) -> Predictor:
        """Return the predictor of a space's networks: as fitted before on this machine, else fitted now."""
        path = self._path(f"predictor_{space.name}_{size_of(space)}")
        if not path.is_file():
            fit(_drawn(space, FITTED), self.form.runtime, self.setting).save(path)
        return read_predictor(path)

    def _measured(self, graph: Graph) -> float:
        try:
            return milliseconds_of(graph, self.form.runtime, self.setting, rounds=self.form.rounds)
        except Skipped as reason:
            raise InputError(Problem(f"cannot be measured: {reason}", "latency.runtime")) from None

    @property
    def _machine(self) -> str:
        return device_name(self.setting.device)

    def _path(self, name: str) -> Path:
        return self.folder / slug(f"{self._machine} {self.form.about}") / f"{name}.json"


def size_of(space: Space) -> str:
    """Return a space's input as part of a file's name."""
    return "x".join(map(str, _drawn(space, 1)[0].input))


def _drawn(space: Space, count: int) -> list[Graph]:
    """Return random networks of a space, whatever they cost."""
    random, found = Random(0), dict[str, Graph]()
    for _ in range(DRAWS):
        if len(found) == count:
            break
        if spec := check(space, sample(space, random)).spec:
            graph = assemble(spec)
            found.setdefault(graph.hash, graph)
    return list(found.values())


@dataclass
class PredictedLimit:
    """Refuses candidates whose predicted time breaks a limit by more than the predictor's error."""

    limit: CostRange
    predictor: Predictor
    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, found: Checked) -> str:
        """Return `latency` if a candidate is refused, else nothing."""
        if found.hash not in self._known:
            assert found.spec is not None
            self._known[found.hash] = LATENCY if self._breaks(self.predictor.milliseconds(assemble(found.spec))) else ""
        return self._known[found.hash]

    def _breaks(self, milliseconds: float) -> bool:
        return self.limit.excess(milliseconds) > max(LEAST_MARGIN, self.predictor.error)
