import sys
from pathlib import Path

import pytest
from helpers.sample_records import run_of, write_records
from matplotlib.figure import Figure

from archlab import ablation
from archlab.ablation.row import Row
from archlab.ablation.study import Ablation
from archlab.core.errors import InputError


def test_a_study_is_a_frame_of_a_row_a_network_with_counted_published_and_measured_columns() -> None:
    runs = [run_of("lite_hrnet_18", seed=seed, pck=pck) for seed, pck in ((1, 50.0), (2, 52.0))]
    frame = ablation.table("table6", records=runs)
    assert len(frame) == 7
    lite = frame.loc["Lite-HRNet-18"]
    assert (lite["coco_params"], lite["coco_paper_flops"]) == (1_130_769, 215_202_112)
    assert (lite["published_ap"], lite["published_pckh"]) == (64.8, 86.1)
    assert (lite["ground_truth_boxes_pck"], round(lite["ground_truth_boxes_pck_sd"], 3)) == (51.0, 1.414)
    assert frame["runs"].dropna().tolist() == [2.0]


def test_measured_columns_are_of_the_setting_with_the_most_training_or_of_one_recipe(tmp_path: Path) -> None:
    runs = [
        run_of("lite_hrnet_18", pck=50.0),
        run_of("lite_hrnet_18", pck=70.0, recipe="gpu", recipe_hash="r9" * 8, samples=9000),
    ]
    folder = write_records(tmp_path, *runs)
    for recipe, pck in (("", 70.0), ("quick", 50.0)):
        frame = ablation.table("table7", records=folder, recipe=recipe)
        assert frame["ground_truth_boxes_pck"].dropna().tolist() == [pck]
        assert frame.index.is_unique


def test_without_records_a_frame_has_costs_and_published_figures_alone(tmp_path: Path) -> None:
    frame = ablation.table("table7", records=tmp_path / "none")
    assert not [name for name in frame.columns if "boxes" in name]
    assert frame["published_ap"].notna().all()


def test_a_campaign_has_its_controls_too_and_a_structure_its_lines() -> None:
    assert len(ablation.table("campaign", records=[])) == 13
    lines = ablation.table("table1", records=[])
    assert lines.groupby("network")["paper_flops"].sum().to_dict() == {
        "Lite-HRNet-18": 286_710_400,
        "Lite-HRNet-30": 446_005_976,
    }


def test_a_plot_is_a_figure_of_a_scatter_or_of_an_ablations_own_rows() -> None:
    runs = [run_of("lite_hrnet_18"), run_of("lite_hrnet_30", ap=22.0)]
    for study, panels in (("figure4", 4), ("table6", 4), (ablation.load_study("table6"), 4)):
        made = ablation.complexity_accuracy(study, records=runs)  # type: ignore[arg-type]
        assert isinstance(made, Figure)
        assert len(made.axes) == panels
    mine = Ablation("ablation", "T", "S", (Row("Mine", "lite_hrnet_18"),))
    titles = [ax.get_title(loc="left") for ax in ablation.complexity_accuracy(mine, records=runs).axes]
    assert [title[:3] for title in titles] == ["(a)", "(b)"]  # AP and PCK as measured; nothing is published


@pytest.mark.parametrize(("call", "study"), [("table", "figure4"), ("complexity_accuracy", "table1")])
def test_a_study_of_another_kind_is_refused(call: str, study: str) -> None:
    with pytest.raises(InputError) as caught:
        getattr(ablation, call)(study, records=[])
    assert [problem.field for problem in caught.value.problems] == ["study"]


def test_a_study_without_any_points_has_no_plot(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: A, spec: lite_hrnet_18}\n"
    )
    with pytest.raises(InputError):
        ablation.complexity_accuracy(tmp_path / "mine.yaml", records=[])


def test_every_public_name_is_there_and_no_module_replaces_it() -> None:
    import pkgutil
    from importlib import import_module

    modules = {info.name for info in pkgutil.iter_modules(ablation.__path__)}
    for name in modules:
        import_module(f"archlab.ablation.{name}")
    assert not modules & set(ablation.__all__)
    for name in ablation.__all__:
        assert callable(getattr(ablation, name))
        assert getattr(ablation, name).__doc__
    assert "archlab.ablation.table" not in sys.modules
    with pytest.raises(AttributeError):
        ablation.no_such_name  # noqa: B018
