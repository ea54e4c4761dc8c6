"""The wheel: it works from any folder, with the YAML that travels in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
from helpers.paths import REPOSITORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What pip would lay into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def run(installed, cwd, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "archlab", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_installed_package_finds_its_networks_studies_and_recipes_from_any_folder(installed, tmp_path):
    listed = run(installed, tmp_path, "list", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert all(name in listed.stdout for name in ("lite_hrnet_30", "table7", "coco_256x192"))
    counted = run(installed, tmp_path, "build", "lite_hrnet_18", "--json")
    assert '"params": 1130769' in counted.stdout
    assert (installed / "archlab" / "_shipped" / "search_spaces" / "lite_hrnet" / "base.yaml").is_file()
    reported = run(installed, tmp_path, "report", "table2")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / "results" / "table2.md").is_file()
    assert str(REPOSITORY) not in (tmp_path / "results" / "table2.md").read_text()


def test_the_package_carries_its_licence_and_no_tests(installed):
    names = [str(path.relative_to(installed)) for path in installed.rglob("*")]
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any("test" in name.split("/")[0] for name in names)
