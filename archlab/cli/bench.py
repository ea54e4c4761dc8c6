"""The command that measures the time of networks."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.cli import options
from archlab.cli.output import print_json, print_sheets
from archlab.cli.parser import Parser
from archlab.core import notes
from archlab.core.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from archlab.deploy.bench.parts import Part
    from archlab.deploy.bench.session import Scored, Session
    from archlab.network.graph import Graph
    from archlab.training.trained import Trained

RUNTIMES = ("eager", "folded", "compile", "cudagraph", "onnxruntime", "openvino")
MOST_IMAGES = 2**16
DTYPES = ("float32", "float64", "bfloat16", "float16")


def bench(o: argparse.Namespace) -> None:
    """Measure the time of networks in several runtimes, which take turns.

    Every round runs each network once in each runtime, so that a load on the
    machine meets all of them.
    """
    import archlab
    from archlab.network.load import load_at

    trained = _trained(o)
    graphs = [each.graph for each in trained] or [
        archlab.assemble(load_at(spec, o.input, plugin=o.plugin)) for spec in o.specs
    ]
    scores = _scores(o, trained)  # first, since wrong data would show only after minutes of measuring
    sessions = [_session(o, graphs, threads) for threads in o.threads or (None,)]
    parts = _profile(o, graphs) if o.profile else {}
    for session in sessions if o.save else ():
        _save(o.save, session)
    if o.json:
        print_json({**_as_json(sessions, parts), **({"scores": [asdict(each) for each in scores]} if scores else {})})
    else:
        _print(sessions, parts, scores)


def _trained(o: argparse.Namespace) -> list[Trained]:
    """Return the networks with their weights, if they are scored; none without a score."""
    from archlab.training.trained import open_network

    if o.weights and not o.score:
        raise InputError(Problem("time does not depend on weights: they are for --score", "--weights"))
    if o.weights and len(o.specs) > 1:
        raise InputError(Problem("the weights are of one network: name it alone, or name runs", "--weights"))
    if o.score and o.input:
        raise InputError(Problem("a network is scored at the input of its recipe", "--input"))
    named = o.specs if o.score else ()
    return [open_network(spec, o.weights, recipe=o.recipe, plugin=o.plugin) for spec in named]


def _scores(o: argparse.Namespace, trained: list[Trained]) -> list[Scored]:
    """Return the score of each trained network in each form."""
    if not trained:
        return []
    import torch

    from archlab.core.device import pick_device
    from archlab.deploy.bench.runtimes import Setting
    from archlab.deploy.bench.score import score_forms

    threads = (o.threads or (torch.get_num_threads(),))[0]
    setting = Setting(pick_device(o.device or "cpu"), 1, threads, getattr(torch, o.dtype))
    return [scored for each in trained for scored in score_forms(each, o.runtime, setting, o.score)]


def _session(o: argparse.Namespace, graphs: list[Graph], threads: int | None) -> Session:
    import torch

    from archlab.core.device import pick_device
    from archlab.core.progress import progress
    from archlab.deploy.bench.measure import measure
    from archlab.deploy.bench.runtimes import Setting

    device = pick_device(o.device or "cpu")
    setting = Setting(device, 1, threads or torch.get_num_threads(), getattr(torch, o.dtype))
    with progress("measuring", o.rounds) as advance:
        return measure(graphs, o.runtime, setting, batches=o.batch, rounds=o.rounds, advance=advance)


def _profile(o: argparse.Namespace, graphs: list[Graph]) -> dict[str, list[Part]]:
    """Return where each network's time goes, on the CPU, and draw it."""
    from archlab.deploy.bench.profile import profile
    from archlab.report.latency_plot import profile_bars
    from archlab.report.style import save

    threads = (o.threads or (1,))[0]
    parts = {graph.name: profile(graph, threads=threads, batch=o.batch[0]) for graph in graphs}
    if o.draw:
        save(profile_bars(parts), [o.draw])
        notes.note(f"wrote {o.draw}")
    return parts


def _save(path: Path, session: Session) -> None:
    from archlab.deploy.bench.record import save, slug

    path = path if path.suffix == ".json" else path / f"{slug(session.machine)}.json"
    save(path, session)
    notes.note(f"wrote {path}")


def _as_json(sessions: list[Session], parts: dict[str, list[Part]]) -> dict[str, object]:
    profiles = {name: [asdict(part) for part in each] for name, each in parts.items()}
    return {"sessions": [asdict(each) for each in sessions], **({"profile": profiles} if profiles else {})}


def _print(sessions: list[Session], parts: dict[str, list[Part]], scores: list[Scored]) -> None:
    from archlab.report.latency import profile_tables, score_table, session_table

    profiles = (each for name in parts for each in profile_tables(name, parts[name]))
    print_sheets(*map(session_table, sessions), *([score_table(scores, sessions[0])] if scores else []), *profiles)


def _runtimes(text: str) -> tuple[str, ...]:
    """Return the runtimes in a list with commas. Raises ArgumentTypeError for one that does not exist."""
    names = tuple(text.split(","))
    for name in names:
        if name not in RUNTIMES:
            raise argparse.ArgumentTypeError(f"no runtime is called {name!r}{nearest(name, RUNTIMES)}")
    return names


def _batches(text: str) -> tuple[int, ...]:
    return tuple(options.at_most(MOST_IMAGES, each) for each in text.split(","))


def _threads(text: str) -> tuple[int, ...]:
    return tuple(options.threads(each) for each in text.split(","))


def bench_arguments(p: Parser) -> None:
    p.add_argument("specs", nargs="+", metavar="SPEC", help="networks: built-in names or YAML files")
    p.add_argument("--input", type=options.size, metavar="HxW", help="input size (default: each network's)")
    p.add_argument("--batch", type=_batches, default=(1,), metavar="N[,N]", help="images a pass (default: 1)")
    p.add_argument("--threads", type=_threads, metavar="N[,N]", help="CPU threads; each is a session (default: all)")
    p.add_argument("--runtime", type=_runtimes, default=("eager", "folded"), metavar="NAME[,NAME]",
                   help=f"of {', '.join(RUNTIMES)} (default: eager,folded)")  # fmt: skip
    p.add_argument("--dtype", choices=DTYPES, default="float32", metavar="TYPE", help="float32, bfloat16, ...")
    p.add_argument("--rounds", type=options.positive, default=20, metavar="N", help="turns of each (default: 20)")
    p.add_argument("--score", type=Path, metavar="DATA",
                   help="score runs, or a network with --weights, in each form too, on a data folder")  # fmt: skip
    p.add_argument("--weights", type=Path, metavar="FILE", help="weights to score, ours or released")
    p.add_argument("--recipe", metavar="RECIPE", help="how weights are scored (default: the run's; else pose)")
    p.add_argument("--profile", action="store_true", help="show where the time goes, by block and by operator")
    p.add_argument("--draw", type=options.picture, metavar="FILE", help="draw the profile as bars, as .png or .svg")
    p.add_argument("--save", type=Path, metavar="PATH", help="add to a machine's record: a .json file, or its folder")
    options.device(p)
    options.plugin(p)
    options.json_output(p)
