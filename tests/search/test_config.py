"""A search's file: what it means, and every way in which it can be wrong, told before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import archlab
from archlab import yamlio
from archlab.ablation.load import study_names
from archlab.cli import schemas
from archlab.core import builtin
from archlab.core.errors import InputError
from archlab.search import results
from archlab.search.config import SETTINGS, SamplerForm
from archlab.search.load import load_search
from archlab.search.space.points import size
from archlab.search.space.space import CostRange
from archlab.training.recipe import load_recipe

SHIPPED = sorted(set(builtin.names("studies", "*.yaml")) - set(study_names()))
LINES = """\
kind: search
space: lite_hrnet
recipe: quick_search
objectives: {pck: maximize, macs: minimize}
trials: 24
"""
SMALL = """\
version: 1
base: lite_hrnet_18
vary:
  ratio: {field: stages.unit.ratio, choices: [4, 8]}
  sum: {field: stages.fusion.sum, choices: [released, plain]}
limits: {params: {max: 2.0e6}, macs: {min: 1.0e8}}
"""


def write(folder: Path, *more: str, **changed: str) -> Path:
    """A search's file: LINES, some of them changed, and more below."""
    lines = [
        f"{name}: {changed.get(name, text)}" for name, text in (line.split(": ", 1) for line in LINES.splitlines())
    ]
    path = folder / "mine.yaml"
    path.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    """What is wrong, a line each, without the folder."""
    with pytest.raises(InputError) as caught:
        load_search(path)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_search_loads_and_opens_with_a_comment_that_says_what_it_is_for(name: str) -> None:
    search = load_search(name)
    assert search.name == name
    assert builtin.find(name, "studies", "*.yaml", "search").read_text().startswith("# ")
    assert search.form.title


@pytest.mark.parametrize("name", SHIPPED)
def test_the_schemas_of_searches_and_of_studies_take_every_shipped_search(name: str) -> None:
    plain = yamlio.read(builtin.find(name, "studies", "*.yaml", "search")).plain()
    for kind in ("search", "study"):
        jsonschema.Draft202012Validator(schemas.schema(kind)).validate(plain)  # type: ignore[arg-type]


def test_there_is_a_search_for_two_cores_and_every_sampler_has_its_settings() -> None:
    assert "lite_hrnet_quick" in SHIPPED
    names = schemas.schema("search")["$defs"]["SamplerForm"]["properties"]
    assert set(names["name"]["enum"]) == set(SETTINGS)
    assert {name for given in SETTINGS.values() for name in given} == set(names) - {"name"}


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    search = load_search(write(tmp_path))
    assert (search.name, search.form.trials, search.form.sampler, search.form.seed) == ("mine", 24, SamplerForm(), 1)
    assert (search.rungs, search.form.proxies, search.form.front_seeds, search.form.references) == ((), (), (), ())
    assert search.objectives == (results.Objective("pck", "maximize"), results.Objective("macs", "minimize"))
    assert search.recipe == load_recipe("quick_search")


def test_candidates_have_the_recipes_input_and_as_many_outputs_as_its_people_have_keypoints(tmp_path: Path) -> None:
    space = load_search(write(tmp_path)).space
    spec = space.spec((0,) * len(space.parameters))
    assert (spec.input, spec.outputs) == ((3, 128, 96), 17)


