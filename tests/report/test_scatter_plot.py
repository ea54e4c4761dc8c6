import math
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY
from helpers.sample_records import record, write_records
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import archlab
from archlab.ablation import rows, scatter
from archlab.ablation.captions import TOO_SMALL
from archlab.ablation.load import distinct_rows, load_ablation, load_study
from archlab.ablation.records import read_records
from archlab.ablation.report import study_panels, write_report
from archlab.report import scatter_plot as plots
from archlab.report.labels import Box, place
from archlab.report.pareto import Panel, Point, pareto

SPECS = [row.spec for row in distinct_rows(map(load_ablation, ("table6", "table7")))]


def runs(*seeds: int) -> list[rows.Record]:
    """A run of each of the nine networks: scores that rise with cost, two of them equal."""
    made = []
    for i, spec in enumerate(SPECS):
        loaded = archlab.load(spec, input=(3, 128, 96))
        flops = archlab.cost(loaded).flops
        cost = {"params": 1, "flops": dict(flops), "activations": 1}
        given = {"cost": cost, "pck": 60.0 + i // 2, "ap": 5.0 + 0.3 * i}
        made += [
            record(spec, archlab.spec_hash(loaded), seed=seed, **{**given, "pck": given["pck"] + seed})
            for seed in seeds
        ]
    return made


def figure4(*records: rows.Record) -> list[Panel]:
    trained = distinct_rows(map(load_ablation, ("table6", "table7")))
    loaded = load_study("figure4")
    return scatter.panels(loaded, rows.match_runs(trained, records))


def test_the_published_fronts_are_the_papers() -> None:
    coco, mpii = figure4()
    best = ["Lite-HRNet-18", "Wider Naive Lite-HRNet-18", "Lite-HRNet-30"]
    assert [point.label for point in pareto(coco.points)] == best
    assert [point.label for point in pareto(mpii.points)] == best


def test_published_and_measured_points_never_share_a_panel() -> None:
    panels = figure4(*runs(1))
    assert [(panel.measured, len(panel.points)) for panel in panels] == [(False, 6), (False, 6), (True, 9), (True, 9)]
    assert all(("Measured" in panel.title) == panel.measured for panel in panels)
    assert all((TOO_SMALL in panel.remark) == panel.measured for panel in panels)


def test_without_runs_only_the_published_panels_are_drawn() -> None:
    assert [panel.measured for panel in figure4()] == [False, False]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    count = draw(st.integers(1, 12))
    place_ = st.tuples(st.floats(20, 380), st.floats(20, 280))
    size = st.tuples(st.floats(20, 90), st.floats(8, 22))
    return [draw(place_) for _ in range(count)], [draw(size) for _ in range(count)]


@settings(max_examples=25, deadline=None)
@given(crowds())
def test_placed_labels_meet_no_label_no_point_and_no_edge(
    crowd: tuple[list[tuple[float, float]], list[tuple[float, float]]],
) -> None:
    points, sizes = crowd
    bounds = Box(0, 0, 400, 300)
    boxes = place(sizes, points, bounds, marker=8)
    assert len(boxes) == len(points)
    placed = [box for box in boxes if box]
    assert all(box.within(bounds) for box in placed)
    assert not any(a.meets(b) for i, a in enumerate(placed) for b in placed[:i])
    assert not any(box.meets(Box(x - 4, y - 4, x + 4, y + 4)) for box in placed for x, y in points)


def test_nine_labels_in_a_heap_are_all_placed() -> None:
    points = [(200.0 + 6 * (i % 3), 150.0 + 6 * (i // 3)) for i in range(9)]
    assert all(place([(90.0, 20.0)] * 9, points, Box(0, 0, 500, 350)))


def test_a_label_without_any_room_is_left_out_and_not_put_on_another() -> None:
    assert place([(90.0, 20.0)], [(20.0, 10.0)], Box(0, 0, 60, 30)) == [None]


def test_a_box_knows_which_segments_pass_through_it() -> None:
    box = Box(0, 0, 10, 10)
    assert box.cut_by((-5, 5), (15, 5))
    assert box.cut_by((5, 5), (20, 20))
    assert not box.cut_by((-5, 11), (15, 11))
    assert not box.cut_by((-5, 0), (0, 20))
    assert not box.cut_by((12, 5), (20, 5))


def extents(figure: Figure) -> list[tuple[Box, list[Box], list[Box]]]:
    """Of each panel its own box, those of its labels, and those of its markers, in pixels."""
    found = []
    for ax in figure.axes:
        edge, labels = ax.get_window_extent(), [text for text in ax.texts if text.get_gid() == "label"]
        boxes = [text.get_window_extent() for text in labels]
        reach = plots.MARKER * figure.dpi / 72 / 2
        centres = [ax.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
                   for line in ax.lines if line.get_marker() in {"o", "D"}]  # fmt: skip
        found.append((
            Box(edge.x0, edge.y0, edge.x1, edge.y1),
            [Box(box.x0, box.y0, box.x1, box.y1) for box in boxes],
            [Box(x, y, x, y).grown(reach) for x, y in centres],
        ))  # fmt: skip
    return found


@pytest.mark.parametrize("dpi", [100, 200])
def test_no_label_of_the_figure_overlaps_a_label_or_a_point(dpi: int) -> None:
    panels = figure4(*runs(1, 2))
    figure = plots.figure(panels)
    figure.set_dpi(dpi)
    drawn = extents(figure)
    assert len(drawn) == 4
    for panel, (edge, labels, markers) in zip(panels, drawn, strict=True):
        assert len(labels) == len(markers) == len(panel.points)
        assert all(label.within(edge) for label in labels)
        assert not any(a.meets(b) for i, a in enumerate(labels) for b in labels[:i])
        assert not any(label.meets(marker) for label in labels for marker in markers)


CITYSCAPES = (
    ("ICNet", 28.1, 67.7), ("BiSeNetV1 A", 14.7, 69.0), ("BiSeNetV1 B", 54.6, 74.8), ("SwiftNet (512×1024)", 24.2, 70.2),
    ("SwiftNet (1024×2048)", 96.9, 75.4), ("Fast-SCNN", 6.6, 68.6), ("BiSeNetV2 Small", 23.1, 73.4),
    ("MobileNet V2 0.5", 4.0, 68.6), ("HRNet-W16", 7.9, 68.6), ("FasterSeg", 26.0, 73.1), ("MobileNetV3", 9.2, 72.4),
    ("MobileNet V3-Small", 2.7, 68.4), ("Lite-HRNet-18", 2.1, 73.8), ("Lite-HRNet-30", 3.3, 76.0),
)  # fmt: skip


CROWDED = (
    ("Small HRNet-W16", 138, 20.5), ("Naive Lite-HRNet-18", 49, 20.1), ("Wider Naive Lite-HRNet-18", 78, 21.1),
    ("Wider NLite-HRNet-18 (one 1x1 conv. dropped)", 62, 25.9), ("Lite-HRNet-18", 51, 18.1), ("Lite-HRNet-30", 80, 21.9),
    ("Wider NLite-HRNet-18 (two 1x1 conv. dropped)", 47, 22.6), ("MobileNetV2 1x", 377, 0.7), ("ShuffleNetV2 1x", 326, 1.3),
    ("Lite-HRNet-18 (CCW only w/ spatial weights)", 48, 24.8), ("MobileNetV3 1x", 350, 0.3),
    ("Lite-HRNet-18 (CCW only w/ multi-resolution weights)", 50, 23.2),
)  # fmt: skip


def segments(figure: Figure) -> list[list[tuple[tuple[float, float], tuple[float, float]]]]:
    """Of each panel the segments of its fronts, leaders and error bars, in pixels."""
    found = []
    for ax in figure.axes:
        lines: list[tuple[tuple[float, float], tuple[float, float]]] = []
        for line in ax.lines:
            ends = [tuple(end) for end in line.get_transform().transform(line.get_path().vertices)]
            lines += [(a, b) for a, b in pairwise(ends) if math.isfinite(sum(a + b))]
        for bars in ax.collections:
            lines += [tuple(map(tuple, ax.transData.transform(each))) for each in bars.get_segments()]
        found.append(lines)
    return found


def crossed(figure: Figure) -> list[int]:
    """Of each panel the number of labels that a line passes through."""
    return [
        sum(any(label.grown(-1).cut_by(*line) for line in lines) for label in labels)
        for (_, labels, _), lines in zip(extents(figure), segments(figure), strict=True)
    ]


def test_no_line_passes_through_a_label_of_many_systems() -> None:
    points = tuple(Point(name, giga * 2**30, score, 0.4) for name, giga, score in CITYSCAPES)
    figure = plots.figure([Panel("t", "r", "mIoU", points, measured=False)] * 2)
    assert [len(labels) for _, labels, _ in extents(figure)] == [14, 14]
    assert crossed(figure) == [0, 0]
    assert figure.axes[0].get_xscale() == "log"
    moved = figure.axes[0].texts[-1]
    moved.set_position((points[-1].cost / 2**30, points[-1].score))  # the test must see a label that is on a line
    assert crossed(figure)[0] > 0


def test_no_line_passes_through_a_label_of_networks_in_a_crowd() -> None:
    points = tuple(Point(name, mega * 2**20, score) for name, mega, score in CROWDED)
    figure = plots.figure([Panel("t", "r", "AP", points, measured=True)] * 2)
    assert [len(labels) for _, labels, _ in extents(figure)] == [12, 12]
    assert crossed(figure) == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["made", "committed"])
def test_no_label_of_figure_4_or_of_all_systems_covers_a_line_or_another_label(kind: str) -> None:
    records = runs(1, 2) if kind == "made" else read_records(REPOSITORY / "reports" / "records")
    for name in ("figure4", "figure4_all"):
        figure = plots.figure(study_panels(load_study(name), records))
        assert crossed(figure) == [0] * len(figure.axes)
        for edge, labels, markers in extents(figure):
            assert len(labels) == len(markers)
            assert all(label.within(edge) for label in labels)
            assert not any(a.meets(b) for i, a in enumerate(labels) for b in labels[:i])


def test_a_setting_in_which_one_network_was_measured_has_no_panel() -> None:
    assert [panel.measured for panel in figure4(runs(1)[0])] == [False, False]


def test_the_empty_place_of_an_odd_number_of_panels_is_blank() -> None:
    panel = Panel("t", "r", "AP", (Point("a", 1e9, 1.0),), measured=True)
    assert [ax.axison for ax in plots.figure([panel] * 3).axes] == [True, True, True, False]
    assert [ax.axison for ax in plots.figure([panel]).axes] == [True]


def test_the_plot_is_written_at_200_dpi_and_as_svg_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    records = write_records(tmp_path / "records", *runs(1))
    paths = write_report("figure4", records, tmp_path)
    assert [path.name for path in paths] == ["figure4.png", "figure4.svg"]
    with Image.open(paths[0]) as image:
        assert image.size[0] == 2100
        assert round(image.info["dpi"][0]) == 200
    root = ElementTree.parse(paths[1]).getroot()
    assert root.tag.endswith("svg")
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_report("figure4", records, tmp_path)] == before


@pytest.mark.parametrize("remark", ["short", "first\nsecond", "a machine with a long name " * 6])
def test_the_remark_below_a_title_covers_neither_the_title_nor_the_panel(remark: str) -> None:
    figure = plots.figure([Panel("A title", remark, "AP", (Point("a", 1e9, 1.0), Point("b", 2e9, 2.0)), measured=True)])
    (ax,) = [each for each in figure.axes if each.texts]
    (text,) = [each for each in ax.texts if each.get_gid() == "remark"]
    title = next(each for each in (ax.title, ax._left_title, ax._right_title) if each.get_text())
    below, above, inside = (each.get_window_extent() for each in (text, title, ax))
    assert inside.y1 <= below.y0 < below.y1 <= above.y0 < above.y1 <= figure.bbox.y1
    assert below.x1 <= figure.bbox.x1 / 2


def test_points_of_one_cost_and_score_can_be_drawn() -> None:
    panel = Panel("t", "r", "AP", (Point("only", 1e9, 0.0),), measured=True)
    assert len(extents(plots.figure([panel]))[0][1]) == 1


@pytest.mark.parametrize("deviation", [None, 0.5])
def test_whiskers_are_explained_if_there_are_any(deviation: float | None) -> None:
    figure = plots.figure([Panel("t", "r", "AP", (Point("a", 1e9, 1.0, deviation),), measured=True)])
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("standard deviation over seeds" in shown) == (deviation is not None)
