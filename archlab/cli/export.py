"""The command that writes a network in other forms."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.cli import options
from archlab.cli.output import print_json
from archlab.cli.parser import Parser
from archlab.core import notes
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.network.graph import Graph
    from archlab.network.module import Network


@dataclass(frozen=True)
class Source:
    """What is exported. yaml: its text. weights: the file of its trained weights, None if there is none."""

    name: str
    graph: Graph
    yaml: str
    weights: Path | None

    def network(self) -> Network:
        """Return the network with its weights. Raises InputError if there are none, or if they do not fit."""
        from archlab.network.checkpoint import load_weights
        from archlab.network.module import build

        if self.weights is None:
            raise InputError(Problem(f"{self.name} has no weights: name a file", "--weights"))
        network = build(self.graph).eval()
        load_weights(network, self.weights)
        return network


def export(o: argparse.Namespace) -> None:
    """Write a network as YAML or plain PyTorch, or its weights.

    SOURCE is a network's name or file, a run folder, or a search, with a trial's
    NUMBER. Without a form, YAML is printed.
    """
    if o.out and o.out.suffix not in {".yaml", ".yml"}:
        raise InputError(Problem("a network's file ends in .yaml", "--out", str(o.out)))
    source = _trial(o) if o.number else _network(o)
    written = dict(_written(o, source))
    if o.json:
        about = {"name": source.name, "hash": source.graph.hash, "file": str(o.out) if o.out else None}
        print_json({**about, "yaml": source.yaml, **{form: str(path) for form, path in written.items()}})
    elif not written and not o.out:
        print(source.yaml, end="")


def _written(o: argparse.Namespace, source: Source) -> list[tuple[str, Path]]:
    """Write every form that is asked for; return them with their files."""
    from archlab.core.files import write_text

    forms: list[tuple[str, Path]] = []
    if o.released_keys and not o.save_weights:
        raise InputError(Problem("says how weights are saved: name their file by --save-weights", "--released-keys"))
    if o.python and o.python.suffix != ".py":
        raise InputError(Problem("a Python file ends in .py", "--python", str(o.python)))
    if o.python:
        from archlab.deploy.plain import python_source

        write_text(o.python, python_source(source.graph))
        forms.append(("python", o.python))
    if o.save_weights:
        from archlab.network.checkpoint import save_weights

        save_weights(source.network(), o.save_weights, released_keys=o.released_keys)
        forms.append(("weights", o.save_weights))
    if o.out:
        write_text(o.out, source.yaml)
    for path in [*([o.out] if o.out else []), *(path for _, path in forms)]:
        notes.note(f"wrote {path}")
    return forms


def _trial(o: argparse.Namespace) -> Source:
    from archlab.network.graph import assemble
    from archlab.search import candidates
    from archlab.search.candidates import result_of

    result = result_of(o.spec, searches=o.searches, storage=o.storage, data=o.data, plugin=tuple(o.plugin))
    candidate = candidates.candidate_of(result, o.number)
    graph = assemble(candidates.spec_of(candidate, o.plugin))
    own = candidates.weights_of(result, candidate, o.searches)
    return Source(candidate.name, graph, candidates.as_variant(result, candidate), o.weights or own)


def _network(o: argparse.Namespace) -> Source:
    from archlab import yamlio
    from archlab.network.checkpoint import outputs_in
    from archlab.network.graph import assemble
    from archlab.training.trained import is_run

    run = Path(o.spec) if is_run(o.spec) else None
    weights = o.weights or (run / "checkpoint.pt" if run else None)
    outputs = outputs_in(weights) if weights else None
    o.spec = str(run / "spec.yaml") if run else o.spec
    spec = options.spec(o, input=o.input, outputs=outputs)
    return Source(spec.name, assemble(spec), yamlio.dump(spec.document.plain()), weights)


def export_arguments(p: Parser) -> None:
    options.network(p, of="SOURCE", help="a network's name or file, a run folder, or a search")
    p.add_argument("number", nargs="?", metavar="NUMBER", help="the trial's number, of a search")
    p.add_argument("--input", type=options.size, metavar="HxW", help="input size (default: from the network)")
    p.add_argument("--weights", type=Path, metavar="FILE", help="weights, ours or released (default: the run's)")
    p.add_argument("--out", type=Path, metavar="FILE.yaml", help="file for the YAML (default: print it)")
    p.add_argument("--python", type=Path, metavar="FILE.py", help="write the network in plain PyTorch, without archlab")
    p.add_argument("--save-weights", type=Path, metavar="FILE", help="write the weights, as .safetensors or .pt")
    p.add_argument("--released-keys", action="store_true", help="save weights under the released key names")
    options.searched(p)
    options.plugin(p)
    options.json_output(p, "print JSON instead of text")
