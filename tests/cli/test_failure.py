"""What a command prints when it fails for a reason that no check of the input foresaw."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

import archlab
from archlab.cli.app import main
from archlab.core.files import replacing, write_json, write_text
from archlab.report.drawing.png import as_png


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Return a function that runs `archlab build` so that an error arises in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(error: BaseException, *flags: str) -> int:
        def assemble(spec):
            raise error

        monkeypatch.setattr(archlab, "assemble", assemble)
        return main(["build", "lite_hrnet_18", *flags])

    return run


def test_an_error_of_archlab_takes_two_lines_and_names_its_saved_report(failing, capsys):
    assert failing(KeyError("stage9\nmore")) == 70
    first, second = capsys.readouterr().err.splitlines()
    assert "KeyError" in first
    assert "stage9" in first
    report = Path(re.search(r"\S+archlab-\S+\.txt", second)[0].rstrip(";"))
    text = report.read_text(encoding="utf-8")
    for part in ("Traceback", "in build", "['build', 'lite_hrnet_18']"):
        assert part in text


def test_the_traceback_is_printed_on_request_and_no_report_is_saved(failing, capsys, tmp_path):
    assert failing(KeyError("stage9"), "--traceback") == 70
    assert "Traceback" in capsys.readouterr().err
    assert list(tmp_path.glob("archlab-*.txt")) == []


def test_a_report_that_cannot_be_saved_is_no_second_error(failing, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert failing(KeyError("stage9")) == 70
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a.json"),
            1,
            "error: out/a.json: No space left on device",
        ),
        (OSError(errno.EMFILE, "Too many open files"), 1, "error: Too many open files"),
        (OSError(errno.EACCES, "Permission denied", "out"), 2, "error: out: Permission denied"),
        (MemoryError(), 1, "error: the memory is exhausted"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "error: the memory is exhausted"),
    ],
    ids=["disk full", "descriptors", "permission", "memory", "memory of PyTorch"],
)
def test_an_error_of_the_system_takes_one_line(failing, capsys, error, code, shown):
    assert failing(error) == code
    assert capsys.readouterr().err.splitlines() == [shown]


def test_a_name_that_is_too_long_for_a_file_is_one_line(capsys, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(f"version: 1\nextends: {'a' * 5000}\n")
    assert main(["build", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 500


def test_markup_in_a_name_is_text(capsys, tmp_path):
    path = tmp_path / "[red]a[_] :smile:.yaml"
    path.write_text("version: 1\nextends: skip_pose_net\n")
    assert main(["build", str(path)]) == 0
    assert "[red]a[_] :smile:" in capsys.readouterr().out


def test_a_lone_surrogate_is_printed_and_written_in_escaped_form(capsys, tmp_path):
    assert main(["build", "\ud800.yaml"]) == 2
    assert "\\ud800" in capsys.readouterr().err
    write_json(tmp_path / "a.json", {"name": "\ud800"})
    assert '"\\ud800"' in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.fixture
def small_files():
    """Let no file of this process grow beyond 1,000 bytes, as a quota or a full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("writer", ["text", "torch", "picture"])
def test_a_file_that_cannot_grow_is_named_and_nothing_is_left(small_files, tmp_path, writer):
    path = tmp_path / "a.png"
    with pytest.raises(OSError, match=r"a\.png") as caught:
        _write(path, writer)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def _write(path: Path, writer: str) -> None:
    import torch

    from archlab.core.figures import new_figure, save_figure

    if writer == "text":
        write_text(path, "a" * 2000)
    elif writer == "torch":
        with replacing(path) as temporary:
            torch.save({"a": torch.ones(3000)}, temporary)
    else:
        save_figure(new_figure(4, 4), path, 200)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads", "1,99999999"), ("--batch", "9999999999"), ("--draw", "x"), ("--draw", "profile.pdf")],
)
def test_bench_refuses_counts_and_endings_before_it_measures(option, value, capsys):
    assert main(["bench", "skip_pose_net", option, value]) == 2
    assert f"error: archlab bench: {option}: " in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_file_is_named_as_one(capsys, tmp_path):
    assert main(["score", "coco", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"error: {tmp_path}: is a folder, not a file"


def test_a_drawing_ends_in_svg_or_png(capsys, tmp_path):
    assert main(["build", "skip_pose_net", "--json", "--draw", str(tmp_path / "net.png")]) == 0
    picture = (tmp_path / "net.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert main(["build", "skip_pose_net", "--draw", str(tmp_path / "net.pdf")]) == 2
    assert not (tmp_path / "net.pdf").exists()
    capsys.readouterr()


def test_a_drawing_as_png_has_twice_the_size_of_the_svg_and_ink_where_text_is():
    import cv2
    import numpy as np

    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20" font-family="system-ui, sans-serif">'
        '<rect width="80" height="20" fill="#fff"/><text x="5" y="15" font-size="12">block</text></svg>'
    )
    image = cv2.imdecode(np.frombuffer(as_png(svg), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (40, 160)
    assert (image < 128).sum() > 100
