"""archlab: write a network as YAML; build it, count it, train it, search its neighbours.

A network, a recipe or a study is a name, a file, or what was loaded from one. To call several of `build`, `cost` and
`spec_hash`, assemble the network once and pass the graph, which remembers its hash:

    graph = archlab.assemble(archlab.load("lite_hrnet_18"))
    network, cost, key = archlab.build(graph), archlab.cost(graph), graph.hash
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from archlab.ablation.frame import complexity_accuracy as plot_complexity
    from archlab.core.errors import InputError, Problem
    from archlab.counting.count import Cost
    from archlab.deploy.folded import fold
    from archlab.deploy.predictor import Predictor
    from archlab.network.features import features
    from archlab.network.graph import Graph, assemble
    from archlab.network.load import load
    from archlab.network.module import Network
    from archlab.network.spec import Spec
    from archlab.search.candidates import result_of as load_result
    from archlab.search.report.figures import bands as plot_bands
    from archlab.search.report.figures import front as plot_front
    from archlab.search.results import Result
    from archlab.search.run import run_search
    from archlab.tasks.metrics import Scores
    from archlab.training.recipe import Recipe, load_recipe
    from archlab.training.runs import Run

__version__ = "0.1.0"
__all__ = [
    "Graph",
    "InputError",
    "Predictor",
    "Problem",
    "Recipe",
    "Result",
    "Run",
    "Spec",
    "assemble",
    "build",
    "cost",
    "evaluate",
    "features",
    "fold",
    "list_networks",
    "load",
    "load_recipe",
    "load_released",
    "load_result",
    "plot_bands",
    "plot_complexity",
    "plot_curves",
    "plot_front",
    "run_search",
    "spec_hash",
    "train",
]

_FROM = {
    "Graph": "archlab.network.graph.Graph",
    "InputError": "archlab.core.errors.InputError",
    "Predictor": "archlab.deploy.predictor.Predictor",
    "Problem": "archlab.core.errors.Problem",
    "Recipe": "archlab.training.recipe.Recipe",
    "Result": "archlab.search.results.Result",
    "Run": "archlab.training.runs.Run",
    "Spec": "archlab.network.spec.Spec",
    "assemble": "archlab.network.graph.assemble",
    "features": "archlab.network.features.features",
    "fold": "archlab.deploy.folded.fold",
    "load": "archlab.network.load.load",
    "load_recipe": "archlab.training.recipe.load_recipe",
    "load_result": "archlab.search.candidates.result_of",
    "plot_bands": "archlab.search.report.figures.bands",
    "plot_complexity": "archlab.ablation.frame.complexity_accuracy",
    "plot_front": "archlab.search.report.figures.front",
    "run_search": "archlab.search.run.run_search",
}
"""Public names and where they are defined; each is imported at first use."""


def list_networks() -> list[str]:
    """Return the names of the networks that come with archlab."""
    from archlab.core import builtin

    return [name for name in builtin.names("search_spaces", "*/*.yaml") if name not in {"base", "space"}]


def build(spec: Spec | Graph | str | Path) -> Network:
    """Return the network, (N, C, H, W) to (N, outputs, H', W'), with weights drawn from torch's global generator."""
    from archlab.network import module

    return module.build(_assembled(spec))


def cost(spec: Spec | Graph | str | Path) -> Cost:
    """Return parameters, multiply-adds (fvcore's and the paper's) and activations, in total and by node."""
    from archlab.counting import count

    return count.cost(_assembled(spec))


def spec_hash(spec: Spec | Graph | str | Path) -> str:
    """Return the canonical hash of a network, 32 hexadecimal digits."""
    return _assembled(spec).hash


def load_released(network: Network, state_dict: dict[str, Any]) -> None:
    """Load a checkpoint of the released Lite-HRNet code or of mmpose into a network, in place."""
    from archlab.network import checkpoint

    checkpoint.load_released(network, state_dict)


def train(
    spec: Spec | str | Path,
    recipe: Recipe | str | Path = "quick",
    *,
    data: str | Path | None = None,
    out: str | Path = "runs",
    **options: Any,
) -> Run:
    """Train and score a network; return its run, a folder in `out`.

    An unfinished run resumes, and a finished one is returned unchanged.

    spec, recipe: a name, a file, or what was loaded from one.
    data: the data folder; by default the recipe's synthetic data is generated.
    options: seed, device, threads, resume, weights, fields, plugin, tensorboard, pictures, rungs and judge, as
      `archlab.training.options.RunOptions` describes them.

    Raises InputError before training if these do not fit together.
    """
    from archlab.training import run
    from archlab.training.options import RunOptions

    settings = RunOptions(out=Path(out), **options)
    return run.train(spec, recipe, Path(data) if data is not None else None, settings)


def evaluate(
    run: Run | str | Path,
    *,
    data: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    device: str | None = None,
    results: str | Path | None = None,
    plugin: tuple[str, ...] = (),
    weights: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
) -> dict[str, Scores]:
    """Score a finished run again, or a network with a file of weights; return its figures by kind of boxes.

    run: a run or its folder, which is not changed; with `weights`, a network's name or file.
    data: the data folder; by default the run's own.
    changes: recipe fields to change for this scoring, e.g. `{"boxes": "detector"}`.
    results: a file for the predictions.
    weights, recipe: weights, ours or released, and the recipe that they are scored by (default: coco_256x192).

    Raises InputError if the run is not complete, if its data is missing or if the weights do not fit.
    """
    from archlab.training import evaluate as scoring

    folder = Path(run) if isinstance(run, str | Path) else run.folder
    where, file = (Path(each) if each is not None else None for each in (data, results))
    options: dict[str, Any] = {"changes": changes, "device": device, "results": file, "plugin": plugin}
    if weights is None:
        return scoring.evaluate_run(folder, where, **options)
    if where is None:
        from archlab.core.errors import InputError, Problem

        raise InputError(Problem("weights are scored on a data folder: name it", "--data", str(weights)))
    used = scoring.PROTOCOL if recipe is None else recipe
    return scoring.evaluate_weights(folder, Path(weights), where, recipe=used, **options)


def plot_curves(run: Run | str | Path) -> Figure:
    """Return a run's loss, learning rate and validation scores by iteration, as a Matplotlib figure."""
    from archlab.training.runs import Run

    return (Run(Path(run)) if isinstance(run, str | Path) else run).curves()


def _assembled(network: Spec | Graph | str | Path) -> Graph:
    from archlab.network.graph import Graph, assemble
    from archlab.network.load import load

    if isinstance(network, Graph):
        return network
    return assemble(load(network) if isinstance(network, str | Path) else network)


def __getattr__(name: str) -> Any:
    if name == "ablation":
        return import_module("archlab.ablation")
    if name not in _FROM:
        raise AttributeError(f"module 'archlab' has no attribute {name!r}")
    module, _, attribute = _FROM[name].rpartition(".")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
