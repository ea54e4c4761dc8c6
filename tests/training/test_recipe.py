"""Recipes: what their files may say, the learning rate's course, their identity and the data they bring."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.refused import refused

from archlab import yamlio
from archlab.core import builtin
from archlab.core.errors import InputError
from archlab.tasks import find_task
from archlab.tasks.pose.options import Augmentation, EmbeddedData
from archlab.training.recipe import (
    NOT_IDENTITY,
    Optimiser,
    Recipe,
    Schedule,
    ensure_data,
    form_of,
    load_recipe,
    recipe_hash,
)

SHIPPED = sorted(builtin.names("studies", "recipes/*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_loads_and_opens_with_a_comment_that_says_what_it_is_for(name: str) -> None:
    assert load_recipe(name).name == name
    assert builtin.find(name, "studies", "recipes/*.yaml", "recipe").read_text().startswith("# ")


def test_the_recipes_that_are_promised_are_there() -> None:
    assert {"quick", "gpu", "smoke", "coco_256x192", "coco_384x288", "mpii_256x256"} <= set(SHIPPED)


def test_the_coco_recipe_is_the_released_protocol() -> None:
    # The released configuration.
    recipe = load_recipe("coco_256x192")
    assert (recipe.input, recipe.epochs, recipe.batch, recipe.options.sigma) == ((256, 192), 210, 512, 2.0)
    assert (recipe.optimiser.name, recipe.optimiser.lr, recipe.optimiser.weight_decay) == ("adam", 2e-3, 0.0)
    assert (recipe.schedule.warm_up, recipe.schedule.warm_up_start) == (500, 0.001)
    assert (recipe.schedule.decay, recipe.schedule.milestones, recipe.schedule.factor) == ("step", (170, 200), 0.1)
    assert recipe.options.augmentation == Augmentation()
    assert recipe.options.flip_test


def test_the_wide_coco_recipe_differs_in_input_batch_and_sigma_alone() -> None:
    small, wide = load_recipe("coco_256x192"), load_recipe("coco_384x288")
    assert wide == small.changed(name="coco_384x288", input=(384, 288), batch=256, sigma=3.0)


def test_the_mpii_recipe_differs_in_what_the_released_code_does_on_mpii() -> None:
    # A square input, half the batch; neither half bodies nor moved centres; MPII has no detections to score in.
    recipe = load_recipe("mpii_256x256")
    assert recipe == load_recipe("coco_256x192").changed(
        name="mpii_256x256",
        dataset="mpii",
        input=(256, 256),
        batch=256,
        augmentation=Augmentation(half_body_probability=0.0, shift_probability=0.0),
        boxes="ground_truth",
    )


def test_recorded_runs_keep_their_hash() -> None:
    # From the records of the first ablation (reports/records).
    assert recipe_hash(load_recipe("quick")) == "1d2f21f81f2bb7c2"
    assert recipe_hash(load_recipe("quick").changed(dataset="mpii")) != "1d2f21f81f2bb7c2"


def test_mpii_takes_neither_detector_boxes_nor_embedded_people(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("dataset: mpii\niterations: 1\nboxes: both\ndata: {level: quick, train: 1, val: 1}\n")
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert [problem.field for problem in caught.value.problems] == ["boxes", "data"]


def test_every_field_is_described_in_the_schema_or_is_a_described_dataclass() -> None:
    schema = yamlio.json_schema(form_of(find_task("pose")))
    for name, entry in schema["properties"].items():
        part = schema["$defs"].get(entry.get("$ref", "").removeprefix("#/$defs/"), entry)
        assert part.get("description"), name


def test_warm_up_rises_linearly_from_its_start_to_the_full_rate() -> None:
    schedule = Schedule(warm_up=500, warm_up_start=0.001)
    shares = [schedule.at(i, total=1000, unit=1) for i in (0, 250, 500, 999)]
    assert shares == pytest.approx([0.001, 0.5005, 1.0, 1.0])


def test_step_decay_falls_at_its_milestones_counted_in_epochs() -> None:
    schedule = Schedule(decay="step", milestones=(170, 200))
    before, at_first, between, at_second = (schedule.at(i, total=2100, unit=10) for i in (1699, 1700, 1999, 2000))
    assert (before, at_first, between, at_second) == pytest.approx((1.0, 0.1, 0.1, 0.01))


def test_cosine_and_poly_fall_from_one_to_nothing() -> None:
    cosine, poly = Schedule(decay="cosine"), Schedule(decay="poly", power=0.9)
    assert [cosine.at(i, total=100, unit=1) for i in (0, 50, 100)] == pytest.approx([1.0, 0.5, 0.0])
    assert [poly.at(i, total=100, unit=1) for i in (0, 50, 100)] == pytest.approx([1.0, 0.5**0.9, 0.0])


def test_all_mistakes_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("input: [250, 192]\nbatches: 3\nepochs: 0\noptimiser: {name: adma, lr: '5e-4'}\n")
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    told = {(problem.line, problem.field) for problem in caught.value.problems}
    assert {(1, "input.0"), (2, "batches"), (3, "epochs"), (4, "optimiser.name"), (4, "optimiser.lr")} <= told
    hints = {problem.field: problem.message for problem in caught.value.problems}
    assert "'batch'" in hints["batches"]
    assert "'adam'" in hints["optimiser.name"]


@pytest.mark.parametrize("length", ["batch: 8", "epochs: 2\niterations: 10"])
def test_a_recipe_has_one_length_and_not_two(tmp_path: Path, length: str) -> None:
    (tmp_path / "r.yaml").write_text(length + "\n")
    with refused(file=tmp_path / "r.yaml", field="epochs"):
        load_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("schedule", "field", "values"),
    [
        ("{decay: step}", "schedule", ["`decay: step`", "`milestones`"]),
        ("{milestones: [3]}", "schedule", ["`decay: step`", "`milestones`"]),
        ("{decay: step, milestones: [5, 3]}", "schedule.milestones", []),
        ("{decay: step, milestones: [10]}", "schedule.milestones", [10]),
    ],
)
def test_milestones_that_make_no_sense_are_refused(
    tmp_path: Path, schedule: str, field: str, values: list[object]
) -> None:
    (tmp_path / "r.yaml").write_text(f"iterations: 10\nschedule: {schedule}\n")
    with refused(*values, file=tmp_path / "r.yaml", field=field):
        load_recipe(tmp_path / "r.yaml")


def test_an_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    with refused("'quik'", "'quick'"):
        load_recipe("quik")


def test_a_recipe_written_out_in_full_reads_back_equal(tmp_path: Path) -> None:
    recipe = load_recipe("coco_256x192")
    (tmp_path / "copy.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "copy.yaml") == recipe


def test_the_hash_follows_what_decides_the_result_and_nothing_else() -> None:
    recipe = Recipe.of(iterations=10)
    other = {
        "name": "x", "dataset": "mpii", "crops": "udp", "targets": "dark",
        "decoding": "dark", "post_gaussian": 11, "nms": "soft", "input": (64, 64), "epochs": 3, "iterations": 11, "batch": 8, "optimiser": Optimiser(lr=1.0),
        "schedule": Schedule(warm_up=1), "sigma": 3.0, "augmentation": Augmentation(), "precision": "bf16",
        "flip_test": False, "boxes": "both", "validate_every": 2, "seed": 9, "data": EmbeddedData("quick", 1, 1), "pipeline": "batched", "keep_gigabytes": 1.0,
        "execution": "graph", "fusion": "plain", "budgets": (64,), "cooldown": 0.2,
        "accumulate": 2, "ema": 0.9, "eval_batch": 2, "workers": 1, "threads": 1, "checkpoint_every": 2, "checkpoint_seconds": 1.0, "log_every": 3,
    }  # fmt: skip
    assert set(other) == set(recipe.plain()) - {"task"}
    for name, value in other.items():
        same = recipe_hash(recipe.changed(**{name: value})) == recipe_hash(recipe)
        assert same == (name in NOT_IDENTITY), name


def test_a_data_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with refused(field="--data", file=tmp_path / "absent"):
        ensure_data(load_recipe("quick"), tmp_path / "absent")


def test_a_recipe_without_data_asks_for_a_folder() -> None:
    with refused("'coco_256x192'", field="--data"):
        ensure_data(load_recipe("coco_256x192"), None)


def test_embedded_data_is_made_once_and_then_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("smoke").changed(data=EmbeddedData("quick", train=3, val=2))
    root = ensure_data(recipe, None)
    assert root == Path("data") / "quick-3-2-1"
    assert len(list((root / "train2017").glob("*.jpg"))) == 3
    annotations = root / "annotations" / "person_keypoints_train2017.json"
    made = annotations.stat().st_mtime_ns
    assert ensure_data(recipe, None) == root
    assert annotations.stat().st_mtime_ns == made


def test_a_recipe_states_its_differences_from_the_one_that_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(
        "extends: quick\niterations: 600\noptimiser: {lr: 1e-3}\ndata: {train: 100, val: 8, level: quick}\n"
    )
    slow, quick = load_recipe(path), load_recipe("quick")
    data = replace(quick.options.data, train=100, val=8)
    optimiser = replace(quick.optimiser, lr=1e-3)
    assert slow == quick.changed(name="slow", iterations=600, optimiser=optimiser, data=data)
    assert recipe_hash(slow) == recipe_hash(load_recipe("quick", changes={"iterations": 600, "optimiser.lr": 1e-3}))
    (tmp_path / "slower.yaml").write_text("extends: base\niterations: 900\n")
    (tmp_path / "base.yaml").write_text("name: basic\niterations: 5\nbatch: 3\n")
    slower = load_recipe(tmp_path / "slower.yaml")
    assert (slower.name, slower.iterations, slower.batch) == ("slower", 900, 3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("extends: qick\nbatch: 2\n", "one.yaml:1:10: extends: "),
        ("batch: 2\nextends: two\n", "one.yaml:2:10: extends: "),
        ("extends: quick\nbathc: 2\n", "one.yaml:2:1: bathc: "),
        ("extends: quick\nepochs: 2\n", "one.yaml:2:9: epochs: "),
    ],
)
def test_what_a_recipe_cannot_extend_is_refused_where_it_stands(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text("extends: quick\n")
    with pytest.raises(InputError) as caught:
        load_recipe(tmp_path / "one.yaml")
    assert [str(problem).startswith(f"{tmp_path}/{place}") for problem in caught.value.problems] == [True]


def test_changed_fields_are_told_by_the_name_and_give_a_hash_of_their_own() -> None:
    quick = load_recipe("quick")
    changed = load_recipe("quick", changes={"optimiser.lr": 1e-3, "schedule.decay": "constant"})
    assert changed.name == "quick (optimiser.lr=0.001, schedule.decay=constant)"
    assert changed == load_recipe(quick, changes={"optimiser.lr": 1e-3, "schedule.decay": "constant"})
    assert recipe_hash(changed) != recipe_hash(quick)
    assert load_recipe("quick", changes={}) == load_recipe(quick) == quick
    with pytest.raises(InputError) as caught:
        load_recipe("quick", changes={"optimiser.lrr": 1, "batch": "x"})
    assert {(problem.file, problem.field) for problem in caught.value.problems} == {
        ("--recipe-set", "optimiser.lrr"),
        ("--recipe-set", "batch"),
    }
