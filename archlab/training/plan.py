"""What a training would do: its network, recipe, data and folder, without writing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from archlab.core.device import device_name, pick_device
from archlab.network.spec import Spec
from archlab.training.loop import CHECKPOINT
from archlab.training.options import RunOptions
from archlab.training.prepared import check_fit
from archlab.training.recipe import Recipe, data_folder, in_recipe, load_recipe, recipe_hash
from archlab.training.run import is_done, run_folder, spec_for


@dataclass(frozen=True)
class RunPlan:
    """A run that is not started.

    root: the data folder; `data_exists` is False if it would be generated first. folder: the run's folder, None as
    long as the data does not exist, since its name depends on it.
    """

    spec: Spec
    recipe: Recipe
    seed: int
    root: Path
    data_exists: bool
    device: str
    folder: Path | None
    action: Literal["train", "resume", "reuse"]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "action": self.action,
            "folder": str(self.folder) if self.folder else None,
            "data": {"folder": str(self.root), "exists": self.data_exists},
            "device": self.device,
            "seed": self.seed,
            "network": {"name": self.spec.name, **self.spec.document.plain()},
            "recipe": {**self.recipe.plain(), "hash": recipe_hash(self.recipe)},
        }


def plan_run(
    spec: Spec | str | Path, recipe: Recipe | str | Path, data: Path | None = None, options: RunOptions | None = None
) -> RunPlan:
    """Return what `train` would do with the same arguments; nothing is written and no data is generated.

    Raises InputError as `train` does, as far as that can be known without the data.
    """
    options = options or RunOptions()
    recipe = load_recipe(recipe, plugin=options.plugin)
    spec = in_recipe(spec_for(spec, recipe, data, plugin=options.plugin, fields=options.fields), recipe)
    root = data_folder(recipe, data)
    seed = recipe.seed if options.seed is None else options.seed
    folder = None
    if root.is_dir():
        check_fit(spec, recipe, root)
        folder = run_folder(spec, recipe, root, seed=seed, out=options.out, weights=options.weights)
    action = _action(folder, recipe) if options.resume else "train"
    return RunPlan(spec, recipe, seed, root, root.is_dir(), device_name(pick_device(options.device)), folder, action)


def _action(folder: Path | None, recipe: Recipe) -> Literal["train", "resume", "reuse"]:
    if folder is None or not folder.is_dir():
        return "train"
    return "reuse" if is_done(folder, recipe) else "resume" if (folder / CHECKPOINT).is_file() else "train"
