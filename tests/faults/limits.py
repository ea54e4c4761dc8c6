"""Commands without room: a full disk, a folder that cannot be written, few open files; and two commands at once."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from faults.kills import Run, ended, finished, names
from faults.processes import Limits, start
from faults.scenes import COMMANDS, Command, Scene
from faults.trials import Outcome, Trial

PAGE = 4096
ROOM = "size=256m"


def disk_full(scene: Scene, levels: int, commands: tuple[Command, ...] = COMMANDS) -> Iterator[Trial]:
    """Yield how every command ends at `levels` shares of the room that it needs, and how it ends with room afterwards.

    Every other level limits the size of a file; the others, where this process may mount a file system, its size. The
    first level also gives the command a standard output that is full.
    """
    for command in commands:
        whole, files, pages, largest = _needs(scene, command)
        for level in range(levels):
            share = (level + 0.5) / levels
            if level == 0 or not pages:
                yield _judged(command, start(scene.folder, *scene.arguments(command), full=True).end(), scene.out)
            if not pages:
                break
            if level % 2 and may_mount():
                yield from _on_small_disk(scene, command, max(1, round(pages * share)), whole, files)
            else:
                limits = {resource.RLIMIT_FSIZE: int(largest * share)}
                yield from _limited(scene, command, limits, whole, files)


def few_files(scene: Scene, limits: tuple[int, ...], commands: tuple[Command, ...] = COMMANDS) -> Iterator[Trial]:
    """Yield how every command ends with so few open files, and how it ends without a limit afterwards."""
    for command in commands:
        whole, files, _, _ = _needs(scene, command)
        for limit in limits:
            yield from _limited(scene, command, {resource.RLIMIT_NOFILE: limit}, whole, files)


def read_only(scene: Scene, commands: tuple[Command, ...] = COMMANDS) -> Iterator[Trial]:
    """Yield how every command ends if it cannot write its folder."""
    for command in commands:
        with _disk(scene.out, "ro") if may_mount() else _closed(scene.out):
            outcome = scene.run(command)
        yield _judged(command, outcome, scene.out)


def twice(scene: Scene, commands: tuple[Command, ...] = COMMANDS) -> Iterator[Trial]:
    """Yield how every command ends if two of it run at once: with what one makes."""
    for command in commands:
        whole, files, _, _ = _needs(scene, command)
        scene.empty()
        both = [start(scene.folder, *scene.arguments(command)) for _ in range(2)]
        outcomes = sorted([each.end() for each in both], key=lambda each: each.code)
        for number, outcome in enumerate(outcomes):
            if number and command.is_once and outcome.code == 2:
                yield _judged(command, outcome, scene.out)
            else:
                yield ended(command, outcome, scene.out, whole, files)


def _needs(scene: Scene, command: Command) -> tuple[Mapping[str, Run], set[str], int, int]:
    """Return the runs and files of a command that nothing disturbs, the pages of its files, and the largest's bytes."""
    scene.empty()
    outcome = scene.run(command)
    assert outcome.code == 0, outcome
    sizes = [path.stat().st_size for path in scene.out.rglob("*") if path.is_file()]
    return finished(scene.out), names(scene.out), sum(-(-size // PAGE) for size in sizes), max(sizes, default=0)


def _limited(
    scene: Scene, command: Command, limits: Limits, whole: Mapping[str, Run], files: set[str]
) -> Iterator[Trial]:
    scene.empty()
    limited = _judged(command, start(scene.folder, *scene.arguments(command), limits=limits).end(), scene.out)
    yield limited
    if limited.code or not command.is_once:
        yield ended(command, scene.run(command), scene.out, whole, files)


def _on_small_disk(
    scene: Scene, command: Command, pages: int, whole: Mapping[str, Run], files: set[str]
) -> Iterator[Trial]:
    scene.empty()
    with _disk(scene.out, f"size={pages * PAGE}"):
        limited = _judged(command, scene.run(command), scene.out)
        yield limited
        _mount("-o", f"remount,{ROOM}", str(scene.out))
        if limited.code or not command.is_once:
            yield ended(command, scene.run(command), scene.out, whole, files)


def _judged(command: Command, outcome: Outcome, out: Path) -> Trial:
    missing = [name for name in command.wanted if not (out / name).exists()]
    wrong = outcome.wrong or (f"exit code 0 without {missing}" if missing and not outcome.code else "")
    return Trial(command.name, outcome.code, wrong)


def may_mount() -> bool:
    """Return whether this process may mount file systems."""
    return os.geteuid() == 0 and Path("/proc/self/mounts").is_file()


@contextmanager
def _disk(folder: Path, option: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", option, "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def _closed(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)
