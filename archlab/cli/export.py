"""The command that writes a network in other forms."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli import options
from archlab.cli.output import print_json, print_table
from archlab.cli.parser import Parser
from archlab.core import notes
from archlab.core.errors import InputError, Problem

if TYPE_CHECKING:
    from archlab.deploy.onnx.file import Exported
    from archlab.network.graph import Graph
    from archlab.network.module import Network
    from archlab.training.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """What is exported. yaml: its text. weights: the file of its trained weights, None if there is none.

    run: the folder of its training, None if there is none.
    """

    name: str
    graph: Graph
    yaml: str
    weights: Path | None
    run: Path | None

    def network(self) -> Network:
        """Return the network with its weights. Raises InputError if there are none, or if they do not fit."""
        from archlab.network.checkpoint import load_weights
        from archlab.network.module import build

        if self.weights is None:
            raise InputError(Problem(f"{self.name} has no weights: name a file", "--weights"))
        network = build(self.graph).eval()
        load_weights(network, self.weights)
        return network

    def looks(self, o: argparse.Namespace) -> tuple[Recipe, tuple[str, ...] | None]:
        """Return how the network looks at pictures, and the names of its outputs, None if they are not recorded."""
        from archlab.training.recipe import Recipe, load_recipe
        from archlab.training.runs import read_record

        if not self.run and not o.recipe:
            return replace(Recipe(), input=self.graph.input[1:]), None  # type: ignore[arg-type]
        recipe = load_recipe(o.recipe or self.run / "recipe.yaml", plugin=o.plugin)  # type: ignore[operator]
        names = read_record(self.run).data.get(recipe.task.outputs_are) if self.run else None
        return recipe, tuple(names) if isinstance(names, list) else None


@dataclass(frozen=True)
class Form:
    """One form of the network, ready to be written. report: what is said of it, by name."""

    name: str
    path: Path
    write: Callable[[], None]
    report: Mapping[str, Any] = field(default_factory=dict)


def export(o: argparse.Namespace) -> None:
    """Write a network as YAML, plain PyTorch or ONNX, or its weights.

    SOURCE is a network's name or file, a run folder, or a search, with a trial's
    NUMBER. Without a form, YAML is printed.
    """
    _check(o)
    source = _trial(o) if o.number else _network(o)
    forms = [make(o, source) for option, make in FORMS.items() if getattr(o, option)]
    for form in forms:
        form.write()
        notes.note(f"wrote {form.path}")
    if o.json:
        about = {"name": source.name, "hash": source.graph.hash, "file": str(o.out) if o.out else None}
        written = {form.name: str(form.path) for form in forms if form.name != "out"}
        print_json(
            {**about, "yaml": source.yaml, **written, **{k: v for form in forms for k, v in form.report.items()}}
        )
    elif not forms:
        print(source.yaml, end="")
    else:
        _print_operators(forms)


ENDINGS = {"out": (".yaml", ".yml"), "python": (".py",), "onnx": (".onnx",)}


def _check(o: argparse.Namespace) -> None:
    """Raise InputError for files of other endings, and for options of a form that is not asked for."""
    problems = []
    for option, endings in ENDINGS.items():
        if (path := getattr(o, option)) and path.suffix not in endings:
            problems.append(Problem(f"the file's name must end in {endings[0]}", f"--{option}", str(path)))
    if o.released_keys and not o.save_weights:
        problems.append(Problem("says how weights are saved: name their file by --save-weights", "--released-keys"))
    if (o.dynamic_batch or o.opset) and not o.onnx:
        problems.append(Problem("is for ONNX: name its file by --onnx", "--opset" if o.opset else "--dynamic-batch"))
    if o.quantize and not (o.onnx and o.calibrate):
        problems.append(Problem("needs --onnx FILE, and pictures by --calibrate FOLDER", "--quantize"))
    if (o.calibrate or o.images) and not o.quantize:
        problems.append(Problem("is for --quantize int8", "--calibrate" if o.calibrate else "--images"))
    if problems:
        raise InputError(problems)


def _yaml(o: argparse.Namespace, source: Source) -> Form:
    from archlab.core.files import write_text

    return Form("out", o.out, partial(write_text, o.out, source.yaml))


def _python(o: argparse.Namespace, source: Source) -> Form:
    from archlab.core.files import write_text
    from archlab.deploy.plain import python_source

    return Form("python", o.python, partial(write_text, o.python, python_source(source.graph)))


def _onnx(o: argparse.Namespace, source: Source) -> Form:
    from archlab.deploy.onnx.file import DEFAULT, export_onnx, real_images

    recipe, names = source.looks(o)
    images = real_images(recipe, o.data, source.graph.input) if o.data and not o.number else ()
    made = export_onnx(source.network(), recipe, names, dynamic_batch=o.dynamic_batch, opset=o.opset or DEFAULT,
                       images=images, whole=not o.quantize)  # fmt: skip
    report = {"operators": made.operators, "difference": made.difference, "images": made.images}
    if not o.quantize:
        return Form("onnx", o.onnx, partial(made.write, o.onnx), report)
    small, about = _quantized(o, made, recipe)
    return Form("onnx", o.onnx, partial(small.write, o.onnx), {**report, "operators": small.operators, "int8": about})


def _quantized(o: argparse.Namespace, made: Exported, recipe: Recipe) -> tuple[Exported, dict[str, Any]]:
    """Return a model in int8, and what it loses: against the float model, and with data in score."""
    from archlab.deploy.onnx.quantize import PICTURES, quantize, score

    found = quantize(made, recipe, o.calibrate, o.images or PICTURES)
    about: dict[str, Any] = {"pictures": found.pictures, "difference": found.difference, "score": None}
    if o.data:
        metric, before = score(made, recipe, o.data)
        about["score"] = {"metric": metric.title, "float": before, "int8": score(found.model, recipe, o.data)[1]}
    return found.model, about


def _weights(o: argparse.Namespace, source: Source) -> Form:
    from archlab.network.checkpoint import check_savable, save_weights

    network = source.network()
    check_savable(network, o.save_weights, released_keys=o.released_keys)
    return Form(
        "weights", o.save_weights, partial(save_weights, network, o.save_weights, released_keys=o.released_keys)
    )


FORMS: Mapping[str, Callable[[argparse.Namespace, Source], Form]] = {
    "python": _python,
    "onnx": _onnx,
    "save_weights": _weights,
    "out": _yaml,
}


def _print_operators(forms: list[Form]) -> None:
    """Print the operators of an ONNX file, and how far it is from PyTorch."""
    from rich.table import Table

    for form in forms:
        if "operators" in form.report:
            table = Table("operator", "number")
            table.columns[1].justify = "right"
            for name, count in form.report["operators"].items():
                table.add_row(name, str(count))
            print_table(table)
            images, difference = form.report["images"], form.report["difference"]
            notes.note(f"ONNX Runtime's output on {images} images: {difference:.1e} of its scale from PyTorch's")
            for line in _loss(form.report.get("int8")):
                notes.note(line)


def _loss(about: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what is known of the loss by int8."""
    if about:
        pictures = f"{about['pictures']} calibration pictures"
        yield f"int8: output differs by {about['difference']:.1%} of its root mean square on {pictures}"
        scores = about["score"]
        yield (
            f"int8: {scores['metric']} {_figure(scores['int8'])}, {_figure(scores['float'])} in float32"
            if scores
            else "int8: no score was measured; name labelled data by --data"
        )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _trial(o: argparse.Namespace) -> Source:
    from archlab.network.graph import assemble
    from archlab.search import candidates
    from archlab.search.candidates import result_of

    result = result_of(o.spec, searches=o.searches, storage=o.storage, data=o.data, plugin=tuple(o.plugin))
    candidate = candidates.candidate_of(result, o.number)
    graph = assemble(candidates.spec_of(candidate, o.plugin))
    own = candidates.weights_of(candidate, candidates.folder_of(o.spec, result, o.searches))
    run = own.parent if own else None
    return Source(candidate.name, graph, candidates.as_variant(result, candidate), o.weights or own, run)


