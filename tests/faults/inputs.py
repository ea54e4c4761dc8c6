"""Every command with one of the files that it reads damaged or changed."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random

from faults.kills import KILLED
from faults.processes import start
from faults.scenes import COMMANDS, Command, Scene
from faults.trials import Trial, damaged_bytes, mutated_text

MEMORY = 8 * 2**30
"""Bytes of address space: a changed network may be of any size."""
WRITTEN = (".log", ".png", ".svg")
"""Files that no command reads."""


def damaged_inputs(scene: Scene, count: int, seed: int, commands: tuple[Command, ...] = COMMANDS) -> Iterator[Trial]:
    """Yield how every command ends, `count` times, if one of the files that it reads is damaged or changed."""
    for command in commands:
        random = Random(f"{seed} {command.name}")
        files = read_by(scene, command)
        for _ in range(count if files else 0):
            path = random.choice(files)
            content = path.read_bytes()
            path.write_bytes(_changed(path, content, random))
            arguments = (*scene.arguments(command), *_shortened(command, path))
            outcome = start(scene.folder, *arguments, limits={resource.RLIMIT_AS: MEMORY}).end()
            path.write_bytes(content)
            scene.empty()
            yield Trial(command.name, outcome.code, outcome.wrong and f"{path.name}: {outcome.wrong}")


def read_by(scene: Scene, command: Command) -> list[Path]:
    """Return the files of a scene that a command's arguments name, and all its YAML files if one of these is such."""
    named = [scene.folder / text for text in scene.arguments(command) if not text.startswith("out")]
    files = {each for path in named if path.exists() for each in ([path] if path.is_file() else path.rglob("*"))}
    if any(path.suffix == ".yaml" for path in files):
        files.update(scene.folder.glob("*.yaml"))
    return sorted(path for path in files if path.is_file() and path.suffix not in WRITTEN)


def _changed(path: Path, content: bytes, random: Random) -> bytes:
    if path.suffix == ".yaml" and random.random() < 0.8:
        return mutated_text(content.decode(), random).encode("utf-8", "surrogatepass")
    return damaged_bytes(content, random)


def _shortened(command: Command, path: Path) -> tuple[str, ...]:
    """Return the option with which a command trains nothing: a changed recipe may train for years."""
    return ("--dry-run",) if path.suffix == ".yaml" and command in KILLED else ()
