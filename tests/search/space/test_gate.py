"""The gate: what passes, once; keys against canonical hashes; and what is said where nothing passes."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from random import Random

import pytest

import archlab
from archlab.core.errors import InputError
from archlab.counting.fast import tally
from archlab.search.space import gate as gates
from archlab.search.space.gate import MISFIT, Gate, check, key_of
from archlab.search.space.points import enumerate_points, neighbours, sample
from archlab.search.space.space import load_space

NET = "version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: conv, width: 8, stride: 4}\n  b: shuffle_block\n"


def make(tmp_path, vary, limits="", net=NET):
    (tmp_path / "net.yaml").write_text(net)
    (tmp_path / "some.yaml").write_text(f"version: 1\nbase: net\nvary:\n  {vary}\n{limits}\n")
    return load_space(tmp_path / "some.yaml")


def key(spec):
    return key_of(spec, tally(spec)[1])


@pytest.mark.parametrize("name", ["lite_hrnet", "hybrid"])
def test_networks_of_one_key_have_one_hash_and_of_one_hash_one_key_but_where_arguments_say_less(name):
    """A hidden width is floor(C / ratio): two ratios may give one network, which only the hash sees. Nothing else may."""
    space, random = load_space(name), Random(0)
    points = {sample(space, random) for _ in range(30)}
    points |= {near for point in sorted(points)[:2] for near in neighbours(space, point)}
    hashes, keys = defaultdict(set), defaultdict(set)
    for point in points:
        spec = space.spec(point)
        hashes[key(spec)].add(archlab.spec_hash(spec))
        keys[archlab.spec_hash(spec)].add(key(spec))
    assert all(len(found) == 1 for found in hashes.values())
    several = [hashed for hashed, found in keys.items() if len(found) > 1]
    assert len(several) <= len(keys) // 20, several


def test_a_key_does_not_see_names_forms_or_lists_and_sees_what_a_hash_sees(tmp_path):
    def keyed(text):
        (tmp_path / "one.yaml").write_text("version: 1\ninput: [3, 64, 64]\noutputs: 4\n" + text)
        spec = archlab.load(tmp_path / "one.yaml")
        return key(spec), archlab.spec_hash(spec)

    stages = ("stem: {block: shuffle_stem, width: 32}\nstages: {width: 8, modules: [1], repeat: 1, "
              "unit: UNIT, transition: transition, fusion: {block: fusion, sum: plain}}\nhead: iterative_head\n")  # fmt: skip
    nodes = ("nodes: {s: {block: shuffle_stem, width: 32}, t: {block: transition, widths: [8, 16]}, "
             "u: {block: UNIT}, f: {block: fusion, sum: plain}, h: iterative_head}\n")  # fmt: skip
    same = {keyed(each.replace("UNIT", "shuffle_block")) for each in (stages, nodes)}
    same.add(keyed(stages.replace("UNIT", "[[shuffle_block, {block: shuffle_block, pointwise: 2}]]")))
    assert len(same) == 1
    others = [
        keyed(nodes.replace("UNIT", each))
        for each in ("basic_block", "{block: shuffle_block, pointwise: 0}".strip("{}").replace("block: ", "", 1))
    ]
    mixed = keyed(stages.replace("UNIT", "[[shuffle_block, basic_block]]"))
    swapped = keyed(stages.replace("UNIT", "[[basic_block, shuffle_block]]"))
    found = [*same, *others, mixed, swapped]
    assert len({one for one, _ in found}) == len({other for _, other in found}) == len(found)


def test_a_long_network_has_a_key(tmp_path):
    (tmp_path / "long.yaml").write_text(
        "version: 1\nnodes: {a: {block: conv, width: 4}, b: {block: conv, width: 4, repeat: 3000}}\n"
    )
    assert len(key(archlab.load(tmp_path / "long.yaml"))) == 32


def test_what_passes_passes_once_and_within_its_limits():
    space, random = load_space("lite_hrnet"), Random(0)
    gate = Gate(space)
    found = [gate.passes(sample(space, random)) for _ in range(200)]
    passed = [each for each in found if each]
    assert 20 < len(passed) < 200
    for each in passed[:20]:
        cost = archlab.cost(space.spec(each.point))
        assert cost.total == each.cost
        assert cost.params <= 2e6
        assert 1e8 <= cost.flops["fvcore"] <= 3e8
    assert [gate.passes(each.point) for each in passed] == [None] * len(passed)
    assert gate.repeated == len(passed)
    refused = [each for point in (sample(space, random) for _ in range(100)) if (each := check(space, point)).refused]
    assert all(each.excess > 0 and each.key == "" for each in refused)
    assert Gate(space, known={passed[0].key}).passes(passed[0].point) is None


def test_excess_is_the_share_by_which_limits_are_broken(tmp_path):
    # a: 3 * 9 * width + 2 * width, b: with width 8 ...; the conv alone is enough to be told apart
    space = make(tmp_path, "width: {field: nodes.a.width, choices: [8, 16]}", "limits: {params: {max: 500}}")
    params = [archlab.cost(space.spec((i,))).params for i in (0, 1)]
    assert params[0] <= 500 < params[1]
    assert check(space, (0,)).excess == 0
    assert check(space, (1,)).excess == pytest.approx(params[1] / 500 - 1)
    assert check(space, (1,)).refused == f"params is {params[1]:,}"


def test_shapes_that_do_not_fit_are_refused_with_the_rule(tmp_path):
    space = make(tmp_path, "width: {field: nodes.a.width, choices: [8, 7]}")
    found = check(space, (1,))
    assert (found.excess, found.cost) == (MISFIT, None)
    assert "a width of 7 has no halves" in found.refused


def test_an_unsatisfiable_limit_is_reported_with_the_nearest_miss_once_patience_ends(monkeypatch):
    space = load_space("lite_hrnet")
    space.limits["params"] = type(space.limits["params"])(max=1000.0)
    seconds = itertools.count()
    monkeypatch.setattr(gates.time, "monotonic", lambda: float(next(seconds)))
    gate = Gate(space)
    with pytest.raises(InputError) as caught:
        gate.sample(Random(0), patience=20.0)
    assert gate.tried == 21  # a look a second, and the first beyond its patience is the last
    message = str(caught.value)
    assert "candidates passes; the nearest miss, by " in message
    assert "params is " in message
    assert "stem " in message


def test_a_small_space_in_which_nothing_passes_is_gone_through_once(tmp_path):
    space = make(tmp_path, "width: {field: nodes.a.width, from: 8, to: 80, step: 2}", "limits: {params: {max: 10}}")
    gate = Gate(space)
    with pytest.raises(InputError) as caught:
        gate.sample(Random(0))
    smallest = archlab.cost(space.spec((0,))).params
    assert gate.tried == 37
    assert f"params is {smallest:,} (width 8)" in str(caught.value)


def test_a_small_space_that_is_used_up_says_so(tmp_path):
    space = make(tmp_path, "width: {field: nodes.a.width, choices: [8, 12, 16]}")
    gate = Gate(space)
    assert len({gate.sample(Random(i)).key for i in range(3)}) == 3
    with pytest.raises(InputError, match="all 3 that do are taken"):
        gate.sample(Random(9))


def test_a_space_whose_shapes_never_fit_says_why(tmp_path):
    space = make(tmp_path, "width: {field: nodes.a.width, choices: [7, 9]}")
    with pytest.raises(InputError, match="no candidate has shapes that fit, of 2 tried: shuffle_block: a width of"):
        Gate(space).sample(Random(0))


def test_a_sample_is_even_over_what_passes(tmp_path):
    space = make(tmp_path, "width: {field: nodes.a.width, from: 8, to: 14, step: 2}", "limits: {params: {max: 700}}")
    passing = {point for point in enumerate_points(space) if not check(space, point).excess}
    drawn = [Gate(space).sample(Random(seed)).point for seed in range(300)]
    assert set(drawn) == passing
    assert 1 < len(passing) < 4
    assert all(drawn.count(point) > 0.7 * 300 / len(passing) for point in passing)


def test_rare_candidates_are_found_by_a_walk_from_the_nearest_miss():
    space = load_space("lite_hrnet")
    band = type(space.limits["macs"])
    space.limits.update(macs=band(min=2.19e8, max=2.2e8), params=band(min=1.1e6, max=1.12e6))
    gate = Gate(space)
    found = {gate.sample(Random(seed), patience=math.inf).key for seed in range(5)}
    assert len(found) == 5


def test_nearby_walks_to_something_that_passes_and_is_new():
    space = load_space("lite_hrnet")
    gate, start = Gate(space), space.point_of(archlab.load("lite_hrnet_18"))
    first = gate.passes(start)
    found = gate.nearby(start, Random(0), tries=200)
    assert first
    assert found
    assert found.key != first.key
    assert not found.excess
    moved = sum(a != b for a, b in zip(start, found.point, strict=True))
    assert 0 < moved < 15


def test_choices_that_come_to_the_same_network_pass_once_where_hashes_are_asked():
    space = load_space("lite_hrnet")
    point = list(space.point_of(archlab.load("lite_hrnet_18")))
    number = {parameter.name: i for i, parameter in enumerate(space.parameters)}
    for name in ("before.0", "after.0"):
        point[number[name]] = space.parameters[number[name]].labels.index("none")
    other = list(point)
    other[number["ratio.0"]] = (point[number["ratio.0"]] + 1) % 3
    assert Gate(space).passes(tuple(point)).key != Gate(space).passes(tuple(other)).key
    gate = Gate(space, exact=True)
    assert gate.passes(tuple(point)) is not None
    assert gate.passes(tuple(other)) is None
    assert gate.repeated == 1
