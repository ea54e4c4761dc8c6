import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.sample_records import record, write_records

import archlab
from archlab.ablation import report, structure, study, units
from archlab.ablation.study import Formula, Structure, Unit, UnitComplexity
from archlab.core.errors import InputError
from archlab.counting.count import MEBI
from archlab.report import tables
from archlab.report.tables import Cell, Column, Document, Table
from archlab.training.runs import Record

NASTY = r"a_b & 50% of #1 $x$ {y} ~ ^ \z <t> |bar| *s* [q] `c` Nₛ² ± −"


def run(spec: str, **given: object) -> Record:
    network = archlab.load(spec, input=(3, 128, 96), outputs=17)
    return record(spec, archlab.spec_hash(network), **given)


def table6(*records: Record) -> Document:
    loaded = study.load_ablation("table6")
    return report.document(loaded, records)


def nasty() -> Document:
    columns = (Column("Name", align="l"), Column("p_1", "Group & Co"), Column("p_2", "Group & Co"), Column("plain"))
    body = ((Cell(NASTY), Cell("1.0", "See 50% of it_all."), Cell("-"), Cell("[x]")),) * 2
    table = Table("A_heading", columns, body, ("Caption with 100 % & more_.",))
    return Document("nasty", "T & T", "S_1", (table,), ({"a": 1, "b": "x,y"}, {"a": 2.5, "c": None}))


def pipe_rows(text: str) -> list[list[str]]:
    """The cells of each line of a pipe table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_has_a_cell_for_each_column_and_escapes_what_it_would_read() -> None:
    found = pipe_rows(tables.markdown(nasty()))
    assert {len(line) for line in found} == {4}
    assert len(found) == 4  # heads, rule, two rows
    assert found[0][1] == r"Group & Co<br>p\_1"
    assert found[2][0] == r"a\_b & 50% of \#1 $x$ \{y\} \~ ^ \\z \<t\> \|bar\| \*s\* \[q\] \`c\` Nₛ² ± −"
    assert found[2][1] == "1.0<sup>a</sup>"


def test_a_remark_stands_once_below_its_table() -> None:
    text = tables.markdown(nasty())
    assert text.count("See 50% of it\\_all.") == 1
    assert "<sup>a</sup> See" in text


def tex_skeleton(text: str) -> str:
    """LaTeX with escaped signs and commands' names taken out: what is left must be structure."""
    lines = [line.removesuffix("{%") + "{" * line.endswith("{%") for line in text.splitlines() if line[:1] != "%"]
    return re.sub(r"\\([&%$#_{}]|[A-Za-z]+)", "", "\n".join(lines))


@pytest.mark.parametrize("name", ["nasty", "table1", "table2", "table6", "table7"])
def test_latex_is_balanced_and_every_line_fills_its_columns(name: str) -> None:
    document = nasty() if name == "nasty" else report.document(study.load(name), [run("lite_hrnet_18")])
    text = tables.latex(document)
    skeleton = tex_skeleton(text)
    assert skeleton.count("{") == skeleton.count("}")
    assert not re.search(r"[#_%]", skeleton)
    assert skeleton.count("$") % 2 == 0
    bodies = re.findall(r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}", text, flags=re.DOTALL)
    assert len(bodies) == len(document.tables)
    for columns, body in bodies:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 3
        for line in lines:
            spans = [int(n) for n in re.findall(r"\\multicolumn{(\d+)}", line)]
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            assert cells + sum(spans) - len(spans) == len(columns), line
    for environment in ("table*", "tabular"):
        assert text.count(f"\\begin{{{environment}}}") == text.count(f"\\end{{{environment}}}") == len(document.tables)


@pytest.mark.parametrize("name", ["table1", "table2", "table6", "table7"])
def test_latex_uses_only_signs_that_every_engine_knows(name: str) -> None:
    text = tables.latex(report.document(study.load(name), [run("lite_hrnet_18", seed=s) for s in (1, 2)]))
    assert {sign for sign in text if ord(sign) > 0xFF} == set()


@pytest.mark.system
def test_latex_compiles(tmp_path: Path) -> None:
    assert shutil.which("pdflatex"), "`make test-all` needs pdflatex with booktabs (Debian: texlive-latex-recommended)"
    names = ("table1", "table2", "table6", "table7")
    documents = [nasty(), *(report.document(study.load(n), [run("lite_hrnet_18")]) for n in names)]
    body = "\n".join(map(tables.latex, documents))
    head = "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "all.tex").write_text(head + body + "\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_has_every_column_and_reads_back() -> None:
    lines = list(csv.DictReader(io.StringIO(tables.comma_separated(nasty()))))
    assert lines == [{"a": "1", "b": "x,y", "c": ""}, {"a": "2.5", "b": "", "c": ""}]


