"""Every shipped network trains, with its auxiliary outputs; killed between two steps, it resumes to the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from torch import Tensor, nn

import archlab
from archlab.core import builtin
from archlab.network.module import auxiliary_layers
from archlab.training import loop
from archlab.training.outputs import loss_of

SIZE = (64, 128)
RECIPE = tiny.RECIPE.changed(iterations=3, batch=2, checkpoint_every=1)
NETWORKS = sorted(set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"})
pytestmark = pytest.mark.slow


class Noise:
    """Random pictures, each drawn by its number."""

    def __len__(self) -> int:
        return 8

    def set_epoch(self, epoch: int) -> None:
        pass

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        for numbers in rows:
            drawn = [torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(i)) for i in numbers]
            yield {"image": torch.stack(drawn), "index": torch.tensor(list(numbers))}

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        return {"rows": list(rows)}


class Ones:
    """A task whose targets are ones everywhere; it reads outputs of any size. kill_at: the loss that is not returned."""

    options = None

    def __init__(self, kill_at: int | None = None) -> None:
        self.calls, self.kill_at = 0, kill_at

    def loss(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        if self.calls == self.kill_at:
            raise KeyboardInterrupt
        return (output - 1).square().mean()


def trained(graph: archlab.Graph, folder: Path, task: Ones) -> dict[str, Tensor]:
    """Return the weights at the end of a training, or of what remains of one."""
    torch.manual_seed(1)
    network: nn.Module = archlab.build(graph.training or graph)
    folder.mkdir(exist_ok=True)
    loss = loss_of(task, graph)  # type: ignore[arg-type]
    loop.fit(loop.Training(network, Noise(), loss, RECIPE, 1, folder, torch.device("cpu")))
    return network.state_dict()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_killed_training_resumes_to_the_same_weights(name: str, tmp_path: Path) -> None:
    graph = archlab.assemble(archlab.load(name, input=(3, *SIZE), outputs=5))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = trained(graph, tmp_path / "whole", Ones())
        each = 1 + len((graph.training or graph).auxiliary)
        with pytest.raises(KeyboardInterrupt):
            trained(graph, tmp_path / "killed", Ones(kill_at=2 * each + 1))
        assert torch.load(tmp_path / "killed" / loop.CHECKPOINT, weights_only=True)["iteration"] == 2
        resumed = trained(graph, tmp_path / "killed", task := Ones())
    finally:
        torch.set_num_threads(threads)
    assert task.calls == each
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    torch.manual_seed(1)
    first = archlab.build(graph.training or graph).state_dict()
    others = [f"{layer}.weight" for layer in auxiliary_layers(graph) if layer.endswith("conv")]
    assert len(others) >= each - 1
    assert [name for name in others if torch.equal(first[name], whole[name])] == []
