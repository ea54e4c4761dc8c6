"""The examples of README.md and docs/: files load, Python runs, commands parse, and the fast ones are executed."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from pathlib import Path

import pytest
from helpers.examples import blocks as blocks_of
from helpers.examples import commands
from helpers.paths import REPOSITORY

import archlab
from archlab import yamlio
from archlab.cli import app

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FAST = {"build", "list", "schema", "sample", "report", "completion"}
OTHERS = ("pip install ", "make ", "torchrun ")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request, tmp_path, monkeypatch):
    """A document's blocks, in a folder that holds its files."""
    monkeypatch.chdir(tmp_path)
    found = blocks_of(request.param)
    for block in found:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, Path(block.file).stem, raising=False)
    yield found
    for block in found:
        if block.file.endswith(".py"):
            sys.modules.pop(Path(block.file).stem, None)


def load(path: Path, plugin: tuple[str, ...]) -> object:
    """Read a YAML file as what it is."""
    from archlab.ablation.load import load_study
    from archlab.search.load import load_search
    from archlab.search.space.space import load_space
    from archlab.tasks.segmentation.classes import read_file
    from archlab.training.recipe import load_recipe

    entries = yamlio.read(path).entries
    if "kind" in entries:
        return load_search(path) if entries["kind"].value == "search" else load_study(path)
    if "vary" in entries:
        return load_space(path)
    if "names" in entries:
        return read_file(path)
    if "version" in entries:
        return archlab.cost(archlab.load(path, plugin=plugin))
    return load_recipe(path)


def test_a_yaml_example_has_a_name_and_loads(document):
    for block in document:
        if block.language == "yaml":
            assert block.file, f"line {block.line}: the first line is `# NAME.yaml`"
            assert load(Path(block.file), block.plugin)


# test_python.py runs docs/python.md after importing every module
@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.name != "python.md"], indirect=True, ids=lambda path: path.name
)
def test_a_python_example_runs(document):
    names: dict[str, object] = {}
    for block in document:
        if block.language == "python":
            exec(compile(block.text, block.file or f"line {block.line}", "exec"), names)


def test_a_command_is_parsed_and_a_fast_one_does_what_is_shown(document, capsys):
    for block in document:
        for command, output in commands(block) if block.language == "console" else ():
            if not command.startswith("archlab "):
                assert command.startswith(OTHERS), command
                continue
            words = shlex.split(command.split(" > ")[0])[1:]
            if "--help" in words:
                continue
            app.parser().parse_args(words)
            if (words[0] in FAST or "--dry-run" in words) and "/path/to" not in command:
                code = app.main(words)
                shown = "".join(capsys.readouterr())
                assert code == (2 if "error: " in output else 0), (command, shown)
                if output:
                    assert shown == output


SHORTER = {"train": ("--recipe-set", "iterations=2", "--threads", "1"), "search": ("--trials", "2", "--jobs", "1")}
"""What a test adds to commands that take minutes as they are written."""


def shortened(search: str, folder: Path) -> str:
    """Write a search with steps in place of minutes, one seed and no reference; return its file's name."""
    text = (REPOSITORY / "studies" / f"{search}.yaml").read_text(encoding="utf-8")
    changes = {"recipe: quick_search": "recipe: steps.yaml", "iterations: 40": "iterations: 1",
               "front_seeds: [1, 2, 3]": "front_seeds: [1]", "references: [lite_hrnet_18]": "references: []"}  # fmt: skip
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / f"{search}.yaml").write_text(text, encoding="utf-8")
    (folder / "steps.yaml").write_text("extends: quick_search\niterations: 2\n", encoding="utf-8")
    return f"{search}.yaml"


@pytest.mark.slow
def test_the_story_of_the_first_page_runs_in_an_empty_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    search = shortened("lite_hrnet_quick", tmp_path)
    story = next(block for block in blocks_of(DOCUMENTS[0]) if "archlab predict" in block.text)
    told = [shlex.split(command) for command, _ in commands(story)]
    assert [words[:2] for words in told[:2]] == [["pip", "install"], ["archlab", "train"]]
    for _, name, *words in told[1:]:
        words = [search if word == Path(search).stem else word for word in words]
        assert app.main([name, *words, *SHORTER.get(name, ())]) == 0, (name, words, capsys.readouterr().err)
    assert {"found.yaml", "found.pt", "found.py", "found.onnx"} <= {path.name for path in tmp_path.iterdir()}
    pictures = {path.name for path in (tmp_path / "data" / "quick-2400-200-1" / "val2017").iterdir()}
    for folder in ("drawn", "drawn_too"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == pictures | {"predictions.json"}


def test_every_language_of_a_block_is_checked(document):
    assert {block.language for block in document} <= {"yaml", "python", "console", "toml", ""}


def test_links_lead_to_files():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), (path.name, target)


def test_the_first_page_is_short_and_leads_to_every_other():
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert all(f"docs/{path.name}" in text for path in DOCUMENTS[1:])


def test_the_first_page_shows_the_figures_of_the_committed_reports():
    with (REPOSITORY / "reports" / "table6.csv").open(encoding="utf-8") as file:
        known = {row["model"]: row for row in csv.DictReader(file)}
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if " | " in line]
    shown = {row[0]: row[1:] for row in rows if row[0] in known}
    assert set(shown) == set(known)
    for name, cells in shown.items():
        row = known[name]
        figures = [row["coco_paper_mflops"], row["published_coco_mflops"], row["published_ap"],
                   row["ground_truth_boxes_pck"], row["ground_truth_boxes_mean_oks"]]  # fmt: skip
        assert cells == [f"{int(row['coco_params']):,}", *(f"{float(each):.1f}" for each in figures)]