def test_csv_of_an_ablation_keeps_counts_to_the_unit() -> None:
    lines = list(csv.DictReader(io.StringIO(tables.comma_separated(table6(run("lite_hrnet_18"))))))
    (lite,) = [line for line in lines if line["spec"] == "lite_hrnet_18"]
    assert (lite["coco_paper_flops"], lite["mpii_paper_flops"]) == ("215202112", "286710400")
    assert (lite["published_ap"], lite["ground_truth_boxes_AP"], lite["seeds"]) == ("64.8", "20.0", "1")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_terminal_form_keeps_to_its_width_where_single_groups_fit(width: int) -> None:
    text = tables.terminal(table6(run("lite_hrnet_18")).tables[:1], max(width, 90)).plain
    assert max(map(len, text.splitlines())) <= max(width, 90)
    assert text.count("Lite-HRNet-30") >= 1


def test_a_table_too_wide_for_the_terminal_repeats_its_names() -> None:
    document = table6(run("lite_hrnet_18"))
    narrow, wide = (tables.terminal(document.tables[:1], width).plain for width in (90, 250))
    assert narrow.count("Small HRNet-W16") > wide.count("Small HRNet-W16") == 1


def cells(document: Document, heading: str, group: str, column: str) -> dict[str, str]:
    """Row name -> text of one column."""
    (table,) = [table for table in document.tables if table.heading.startswith(heading)]
    (at,) = [i for i, each in enumerate(table.columns) if (each.group, each.name) == (group, column)]
    return {row[0].text: row[at].text for row in table.rows}


def test_costs_stand_beside_the_printed_ones_with_their_difference() -> None:
    document = table6()
    coco = "MFLOPs, COCO 256×192"
    assert cells(document, "Cost", coco, "as paper, 2²⁰")["Lite-HRNet-18"] == "205.23"
    assert cells(document, "Cost", coco, "printed")["Lite-HRNet-18"] == "205.2"
    assert cells(document, "Cost", coco, "diff.")["Lite-HRNet-18"] == "+0.03"
    assert cells(document, "Cost", "MFLOPs, MPII 256×256", "diff.")["Wider Naive Lite-HRNet-18"] == "−4.12"
    assert cells(document, "Cost", "Parameters, 10⁶", "diff.")["Naive Lite-HRNet-18"] == "+0.060"
    assert "19 of the 21 printed costs" in document.tables[0].caption[0]


def test_misprints_are_remarked_on_where_they_stand() -> None:
    table = table6().tables[0]
    remarked = {row[0].text: cell.text for row in table.rows for cell in row if cell.note}
    assert remarked == {"Naive Lite-HRNet-18": "0.7", "Wider Naive Lite-HRNet-18": "418.7"}


def test_published_scores_stand_in_columns_of_their_own() -> None:
    document = table6(run("lite_hrnet_18", seed=1, pck=50.0), run("lite_hrnet_18", seed=2, pck=51.0))
    measured = "Measured, ground-truth boxes"
    assert cells(document, "Scores", measured, "PCK")["Lite-HRNet-18"] == "50.5 ± 0.7"
    assert cells(document, "Scores", measured, "AP")["Lite-HRNet-18"] == "20.0 ± 0.0"
    assert cells(document, "Scores", "", "seeds")["Lite-HRNet-18"] == "2"
    assert cells(document, "Scores", "Published, COCO val", "AP")["Lite-HRNet-18"] == "64.8"
    groups = {column.group for column in document.tables[1].columns}
    assert groups == {"", measured, "Published, COCO val", "Published, MPII val"}


def test_a_row_without_a_run_shows_a_dash_and_is_listed() -> None:
    document = table6(run("lite_hrnet_18"))
    found = cells(document, "Scores", "Measured, ground-truth boxes", "PCK")
    assert [name for name, text in found.items() if text != "-"] == ["Lite-HRNet-18", "Mean pose, no network"]
    (line,) = [line for line in document.tables[1].caption if line.startswith("Not trained:")]
    assert "Small HRNet-W16" in line
    assert "Lite-HRNet-18," not in line.replace("Naive Lite-HRNet-18,", "")


def test_the_mean_pose_is_what_there_is_to_beat() -> None:
    found = cells(table6(run("lite_hrnet_18")), "Scores", "Measured, ground-truth boxes", "PCK")
    assert found["Mean pose, no network"] == "15.0"


def test_scores_in_detector_boxes_have_columns_only_where_there_are_any() -> None:
    both = run("lite_hrnet_18")
    both.scores["detector_boxes"] = dict(both.scores["ground_truth_boxes"], AP=17.0)
    document = table6(both)
    assert cells(document, "Scores", "Measured, detector boxes", "AP")["Lite-HRNet-18"] == "17.0"
    assert cells(document, "Scores", "Measured, detector boxes", "AP")["Mean pose, no network"] == "-"