def test_a_limit_stands_in_place_of_the_spaces_own_and_leaves_its_others(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    search = load_search(write(tmp_path, "limits: {macs: {max: 7.0e7}}", space="small.yaml", trials="4"))
    assert search.space.limits == {"params": CostRange(max=2e6), "macs": CostRange(max=7e7)}


def test_space_recipe_rungs_and_references_may_be_files_beside_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    recipe = builtin.find("quick_search", "studies", "recipes/*.yaml", "recipe").read_text()
    (folder / "short.yaml").write_text(recipe, encoding="utf-8")
    (folder / "shorter.yaml").write_text(recipe.replace("[128, 96]", "[64, 64]"), encoding="utf-8")
    (folder / "net.yaml").write_text("version: 1\nextends: lite_hrnet_18\n", encoding="utf-8")
    path = write(folder, "rungs: {at: [recipe: shorter.yaml]}", "references: [net.yaml, lite_hrnet_30]",
                 space="small.yaml", recipe="short.yaml", trials="4")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    search = load_search(path)
    assert (search.recipe.name, search.space.name, size(search.space)) == ("short", "small", 4)
    assert [(rung.label, rung.recipe and rung.recipe.input) for rung in search.rungs] == [("shorter 64x64", (64, 64))]
    net, other = (archlab.spec_hash(archlab.load(name)) for name in search.form.references)
    assert (net, other) == (
        archlab.spec_hash(archlab.load("lite_hrnet_18")),
        archlab.spec_hash(archlab.load("lite_hrnet_30")),
    )


def test_rungs_are_proxies_and_recipes_first_and_then_rising_lengths(tmp_path: Path) -> None:
    rungs = "rungs: {at: [{proxy: naswot}, {recipe: smoke}, {iterations: 20}, {iterations: 40}], eta: 2}"
    search = load_search(write(tmp_path, rungs))
    assert [(rung.proxy, bool(rung.recipe), rung.iterations) for rung in search.rungs] == [
        ("naswot", False, None), (None, True, None), (None, False, 20), (None, False, 40)]  # fmt: skip
    assert search.eta == 2


@pytest.mark.parametrize(
    ("changed", "line", "field", "word"),
    [
        ({"objectives": "{pkc: maximize, macs: minimize}"}, 4, "objectives.pkc", "did you mean 'pck'"),
        ({"objectives": "{macs: minimize, params: minimize}"}, 4, "objectives", "ap, mean_oks, pck;"),
        ({"objectives": "{}"}, 4, "objectives", "must be"),
        ({"objectives": "{pck: minimize}"}, 4, "objectives.pck", "maximize"),
        ({"objectives": "{pck: maximize, macs: maximize}"}, 4, "objectives.macs", "minimize"),
        ({"objectives": "{pck: up}"}, 4, "objectives.pck", "expected one of 'maximize', 'minimize'"),
        ({"objectives": "{pckh: maximize}"}, 4, "objectives.pckh", "ap, mean_oks, pck, not pckh"),
        ({"space": "lite_hrnt"}, 2, "space", "did you mean 'lite_hrnet'"),
        ({"space": "nowhere.yaml"}, 2, "space", "nowhere.yaml: no such search space"),
        ({"recipe": "quick_serch"}, 3, "recipe", "did you mean 'quick_search'"),
        ({"recipe": "nowhere.yaml"}, 3, "recipe", "nowhere.yaml: no such recipe"),
        ({"trials": "0"}, 5, "trials", "at least 1"),
        ({"kind": "serch"}, 1, "kind", "found 'serch'"),
        ({"kind": {"a": 1}}, 1, "kind", "found a mapping"),
        ({"kind": "ablation"}, 1, "kind", "`archlab ablate`"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_place(
    tmp_path: Path, changed: dict[str, str], line: int, field: str, word: str
) -> None:
    found = problems(write(tmp_path, **changed))
    assert any(each.startswith(f"mine.yaml:{line}:") and f" {field}: " in each and word in each for each in found), (
        found
    )


@pytest.mark.parametrize(
    ("text", "field", "word"),
    [
        ("limits: {mac: {max: 1e8}}", "limits.mac", "did you mean 'macs'"),
        ("limits: {macs: {}}", "limits", "`min`, `max`"),
        ("limits: {macs: {min: 3e8, max: 1e8}}", "limits", "above `max`, 1e+08"),
        ("proxies: [naswot, naswort]", "proxies", "did you mean 'naswot'"),
        ("proxies: [naswot, naswot]", "proxies", "'naswot' is listed twice"),
        ("sampler: {name: tep}", "sampler.name", "did you mean 'tpe'"),
        ("sampler: {name: random, startup: 4}", "sampler.startup", "random"),
        ("sampler: {name: tpe, population: 4}", "sampler.population", "tpe"),
        ("sampler: {name: evolution, population: 4, tournament: 5}", "sampler.tournament", "of 4, found 5"),
        ("front_seeds: [1, 2, 2]", "front_seeds", "2 is listed twice"),
        ("front_seeds: [1, -2]", "front_seeds.1", "at least 0"),
        ("references: [lite_hrnet_81]", "references", "did you mean 'lite_hrnet_18'"),
        ("references: [nowhere.yaml]", "references", "nowhere.yaml: no such network"),
        ("references: [lite_hrnet_18, lite_hrnet_18]", "references", "listed twice"),
        ("rungs: {at: []}", "rungs.at", "must be"),
        ("rungs: {at: [{iterations: 40}], eta: 1}", "rungs.eta", "above 1"),
        ("rungs: {at: [{}]}", "rungs.at", "found 0"),
        ("rungs: {at: [{iterations: 40, proxy: zen}]}", "rungs.at", "found 2"),
        ("rungs: {at: [{iterations: 40}, {iterations: 40}]}", "rungs.at", "100 iterations"),
        ("rungs: {at: [{iterations: 40}, {iterations: 20}]}", "rungs.at", "100 iterations"),
        ("rungs: {at: [{iterations: 100}]}", "rungs.at", "100 iterations"),
        ("rungs: {at: [{epochs: 2}]}", "rungs.at", "in epochs"),
        ("rungs: {at: [{iterations: 40}, {proxy: zen}]}", "rungs.at", "before the recipe's own"),
        ("rungs: {at: [{iterations: 40}, {recipe: smoke}]}", "rungs.at", "before the recipe's own"),
        ("rungs: {at: [{proxy: zenn}]}", "rungs.at.proxy", "did you mean 'zen'"),
        ("rungs: {at: [{proxy: zen}, {proxy: zen}]}", "rungs.at", "repeats"),
        ("rungs: {at: [{recipe: quick_search}]}", "rungs.at", "quick_search"),
        ("rungs: {at: [{recipe: mpii_256x256}]}", "rungs.at", "mpii_256x256"),
        ("rungs: {at: [{recipe: smokee}]}", "rungs.at", "did you mean 'smoke'"),
        ("sede: 3", "sede", "did you mean 'seed'"),
        ("seed: -3", "seed", "at least 0"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_its_place(tmp_path: Path, text: str, field: str, word: str) -> None:
    found = problems(write(tmp_path, text))
    assert any(each.startswith("mine.yaml:6:") and f" {field}: " in each and word in each for each in found), found


def test_a_file_of_no_kind_is_no_search(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: mine\n", encoding="utf-8")
    (found,) = problems(tmp_path / "mine.yaml")
    assert found.startswith("mine.yaml:1:1: kind: ")


def test_a_space_with_too_few_points_for_the_trials_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    (found,) = problems(write(tmp_path, space="small.yaml"))
    assert found.startswith("mine.yaml:5:9: trials: ")
    assert "small has 4 points, too few for 24" in found


def test_a_recipe_that_changes_how_branches_are_summed_is_refused_since_the_space_says_that(tmp_path: Path) -> None:
    recipe = builtin.find("quick_search", "studies", "recipes/*.yaml", "recipe").read_text()
    (tmp_path / "plain.yaml").write_text(recipe + "fusion: plain\n", encoding="utf-8")
    (found,) = problems(write(tmp_path, recipe="plain.yaml"))
    assert found.startswith("mine.yaml:3:9: recipe: ")


def test_all_that_is_wrong_is_told_at_once_in_each_file_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("unit.ratio", "unti.ratio"), encoding="utf-8")
    (tmp_path / "short.yaml").write_text("iterations: 100\nbatch: many\n", encoding="utf-8")
    path = write(tmp_path, "references: [lite_hrnet_81, lite_hrnet_99]", space="small.yaml", recipe="short.yaml")
    found = "\n".join(problems(path))
    for words in (
        "short.yaml:2:8: batch: ",
        "small.yaml:4:",
        "mine.yaml:6:14: references: ",
        "mine.yaml:6:29: references: ",
    ):
        assert words in found
    path = write(tmp_path, "limits: {mac: {max: 1e8}}", "proxies: [zenn]", objectives="{pkc: maximize}")
    assert [each.split(": ")[1] for each in problems(path)] == ["objectives.pkc", "limits.mac", "proxies"]


def places(path: Path) -> list[tuple[str, int, str]]:
    """File, line and field of every problem."""
    with pytest.raises(InputError) as caught:
        load_search(path)
    return [(Path(each.file).name, each.line, each.field) for each in caught.value.problems]


def test_a_searchs_own_problems_hide_none_of_the_files_that_it_names_nor_they_its_own(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("unit.ratio", "unti.ratio"), encoding="utf-8")
    (tmp_path / "short.yaml").write_text("iterations: 100\nbatch: many\n", encoding="utf-8")
    path = write(tmp_path, "sede: 3", "seed: -1", "proxies: [zenn]", "limits: {mac: {max: 1e8}, macs: {min: 2, max: 1}}",
                 "references: [lite_hrnet_81]", "front_seeds: [1, 1]",
                 space="small.yaml", recipe="short.yaml", trials="many")  # fmt: skip
    assert places(path) == [
        ("mine.yaml", 5, "trials"),
        ("mine.yaml", 6, "sede"),
        ("mine.yaml", 7, "seed"),
        ("mine.yaml", 8, "proxies"),
        ("mine.yaml", 9, "limits.mac"),
        ("mine.yaml", 9, "limits"),
        ("mine.yaml", 10, "references"),
        ("mine.yaml", 11, "front_seeds"),
        ("short.yaml", 2, "batch"),
        ("small.yaml", 4, "vary.ratio"),
    ]


def test_a_wrong_rung_hides_no_other_rung_and_a_wrong_type_no_objective(tmp_path: Path) -> None:
    rungs = "rungs:\n  at:\n    - {proxy: zenn}\n    - {recipe: smokee}\n    - {iterations: many}\n    - {iterations: 400}\n  eta: 1"
    path = write(tmp_path, rungs, "title: 3", objectives="{pkc: maximize, macs: maximize, pck: up}")
    assert places(path) == [
        ("mine.yaml", 4, "objectives.pkc"),
        ("mine.yaml", 4, "objectives.macs"),
        ("mine.yaml", 4, "objectives.pck"),
        ("mine.yaml", 8, "rungs.at.proxy"),
        ("mine.yaml", 9, "rungs.at"),
        ("mine.yaml", 10, "rungs.at.2.iterations"),
        ("mine.yaml", 11, "rungs.at"),
        ("mine.yaml", 12, "rungs.eta"),
        ("mine.yaml", 13, "title"),
    ]


def test_what_only_follows_from_a_mistake_is_no_problem_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, recipe="quick_serch", objectives="{pck: maximize, ap: maximize}")
    assert places(path) == [("mine.yaml", 3, "recipe")]


def test_a_reference_that_does_not_fit_the_recipes_input_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = builtin.find("quick_search", "studies", "recipes/*.yaml", "recipe").read_text()
    (tmp_path / "odd.yaml").write_text(recipe.replace("[128, 96]", "[96, 96]"), encoding="utf-8")
    deep = "version: 1\nextends: lite_hrnet_18\nstages: {width: 16, modules: [1, 1, 1, 1]}\n"
    (tmp_path / "deep.yaml").write_text(deep, encoding="utf-8")
    found = problems(write(tmp_path, "references: [deep.yaml]", recipe="odd.yaml"))
    assert len(found) == 1
    assert "multiples of 64" in found[0]


def test_networks_to_start_from_are_points_of_the_space(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "wide.yaml").write_text("version: 1\nextends: lite_hrnet_18\nstages: {unit: {ratio: 4}}\n")
    search = load_search(
        write(
            tmp_path, "start: [wide.yaml, lite_hrnet_18]", "limits: {macs: {min: 1e6}}", space="small.yaml", trials="3"
        )
    )
    assert [search.space.labels(point) for point in search.start] == [
        {"ratio": 4, "sum": "released"},
        {"ratio": 8, "sum": "released"},
    ]


def test_every_network_that_cannot_be_started_from_is_named_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "other.yaml").write_text("version: 1\nextends: lite_hrnet_18\nstages: {unit: {ratio: 3}}\n")
    (tmp_path / "copy.yaml").write_text("version: 1\nextends: lite_hrnet_18\n")
    start = ["start:", "- lite_hrnet_18", "- lite_hrnet_99", "- other.yaml", "- copy.yaml"]
    path = write(tmp_path, *start, "limits: {macs: {min: 1e6}}", space="small.yaml", trials="4")
    assert places(path) == [
        ("mine.yaml", 8, "start"),
        ("mine.yaml", 10, "start"),
        ("other.yaml", 3, "stages.unit.ratio"),
    ]
    write(tmp_path, "start:", "- lite_hrnet_18", "limits: {macs: {max: 1e6}}", space="small.yaml", trials="1")
    assert places(path) == [("mine.yaml", 7, "start")]
    write(tmp_path, "start: [lite_hrnet_18, copy.yaml]", "limits: {macs: {min: 1e6}}", space="small.yaml", trials="1")
    assert places(path) == [("mine.yaml", 6, "start"), ("mine.yaml", 6, "start")]


def test_what_decides_a_study_changes_with_its_parts_alone(tmp_path: Path) -> None:
    plain = load_search(write(tmp_path)).parts("data")
    assert json.loads(json.dumps(plain)) == plain
    changes = {
        "space": ["limits: {macs: {max: 7e7}}"],
        "rungs": ["rungs: {at: [{iterations: 40}]}"],
    }
    for name, more in changes.items():
        other = load_search(write(tmp_path, *more)).parts("data")
        assert [part for part in plain if plain[part] != other[part]] == [name]
    other = load_search(write(tmp_path, "sampler: {name: random}", "title: Mine", trials="30")).parts("data")
    assert other == plain
    assert load_search(write(tmp_path, objectives="{ap: maximize}")).parts("data")["objectives"] != plain["objectives"]
