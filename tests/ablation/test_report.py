import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.sample_records import run_of, write_records
from helpers.tables import nasty

from archlab.ablation.load import load_study
from archlab.ablation.report import study_tables, write_report
from archlab.cli.app import main
from archlab.report import tables


def tex_skeleton(text: str) -> str:
    """LaTeX with escaped signs and commands' names taken out: what is left must be structure."""
    lines = [line.removesuffix("{%") + "{" * line.endswith("{%") for line in text.splitlines() if line[:1] != "%"]
    return re.sub(r"\\([&%$#_{}]|[A-Za-z]+)", "", "\n".join(lines))


@pytest.mark.parametrize("name", ["nasty", "table1", "table2", "table3", "table6", "table7"])
def test_latex_is_balanced_and_every_line_fills_its_columns(name: str) -> None:
    document = nasty() if name == "nasty" else study_tables(load_study(name), [run_of("lite_hrnet_18")])
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


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table6", "table7"])
def test_latex_uses_only_signs_that_every_engine_knows(name: str) -> None:
    text = tables.latex(study_tables(load_study(name), [run_of("lite_hrnet_18", seed=s) for s in (1, 2)]))
    assert {sign for sign in text if ord(sign) > 0xFF} == set()


@pytest.mark.system
def test_latex_compiles(tmp_path: Path) -> None:
    assert shutil.which("pdflatex"), "`make test-all` needs pdflatex with booktabs (Debian: texlive-latex-recommended)"
    names = ("table1", "table2", "table6", "table7")
    documents = [nasty(), *(study_tables(load_study(n), [run_of("lite_hrnet_18")]) for n in names)]
    body = "\n".join(map(tables.latex, documents))
    head = "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "all.tex").write_text(head + body + "\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_report_is_written_in_three_forms_and_again_with_the_same_bytes(tmp_path: Path) -> None:
    records = write_records(tmp_path / "records", run_of("lite_hrnet_18"))
    paths = write_report("table6", records, tmp_path)
    assert [path.name for path in paths] == ["table6.md", "table6.csv", "table6.tex"]
    before = [path.read_bytes() for path in paths]
    assert all(before)
    assert [path.read_bytes() for path in write_report("table6", records, tmp_path)] == before


def test_a_scatter_without_a_point_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.yaml").write_text("kind: scatter\ntitle: Nothing\nsource: Nowhere\n")
    assert main(["report", str(tmp_path / "empty.yaml"), "--reports", str(tmp_path / "out")]) == 2
    assert "rows: has no point to draw" in capsys.readouterr().err
