"""The folded network: the same function as the network's for every shipped one, in fewer operators, weights untouched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import archlab
from archlab.cli import main
from archlab.core.device import placed
from archlab.deploy.bench.settle import settle
from archlab.deploy.operators import interleaved
from archlab.deploy.program import IMAGE, lower
from archlab.deploy.simplify import simplify
from archlab.network.module import Network, interleave

CPU, LAST = torch.device("cpu"), torch.channels_last


def settled(network: Network, size: tuple[int, int]) -> tuple[Network, torch.Tensor]:
    """Return the network in float64 with weights as of a trained one, and two images that it knows."""
    network.double()
    return network, settle(network, size)[:2]


def difference(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the largest difference over the reference's largest value."""
    return float((found.double() - reference).abs().max() / reference.abs().max())


QUICK = ("lite_hrnet_18", "mobilenet_v2", "skip_pose_net")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in archlab.list_networks()]
)
def test_every_shipped_network_is_the_same_function_folded(name: str) -> None:
    """In float32, as close to float64 as the network itself is, where rounding alone moves it by more than 3e-6."""
    torch.manual_seed(0)
    spec = archlab.load(name, input=(3, 128, 128))
    network, x = settled(archlab.build(spec), (128, 128))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        exact = network(x)
        assert difference(archlab.fold(network)(x), exact) < 1e-10, "in float64"
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        single = placed(network.float(), CPU)
        rounding = difference(single(x.float()), exact)  # type: ignore[arg-type]
        folded = archlab.fold(network)
        kept = x.float()
        assert difference(folded(kept), exact) < max(1e-5, 3 * rounding)
        assert torch.equal(folded(kept), folded(kept))
        assert torch.equal(kept, x.float())


def test_norms_behind_convolutions_scales_and_activations_are_gone() -> None:
    network = archlab.build(archlab.load("lite_hrnet_18")).eval()
    program, short = lower(network), simplify(lower(network))
    kinds = [op.kind for op in short.ops]
    readers = short.readers()
    assert "norm" not in kinds
    assert all(readers[op.inputs[0]] > 1 for op in short.ops if op.kind == "relu")
    assert len(kinds) < 0.7 * len(program.ops)
    makers = short.makers()
    scaled = [(op, k) for op in short.ops if op.kind == "add" for k, scale in enumerate(op["scales"]) if scale != 1]
    assert {short.ops[makers[op.inputs[k]]].kind for op, k in scaled} == {
        "multiply"
    }  # 2 x_0; f_i0 has its 2 in its weights


def test_a_program_reads_only_what_was_made() -> None:
    for name in ("lite_hrnet_18", "mobilenet_v2", "skip_pose_net"):
        made = {IMAGE}
        for op in simplify(lower(archlab.build(archlab.load(name)).eval())).ops:
            assert made.issuperset(op.inputs)
            assert made.isdisjoint(op.outputs)
            made.update(op.outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("count", [2, 3])
def test_maps_interleave_alike_in_every_type_and_memory_format(count: int, dtype: torch.dtype) -> None:
    whole = torch.randn(2, 8, 5, 7, dtype=dtype)
    for format in (torch.contiguous_format, LAST):
        maps = [whole.contiguous(memory_format=format)[:, 2 * i : 2 * i + 2] for i in range(count)]
        assert torch.equal(interleaved(*maps), interleave(*maps))


def test_a_layer_with_two_readers_keeps_its_norm_apart(tmp_path: Path) -> None:
    """The convolution's own output is read too, so that the norm cannot be in it."""
    (tmp_path / "plugin.py").write_text(
        "def twice(g, xs):\n    made = g.conv(xs[0], 4, name='conv')\n    return g.add(made, g.norm(made))\n"
        "BLOCKS = {'twice': twice}\n"
    )
    (tmp_path / "net.yaml").write_text("version: 1\nnodes: {a: twice}\n")
    spec = archlab.load(tmp_path / "net.yaml", plugin=[str(tmp_path / "plugin.py")], input=(3, 8, 8), outputs=2)
    network, x = settled(archlab.build(spec), (8, 8))
    assert [op.kind for op in simplify(lower(network)).ops].count("norm") == 1
    with torch.inference_mode():
        assert difference(archlab.fold(network)(x), network(x)) < 1e-12


def test_the_command_folds_and_states_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "lite_hrnet_18", "--fold", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["folded"]
    network = archlab.build(archlab.load("lite_hrnet_18")).eval()
    assert found["operators"] == len(simplify(lower(network)).ops)
    assert found["operators_before"] == len(lower(network).ops)
    assert 0 < found["difference"] < 1e-5
