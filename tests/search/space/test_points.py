"""Points of a space: how many, all of them, by chance, and what lies beside and between."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from archlab.search.space.document import INACTIVE
from archlab.search.space.points import complete, cross, enumerate_points, mutate, neighbours, sample, size
from archlab.search.space.space import load_space

NODES = """\
version: 1
input: [3, 32, 32]
nodes:
  a: {block: conv, width: 8, stride: 4}
  mid: {block: conv, width: 8, repeat: [{}, {}, {}]}
"""
SPACES = {
    "one": ("  width: {field: nodes.a.width, choices: [4, 8, 16]}", 3),
    "tied": ("  kernel: {field: nodes.mid.repeat.*.kernel, choices: [1, 3]}", 2),
    "untied": ("  kernel: {field: nodes.mid.repeat.*.kernel, choices: [1, 3], tied: false}", 8),
    "steps": ("  width: {field: nodes.a.width, from: 4, to: 15, step: 4}", 3),
    # of length 1, 2, 3: 2 + 4 + 8
    "a length": ("  depth: {length: nodes.mid.repeat, from: 1, to: 3}\n"
                 "  kernel: {field: nodes.mid.repeat.*.kernel, choices: [1, 3], tied: false}", 14),
    "a length, tied": ("  depth: {length: nodes.mid.repeat, from: 1, to: 3}\n"
                       "  kernel: {field: nodes.mid.repeat.*.kernel, choices: [1, 3]}", 6),
    # conv: 2 kernels; inverted_residual: 3 expansions; basic_block: 1; each of three copies
    "conditions": ("  kind: {field: nodes.mid.repeat.*, choices: [{block: conv, width: 8}, inverted_residual, basic_block], tied: false}\n"
                   "  expansion: {field: nodes.mid.repeat.*.expansion, from: 1, to: 3, tied: false, when: {kind: inverted_residual}}\n"
                   "  stride: {field: nodes.a.stride, choices: [2, 4]}", 2 * (1 + 3 + 1) ** 3),
    # a condition on a condition: a = 0 -> b of 2, of which one opens c of 3: 1 + (1 + 3) = 5
    "chains": ("  act: {field: nodes.a.act, choices: [none, relu]}\n"
               "  kernel: {field: nodes.a.kernel, choices: [1, 3], when: {act: relu}}\n"
               "  width: {field: nodes.a.width, choices: [4, 8, 16], when: {kernel: 3}}", 5),
}  # fmt: skip


def write(tmp_path, vary, limits=""):
    (tmp_path / "net.yaml").write_text(NODES)
    path = tmp_path / "some.yaml"
    path.write_text(f"version: 1\nbase: net\nvary:\n{vary}\n{limits}")
    return path


@pytest.fixture(params=SPACES)
def space(request, tmp_path):
    return load_space(write(tmp_path, SPACES[request.param][0]))


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_as_large_as_what_it_enumerates(name, tmp_path):
    vary, expected = SPACES[name]
    space = load_space(write(tmp_path, vary))
    points = list(enumerate_points(space))
    assert size(space) == len(points) == len(set(points)) == expected
    assert all(space.canonical(point) == point for point in points)
    assert all(space.spec(point) is not None for point in points)


def test_the_size_of_a_large_space_is_exact():
    # stem 3, modules 4^3, repeat 3, widths 7^9, a stage's unit 2 + 3 * 3 * 3 * 4, fusion 2
    assert size(load_space("lite_hrnet")) == 3 * 4**3 * 3 * 7**9 * (2 + 108) ** 3 * 2
    # ... widths 5^9; a stage 3 + 3 * 2 + 3 (units over all branches, ratios, pooling) or a branch 4 + 3 + 2 (with its
    # expansion or form); sum, down and head
    branches = (12 + 9**2) * (12 + 9**3) * (12 + 9**4)
    assert size(load_space("hybrid")) == 4 * 4**3 * 3 * 5**9 * branches * 3 * 2 * 3


def test_every_point_is_found_again_by_its_labels_and_by_its_spec(space):
    for point in enumerate_points(space):
        assert space.point(space.labels(point)) == point
        assert space.point_of(space.spec(point)) == point


def test_chance_is_even_over_the_choices_that_are_active(tmp_path):
    space, random = load_space(write(tmp_path, SPACES["conditions"][0])), Random(0)
    drawn = [sample(space, random) for _ in range(6000)]
    for i, parameter in enumerate(space.parameters):
        counts = Counter(point[i] for point in drawn)
        active = sum(count for choice, count in counts.items() if choice != INACTIVE)
        expected = active / len(parameter.labels)
        assert active in (6000, pytest.approx(2000, abs=150))
        # four standard deviations of a count
        assert all(abs(counts[choice] - expected) < 4 * expected**0.5 for choice in range(len(parameter.labels)))


def test_one_seed_draws_one_sequence(space):
    one, other = ([sample(space, random) for _ in range(20)] for random in (Random(3), Random(3)))
    assert one == other


def test_neighbours_are_other_points_of_the_space_each_once(space):
    points = set(enumerate_points(space))
    for point in points:
        beside = list(neighbours(space, point))
        assert set(beside) <= points - {point}
        assert len(beside) == len(set(beside)) > 0


def test_numbers_go_to_the_next_and_names_to_any_other(tmp_path):
    space = load_space(write(tmp_path, "  width: {field: nodes.a.width, choices: [4, 8, 16]}\n"
                             "  act: {field: nodes.a.act, choices: [relu, none, silu]}"))  # fmt: skip
    assert set(neighbours(space, (0, 0))) == {(1, 0), (0, 1), (0, 2)}
    assert set(neighbours(space, (1, 0))) == {(0, 0), (2, 0), (1, 1), (1, 2)}


def test_mutation_reaches_every_point_and_never_leaves_the_space(space):
    random, points = Random(0), set(enumerate_points(space))
    point = next(iter(sorted(points)))
    seen = {point}
    for _ in range(60 * len(points)):
        there = mutate(space, point, random)
        assert there in points
        assert there != point
        point = there
        seen.add(point)
    assert seen == points


def test_crossing_takes_every_choice_from_a_parent_that_has_it(space):
    random, points = Random(0), sorted(enumerate_points(space))
    for _ in range(200):
        one, other = random.choice(points), random.choice(points)
        child = cross(space, one, other, random)
        assert child in points
        given = zip(child, one, other, strict=True)
        assert all(c in (a, b) for c, a, b in given if c != INACTIVE and (a, b) != (INACTIVE, INACTIVE))
    assert all(cross(space, point, point, random) == point for point in points)


def test_what_is_missing_is_completed_and_what_is_too_much_is_left_out(tmp_path):
    space = load_space(write(tmp_path, SPACES["chains"][0]))
    assert complete(space, (0, 1, 2), Random(0)) == (0, INACTIVE, INACTIVE)
    assert complete(space, (1, 0, 2), Random(0)) == (1, 0, INACTIVE)
    found = {complete(space, (1, 1, INACTIVE), Random(seed)) for seed in range(30)}
    assert found == {(1, 1, 0), (1, 1, 1), (1, 1, 2)}
