"""The network: it computes what its graph says, trains, repeats, and carries the released weights."""

from __future__ import annotations

import copy
import io
import lzma
import pickle

import pytest
import torch

import archlab
from archlab import InputError
from archlab.blocks import BLOCKS
from archlab.core import builtin
from archlab.network import checkpoint
from archlab.network.graph import Graph, Node
from archlab.network.module import Network, interleave, joined, shuffle
from archlab.network.spec import Initialisation

NETWORKS = sorted(set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"})
EIGHTHS = {
    "bisenet_v1_r18", "bisenet_v1_x39", "bisenet_v2", "fast_scnn", "fasterseg", "mobilenet_v2_seg", "mobilenet_v3_seg",
    "mobilenet_v3_small_seg", "shelfnet18",
}  # fmt: skip
LARGE = {
    "bisenet_v1_r18",
    "cpn_r50", "dite_hrnet_30", "hf_hrnet_30", "hourglass_8", "hrnet_w32", "hrnet_w48", "px_hrnet_30", "simple_baseline_r50",
    "shelfnet18", "simple_baseline_r152", "sx_hrnet_30",
}  # fmt: skip
FIXTURES = {
    "lite18_coco": ("lite_hrnet_18", {}),
    "naive18_coco": ("naive_lite_hrnet_18", {}),
    "abl_lite18_spatial_only": ("lite_hrnet_18_spatial_only", {"spatial_ratio": 4}),
    "small_hrnet_w16_coco": ("small_hrnet_w16", {}),
}


@pytest.fixture(params=FIXTURES)
def fixture(request, shared):
    name, fields = FIXTURES[request.param]
    with lzma.open(shared / "fixtures" / "parity" / f"{request.param}.pt.xz") as file:
        content = torch.load(io.BytesIO(file.read()), weights_only=True)
    return archlab.build(archlab.load(name, **fields)), content


def test_released_weights_give_the_released_heat_maps(fixture):
    network, content = fixture
    archlab.load_released(network, {"state_dict": content["state_dict"], "meta": content["meta"]})
    with torch.no_grad():
        found = network.double().eval()(content["input"].double())
        assert (found - content["heatmap64"]).abs().max() < 1e-9
        close = network.float()(content["input"].float())
        assert (close - content["heatmap64"]).abs().max() < 1e-5 * content["heatmap64"].abs().max()


def test_released_weights_load_without_wrapper_and_with_the_newer_heads_name_and_go_back(fixture):
    network, content = fixture
    renamed = {key.replace("keypoint_head.", "head."): value for key, value in content["state_dict"].items()}
    archlab.load_released(network, renamed)
    back = checkpoint.to_released(network)
    assert back.keys() == content["state_dict"].keys()
    assert all(torch.equal(back[key], value) for key, value in content["state_dict"].items())


def test_a_checkpoint_of_another_network_is_refused_and_nothing_is_loaded():
    naive, lite = (archlab.build(archlab.load(name)) for name in ("naive_lite_hrnet_18", "lite_hrnet_18"))
    before = {key: value.clone() for key, value in lite.state_dict().items()}
    with pytest.raises(InputError) as caught:
        archlab.load_released(lite, checkpoint.to_released(naive))
    text = str(caught.value)
    assert "the checkpoint does not fit: it has " in text
    assert "stage2.transition.kept0.pointwise.conv.weight: backbone.transition0.0.2.weight is (30, 32, 1, 1)" in text
    assert "and " in text.splitlines()[-1]
    assert all(torch.equal(before[key], value) for key, value in lite.state_dict().items())


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("kind", ["text", "pickle", "truncated", "empty", "tensor"])
def test_a_file_that_is_no_checkpoint_is_refused_and_runs_no_code(kind, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    if kind == "text":
        path.write_text("hello")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Evil()}))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    else:
        torch.save({"state_dict": {"a": torch.zeros(100)}}, path)
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError) as caught:
        checkpoint.load_weights(archlab.build(archlab.load("small_hrnet_w16")), path)
    assert str(path) in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_our_own_weights_load_from_a_file(tmp_path):
    one, other = (archlab.build(archlab.load("lite_hrnet_18")) for _ in range(2))
    torch.save({"state_dict": one.state_dict()}, tmp_path / "own.pt")
    assert checkpoint.load_weights(other, tmp_path / "own.pt") == "archlab weights"
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_f_i0_doubled_and_f_i0_evaluated_twice_agree_in_heat_maps_gradients_and_running_statistics():
    """The released code's execution against ours, in float64: forward, backward, and the norms after two steps."""
    fast, released = (
        archlab.build(archlab.load("lite_hrnet_18", input=(3, 64, 64), doubled=how)).double()
        for how in ("once", "twice")
    )
    for parameter in released.parameters():  # at the initial 0.001 everything would be too small to compare
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    fast.load_state_dict(released.state_dict())
    torch.manual_seed(0)
    for _ in range(2):
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        ours, theirs = fast(x), released(x)
        assert (ours - theirs).abs().max() < 1e-9 * theirs.abs().max()
        for made in (ours, theirs):
            made.square().mean().backward()
    for (name, a), b in zip(fast.named_parameters(), released.parameters(), strict=True):
        assert (a.grad - b.grad).abs().max() <= 1e-7 * b.grad.abs().max() + 1e-12, name
    counters = "num_batches_tracked"  # twice a step in the released execution, and read by nothing
    for (name, a), b in zip(fast.state_dict().items(), released.state_dict().values(), strict=True):
        assert name.endswith(counters) or torch.allclose(a, b, rtol=1e-9, atol=1e-12), name
    momenta = {n: m.momentum for n, m in fast.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert {m for n, m in momenta.items() if ".from0.step" in n} == {0.19}
    assert {m for n, m in momenta.items() if ".from0.step" not in n} == {0.1}


def test_evaluating_f_i0_twice_costs_what_fvcore_says_of_the_released_code():
    """266.31 M is known of it; 0.276 M of that is its resizing of weights to their own size (see test_counting)."""
    spec = archlab.load("lite_hrnet_18", doubled="twice")
    assert round((archlab.cost(spec).flops["fvcore"] + 276_480) / 1e6, 2) == 266.31
    assert archlab.cost(spec).flops["paper"] == archlab.cost(archlab.load("lite_hrnet_18")).flops["paper"]
    assert archlab.cost(spec).params == 1_130_769


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in NETWORKS]
)
def test_every_network_gives_maps_at_its_stride_and_a_gradient_to_every_parameter(name):
    width = 128 if name == "hourglass_8" else 96  # whose maps are halved four times
    spec = archlab.load(name, input=(3, 64, width), outputs=5)
    torch.manual_seed(0)
    network = archlab.build(spec)
    made = network(torch.randn(4, 3, 64, width))
    stride = 32 if name == "mobilenext" else 8 if name in EIGHTHS else 4
    assert made.shape == (4, 5, 64 // stride, width // stride)
    made.square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


EXAMPLES = {
    "conv": {"width": 6},
    "deconv": {"width": 6},
    "heat_maps": {"outputs": 3},
    "attention_refinement": {"width": 6},
    "double_conv": {"width": 6},
    "dynamic_residual": {"kernels": 2, "relu": "dynamic"},
    "fcn_head": {"outputs": 3, "width": 6},
    "feature_fusion": {"width": 6},
    "level_heat_maps": {"outputs": 3},
    "pre_conv": {"width": 6},
    "sandglass": {"hidden": 3},
    "separable_residual": {"width": 8},
    "squeeze_excitation": {"width": 3},
    "pyramid_sum": {"windows": [[6, 5, 4, 3]]},
    "resize": {"factor": 2},
    "summed_maps": {"outputs": 3},
    "xception_block": {"width": 2},
    "zoomed_conv": {"width": 6},
    "shuffle_down": {"width": 6},
    "transition": {"widths": [6, 8, 10]},
}


OF_ONE_SIZE = dict.fromkeys(("add", "concat", "feature_fusion", "guided_aggregation", "summed_maps"), ("a", "t2"))
OF_ONE_SIZE["aggregated_levels"] = ("a", "t2") * 3
ONE_MAP = ("add", "resize")


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_every_block_runs_has_a_gradient_and_an_exact_cost(block, tmp_path):
    import json

    from archlab.counting import modules

    uses = json.dumps({"block": block, "from": OF_ONE_SIZE.get(block, "t"), **EXAMPLES.get(block, {})})
    first = json.dumps({"block": "transition", "from": "a", "widths": [8] if block in ONE_MAP else [8, 12]})
    joined = "  z: {block: concat_head, from: y}\n"
    (tmp_path / "net.yaml").write_text(
        "version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: conv, from: input, width: 8}\n"
        f"  t: {first}\n  t2: {{block: conv, width: 8, from: a}}\n  y: {uses}\n{joined}"
    )
    spec = archlab.load(tmp_path / "net.yaml")
    network, cost = archlab.build(spec), archlab.cost(spec)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    network(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    traced = modules.trace(network.eval(), (torch.zeros(1, 3, 32, 32),))
    assert (cost.flops["fvcore"], cost.flops["paper"], cost.activations) == traced


def test_one_seed_gives_one_network_and_convolutions_begin_at_a_thousandth():
    spec = archlab.load("lite_hrnet_18", input=(3, 64, 64))
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(archlab.build(spec).state_dict())
    key = "stage3.module1.fusion.to2.from0.step0.pointwise.conv.weight"
    assert torch.equal(made[0][key], made[1][key])
    assert not torch.equal(made[0][key], made[2][key])
    weights = torch.cat([v.flatten() for k, v in made[0].items() if k.endswith("conv.weight")])
    assert weights.std().item() == pytest.approx(0.001, rel=0.01)
    assert made[0]["last.conv.bias"].abs().max() == 0
    assert made[0]["stem.conv.norm.weight"].min() == 1


def test_a_network_can_be_copied_and_pickled_and_still_runs():
    network = archlab.build(archlab.load("skip_pose_net", input=(3, 64, 64))).eval()
    x = torch.randn(1, 3, 64, 64)
    expected = network(x)
    assert torch.equal(copy.deepcopy(network)(x), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_interleaving_is_the_shuffle_of_the_concatenation_in_the_layout_that_it_got(layout):
    xs = [torch.randn(2, 6, 5, 7).contiguous(memory_format=layout) for _ in range(3)]
    halves = torch.randn(2, 12, 5, 7).contiguous(memory_format=layout).split(6, dim=1)
    for maps in (xs, halves):
        made = interleave(*maps)
        assert torch.equal(made, shuffle(torch.cat(list(maps), dim=1), len(maps)))
        if layout == torch.channels_last:
            assert made.is_contiguous(memory_format=layout)


def test_a_shuffled_concatenation_is_one_copy_only_where_nothing_else_reads_it():
    from archlab.blocks.wiring import wire

    def blocks(g, x):
        a, b = g.halves(x)
        once = g.concat(a, b)
        twice = g.concat(b, a)
        uneven = g.concat(*g.split(x, [3, 9]))
        return g.add(g.shuffle(once), g.shuffle(twice), twice, g.shuffle(uneven), g.shuffle(once, groups=3))

    def only(g, x):
        return g.shuffle(g.concat(*g.halves(x)))

    for function, expected in ((blocks, 0), (only, 1)):
        wired = wire(function, ((12, 4, 4),), False, ())
        node = Node("node", "block", (), ((-1, 0),), wired, wired.leaves, frozenset({0}))
        network = Network(Graph("g", (12, 4, 4), 12, Initialisation(), (node,), (0, 0), ()))
        assert sum(leaf.kind == "interleave" for leaf in joined(node)) == expected
        x = torch.arange(2 * 12 * 16.0).view(2, 12, 4, 4)
        if expected:
            assert torch.equal(network(x), shuffle(x, 2))
        else:
            a, b = x.split(6, dim=1)
            twice = torch.cat((b, a), dim=1)
            assert torch.equal(network(x), shuffle(x, 2) + shuffle(twice, 2) + twice + shuffle(x, 2) + shuffle(x, 3))


def test_a_node_may_be_called_like_a_method_of_a_module(tmp_path):
    (tmp_path / "net.yaml").write_text("version: 1\ninput: [3, 32, 32]\nnodes:\n  half: {block: conv, width: 8, stride: 4}\n"
                                       "  graph: {block: conv, width: 8}\n")  # fmt: skip
    assert archlab.build(archlab.load(tmp_path / "net.yaml"))(torch.zeros(2, 3, 32, 32)).shape == (2, 17, 8, 8)