def test_each_setting_has_a_table_of_its_own() -> None:
    document = table6(run("lite_hrnet_18"), run("lite_hrnet_30", recipe="gpu", recipe_hash="r7" * 8))
    headings = [table.heading for table in document.tables]
    assert headings == ["Cost", "Scores: recipe gpu, synthetic quick", "Scores: recipe quick, synthetic quick"]


def test_without_runs_the_table_says_that_nothing_was_trained() -> None:
    document = table6()
    assert "None of these networks was trained here" in document.tables[1].caption[0]
    assert all("Measured" not in column.group for column in document.tables[1].columns)


def test_measured_and_published_scores_are_said_not_to_compare() -> None:
    assert any("cannot be compared" in line for line in table6(run("lite_hrnet_18")).tables[1].caption)


def test_a_study_without_published_figures_has_no_columns_for_them(tmp_path: Path) -> None:
    text = "kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: Mine, spec: lite_hrnet_18}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    document = report.document(study.load(tmp_path / "mine.yaml"), [run("lite_hrnet_18")])
    heads = [f"{column.group} {column.name}" for table in document.tables for column in table.columns]
    assert not [head for head in heads if "ublished" in head or "printed" in head or "diff" in head]
    assert "ublished" not in tables.markdown(document)


def test_the_structure_is_computed_and_as_printed() -> None:
    document = report.document(study.load("table1"), [])
    (table,) = document.tables
    assert "every one is as printed" in table.caption[0]
    total = next(row for row in table.rows if (row[0].text, row[1].text) == ("Total", "counted"))
    assert [cell.text for cell in total[-2:]] == ["273.43", "425.34"]  # printed 273.4 and 425.3
    flops = {"Lite-HRNet-18": 0, "Lite-HRNet-30": 0}
    for line in document.records:
        flops[line["network"]] += line["paper_flops"]
    assert flops == {"Lite-HRNet-18": 286_710_400, "Lite-HRNet-30": 446_005_976}  # known of the released code, 256x256


def test_a_structure_that_differs_from_print_shows_both() -> None:
    loaded = study.load("table1")
    assert isinstance(loaded, Structure)
    first = loaded.layers[2]
    wrong = type(first)(**{**vars(first), "modules": (5, 3), "channels": (40, 81)})
    changed = type(loaded)(**{**vars(loaded), "layers": (*loaded.layers[:2], wrong, *loaded.layers[3:])})
    (table,) = structure.document(changed).tables
    texts = [cell.text for cell in table.rows[2]]
    assert "2 (printed 5)" in texts
    assert "40, 80 (printed 40, 81)" in texts
    assert "2 differ from print" in table.caption[0]


def test_printed_formulas_give_the_printed_examples() -> None:
    loaded = study.load("table2")
    assert isinstance(loaded, UnitComplexity)
    found = [units.evaluate(formula, loaded.maps) for formula in loaded.formulas]
    assert found == [
        13_107_200,
        2_211_840,
        261_760,
        274_560,
        536_320,
    ]  # known of the released code and of the printed formulas
    for formula, value in zip(loaded.formulas, found, strict=True):
        digits = 1 if formula.mflops > 1 else 2
        assert round(value / MEBI, digits) == formula.mflops


def test_the_real_units_save_71_percent_and_not_80() -> None:
    loaded = study.load("table2")
    assert isinstance(loaded, UnitComplexity)
    shuffle, ccw = (units.count(unit, loaded.maps) for unit in loaded.units)
    assert (round(shuffle.paper / MEBI, 3), round(ccw.paper / MEBI, 3)) == (
        8.242,
        2.370,
    )  # known of the released code and of the printed formulas
    document = report.document(loaded, [])
    assert document.tables[1].rows[1][-1].text == "71 % less"
    assert "80 %" in " ".join(document.tables[1].caption)


def test_a_unit_or_formula_that_does_not_exist_is_refused() -> None:
    maps = ((40, 64, 64),)
    with pytest.raises(InputError, match="did you mean 'shuffle_block'"):
        units.count(Unit("x", "shufle_block"), maps)
    with pytest.raises(InputError, match="did you mean 'pointwise'"):
        units.evaluate(Formula("x", "pointwize", True, False, "", 1.0), maps)
    with pytest.raises(InputError, match="shuffle_block"):
        units.count(Unit("x", "shuffle_block", {"no_such": 1}), maps)


def test_a_report_is_written_in_three_forms_and_again_with_the_same_bytes(tmp_path: Path) -> None:
    records = write_records(tmp_path / "records", run("lite_hrnet_18"))
    paths = report.report("table6", records, tmp_path)
    assert [path.name for path in paths] == ["table6.md", "table6.csv", "table6.tex"]
    before = [path.read_bytes() for path in paths]
    assert all(before)
    assert [path.read_bytes() for path in report.report("table6", records, tmp_path)] == before


def test_an_ill_formed_table_is_our_error() -> None:
    with pytest.raises(AssertionError):
        Table("x", (Column("a"), Column("b")), ((Cell("1"),),), ())
