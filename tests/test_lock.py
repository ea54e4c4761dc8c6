"""What is installed: the versions of one lock, each within a tested upper bound."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
from helpers.paths import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = REPOSITORY / "requirements" / "lock.txt"
PYTHONS = ["3.11", "3.12"]


def declared() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    listed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(each for extra in project["project"]["optional-dependencies"].values() for each in extra),
    ]
    return [each for each in map(Requirement, listed) if each.name != "archlab"]


def locked(python: str) -> dict[str, str]:
    """The version of each package under Linux, by name."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    lines = [line for line in LOCK.read_text().splitlines() if not line.lstrip().startswith("#")]
    wanted = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate(here)]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}
    assert len(versions) == len(wanted), "a package has two versions"
    return versions


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_a_dependency_has_an_upper_bound(requirement):
    assert {each.operator for each in requirement.specifier} & {"<", "<=", "=="}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_one_version_of_each_dependency_within_its_bounds(python):
    versions = locked(python)
    outside = {str(each): versions.get(canonicalize_name(each.name)) for each in declared()}
    assert {
        name: version
        for name, version in outside.items()
        if version is None or not Requirement(name).specifier.contains(version)
    } == {}


def test_the_lock_names_versions_and_no_place_to_take_them_from():
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^:]+)?", line)] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "constrained"), [("ablate", True), ("test", True), ("test-all", True), ("test-newest", False)]
)
def test_a_target_installs_the_locked_versions_unless_it_asks_for_the_newest(target, constrained):
    command = ["make", "--dry-run", "--always-make", target]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    installing = [line for line in said.splitlines() if "pip install" in line]
    assert installing
    variables = ("PIP_CONSTRAINT=requirements/lock.txt ", "PIP_BUILD_CONSTRAINT=requirements/lock.txt ")
    assert [all(each in line for each in variables) for line in installing] == [constrained] * len(installing)
