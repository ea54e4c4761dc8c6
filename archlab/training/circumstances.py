"""Where and when a process works: versions, commit, command and date."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

PACKAGES = ("archlab", "torch", "numpy", "opencv-python-headless", "pycocotools")


def circumstances() -> dict[str, Any]:
    """Return a record's `versions`, `commit`, `command` and `date` for this process."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "archlab"), *sys.argv[1:]]),
        "date": date.today().isoformat(),
    }


def _versions() -> Mapping[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # archlab in a checkout, or another build of OpenCV
            continue
    return found


def _commit() -> str | None:
    """Return the commit of the working folder's git repository, or None without one.

    `-dirty` is added if files differ from it, except those in `reports`, which runs themselves write.
    """
    head = _git("rev-parse", "HEAD")
    if head is None or head.returncode != 0:
        return None
    changed = _git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)reports")
    return head.stdout.strip() + ("-dirty" if changed is None or changed.returncode != 0 else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
