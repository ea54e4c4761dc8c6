"""Candidates a second through the gate of a search, against building each network and tracing it with fvcore.

    python benchmarks/search_gate.py --out benchmarks/results/search_gate.json

Candidates are drawn at random and checked 1,000 at a time: counted, held to the space's limits, and those that pass
compared with all before them. Those that pass are then read from their documents and hashed, each in processor
milliseconds of its own row. Every turn is a new process, so that nothing is remembered before its first candidate; it
gives its processor seconds on one thread, and the row their median. The peer's candidates are the first of the same
draw, built and traced in a process of their own in the same run. The last row is `archlab sample SPACE -n 2000 --json`
as a process, with its start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from archlab.search.space.gate import Checked, Gate
from archlab.search.space.points import sample
from archlab.search.space.space import Space, load_space

SPACES = ("lite_hrnet", "hybrid")
EACH = 1_000
MARKS = (1_000, 5_000)
HASHED, TRACED, SAMPLED = 300, 3, 2_000
PEER = "built and traced with fvcore (the peer)"


@dataclass(frozen=True)
class Row:
    """Measured: processor milliseconds a candidate, and how many times the peer's speed that is.

    `passed`: the gate, once each; in the row of hashes, how many of those differ.
    """

    space: str
    what: str
    candidates: int
    passed: int | None
    milliseconds: float
    candidates_per_second: float
    ratio: float
    aim: str | None


def looked(space: Space, seed: int) -> Iterator[list[Checked]]:
    """The candidates that pass, of EACH drawn at random at a time."""
    gate, random = Gate(space), Random(seed)
    while True:
        yield gate.pass_many([sample(space, random) for _ in range(EACH)])


def through_the_gate(space: Space, seed: int) -> dict[str, list[float]]:
    """Seconds and how many passed until each mark; then seconds of the specs and hashes of HASHED that pass."""
    found: list[Checked] = []
    seconds: dict[str, list[float]] = {}
    start = time.process_time()
    for i, passed in enumerate(islice(looked(space, seed), MARKS[-1] // EACH), start=1):
        found += passed
        if i * EACH in MARKS:
            seconds[str(i * EACH)] = [time.process_time() - start, len(found)]
    hashed = found[:HASHED]
    start = time.process_time()
    specs = [each.spec for each in hashed]
    read = time.process_time()
    distinct = len({each.hash for each in hashed})
    return seconds | {
        "read": [read - start, len(specs), len(specs)],
        "hashed": [time.process_time() - read, len(specs), distinct],
    }


def traced(space: Space, seed: int) -> dict[str, list[float]]:
    """Seconds of building TRACED candidates and tracing them; the counts must be the gate's."""
    import torch

    import archlab
    from archlab.counting.modules import trace

    torch.set_num_threads(1)
    found = next(looked(space, seed))[: TRACED + 1]
    seconds = 0.0
    for i, each in enumerate(found):
        start = time.process_time()
        assert each.spec
        assert each.cost
        made = trace(archlab.build(each.spec).eval(), (torch.zeros(1, *each.spec.input),))
        seconds += time.process_time() - start if i else 0.0  # the first also loads torch
        assert made == (each.cost.fvcore, each.cost.paper, each.cost.activations)
    return {"traced": [seconds, TRACED]}


def in_a_new_process(what: str, space: str, seed: int) -> dict[str, list[float]]:
    command = [sys.executable, __file__, "--measure", what, space, str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, list[float]] = json.loads(made.stdout)
    return found


def sampled(space: str) -> float:
    """Processor seconds of the command that samples a space."""
    command = [sys.executable, "-m", "archlab", "sample", space, "-n", str(SAMPLED), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(space: str, turns: int, seed: int) -> list[Row]:
    """The rows of a space; every turn draws other candidates."""
    gates = [in_a_new_process("gate", space, seed + turn) for turn in range(turns)]
    peers = [in_a_new_process("trace", space, seed + turn)["traced"] for turn in range(turns)]
    peer = median(seconds / count for seconds, count in peers)
    rows = []
    for mark in map(str, MARKS):
        each = median(gate[mark][0] for gate in gates) / int(mark)
        passed = int(median(gate[mark][1] for gate in gates))
        what = f"gate, the first {int(mark):,} from an empty memory"
        rows.append(Row(space, what, int(mark), passed, 1e3 * each, 1 / each, peer / each, "5,000/s"))
    for name, what, aim in (
        ("read", "what passed, read as a spec", None),
        ("hashed", "graph and canonical hash", "2 ms"),
    ):
        each = median(gate[name][0] / gate[name][1] for gate in gates)
        distinct = min(int(gate[name][2]) for gate in gates)
        rows.append(Row(space, what, HASHED, distinct, 1e3 * each, 1 / each, peer / each, aim))
    each = median(sampled(space) for _ in range(turns)) / SAMPLED
    rows.append(Row(space, f"archlab sample -n {SAMPLED}", SAMPLED, None, 1e3 * each, 1 / each, peer / each, "3 ms"))
    rows.append(Row(space, PEER, TRACED, None, 1e3 * peer, 1 / peer, 1.0, None))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, space, seed = options.measure
        found = {"gate": through_the_gate, "trace": traced}[what](load_space(space), int(seed))
        print(json.dumps(found))
        return
    report(options.turns, options.seed, options.out)


def report(turns: int, seed: int, out: Path | None) -> None:
    """Measure, print a table, and write the figures if asked to."""
    import torch
    from common import describe
    from rich.console import Console
    from rich.table import Table

    from archlab.core.files import write_json

    torch.set_num_threads(1)
    rows = [row for space in SPACES for row in measure(space, turns, seed)]
    result = {**describe("search_gate", torch.device("cpu")), "turns": turns, "rows": [asdict(row) for row in rows]}
    table = Table("space", "what", "ms", "candidates/s", "ratio", title=result["device"])
    for row in rows:
        figures = f"{row.milliseconds:.3g}", f"{row.candidates_per_second:.0f}", f"{row.ratio:.0f}"
        table.add_row(row.space, row.what, *figures)
    Console().print(table)
    if out:
        write_json(out, result)


if __name__ == "__main__":
    main()