def _network(o: argparse.Namespace) -> Source:
    from archlab import yamlio
    from archlab.network.checkpoint import outputs_in
    from archlab.network.graph import assemble
    from archlab.training.recipe import load_recipe
    from archlab.training.runs import read_record
    from archlab.training.trained import run_folder

    run = run_folder(o.spec)
    weights = o.weights or (run / "checkpoint.pt" if run else None)
    outputs = outputs_in(weights) if weights else None
    o.spec = str(run / "spec.yaml") if run else o.spec
    size = o.input or (load_recipe(o.recipe, plugin=o.plugin).input if o.recipe else None)
    spec = options.spec(o, input=size, outputs=outputs)
    spec = replace(spec, name=read_record(run).spec) if run else spec
    return Source(spec.name, assemble(spec), yamlio.dump(spec.document.plain()), weights, run)


def export_arguments(p: Parser) -> None:
    options.network(p, of="SOURCE", help="a network's name or file, a run folder, or a search")
    p.add_argument("number", nargs="?", metavar="NUMBER", help="of a search: a trial's number, or best")
    p.add_argument("--input", type=options.size, metavar="HxW", help="input size (default: from the network)")
    p.add_argument("--weights", type=Path, metavar="FILE", help="weights, ours or released (default: the run's)")
    p.add_argument("--out", type=Path, metavar="FILE.yaml", help="file for the YAML (default: print it)")
    p.add_argument("--python", type=Path, metavar="FILE.py", help="write the network in plain PyTorch, without archlab")
    p.add_argument("--onnx", type=Path, metavar="FILE.onnx", help="write it as ONNX, checked against PyTorch first")
    p.add_argument("--dynamic-batch", action="store_true", help="ONNX for any number of images at a time (default: 1)")
    p.add_argument("--opset", type=options.positive, metavar="N", help="version of ONNX's operators (default: 17)")
    p.add_argument("--quantize", choices=["int8"], help="ONNX with convolutions in int8; needs --calibrate")
    p.add_argument("--calibrate", type=Path, metavar="FOLDER", help="pictures from which int8 has its ranges")
    p.add_argument("--images", type=options.positive, metavar="N", help="calibration pictures at most (default: 100)")
    p.add_argument(
        "--recipe", metavar="RECIPE", help="task, input and decoding for ONNX (default: the run's; else pose)"
    )
    p.add_argument("--save-weights", type=Path, metavar="FILE", help="write the weights, as .safetensors or .pt")
    p.add_argument("--released-keys", action="store_true", help="save weights under the released key names")
    options.searched(p)
    options.plugin(p)
    options.json_output(p, "print JSON instead of text")
