"""Digest what archlab computes on one machine, so that a change of structure can be held against the code before it.

    python tests/helpers/digest.py write before.json
    python tests/helpers/digest.py compare before.json

Trains, kills, resumes, scores, searches and reports through the command line alone, so that no import has to follow a
move. Weights and numbers must be equal; wording may differ and is listed apart.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = REPOSITORY / "studies" / "recipes"
STUDIES = ("table1", "table2", "table6", "table7", "figure4", "campaign")
NETWORK = "lite_hrnet_18"
PASSING = {
    "seconds",
    "finished",
    "date",
    "command",
    "versions",
    "commit",
    "images_per_second",
    "data_wait",
    "memory_mib",
}
"""What of a record or a result is of the moment and not of the computation."""
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def run(*arguments: str, module: str = "archlab", prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([sys.executable, *prefix, "-m", module, *arguments], check=True, env=environment(), stdout=2)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]


def lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: lasting(inside) for name, inside in value.items() if name not in PASSING}
    return [lasting(inside) for inside in value] if isinstance(value, list) else value


def recipe(folder: Path, name: str, base: str, **changes: Any) -> Path:
    values = {**yaml.safe_load((RECIPES / f"{base}.yaml").read_text()), **changes}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value != "absent"}))
    return path


def run_digest(out: Path) -> dict[str, Any]:
    """Weights and scores of the one run in a folder."""
    (record,) = out.glob("*/record.json")
    state = torch.load(record.parent / "checkpoint.pt", map_location="cpu", weights_only=True)["state_dict"]
    weights = digest(*(name.encode() + tensor.contiguous().numpy().tobytes() for name, tensor in state.items()))
    rows = [json.loads(line) for line in (record.parent / "metrics.jsonl").read_text().splitlines()]
    return {"weights": weights, "rows": lasting(rows), "record": lasting(json.loads(record.read_text()))}


def train(out: Path, path: Path, *more: str, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    arguments = ("train", NETWORK, "--recipe", str(path), "--out", str(out), "--threads", "1", "--device", "cpu", *more)
    if prefix:
        run(*prefix, "-m", "archlab", *arguments, module="torch.distributed.run")
    else:
        run(*arguments)
    return run_digest(out)


def killed_and_resumed(out: Path, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "archlab", "train", NETWORK, "--recipe", str(path), "--out", str(out)]
    process = subprocess.Popen([*command, "--threads", "1", "--device", "cpu"], env=environment(), stdout=2)
    while process.poll() is None and not list(out.glob("*/checkpoint.pt")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    return train(out, path)


def search(folder: Path) -> dict[str, Any]:
    short = recipe(
        folder, "short", "quick_search", iterations=12, data={"level": "quick", "train": 96, "val": 16, "seed": 1}
    )
    study = yaml.safe_load((REPOSITORY / "studies" / "lite_hrnet_quick.yaml").read_text())
    study |= {"recipe": str(short), "trials": 4, "rungs": {"at": [{"iterations": 6}], "eta": 2}, "front_seeds": [1, 2]}
    path = folder / "four.yaml"
    path.write_text(yaml.safe_dump(study))
    run("search", str(path), "--out", str(folder / "searches"), "--jobs", "1", "--device", "cpu")
    made = folder / "searches" / "four"
    return {"result": lasting(json.loads((made / "result.json").read_text())), "reports": reports(made)}


def reports(folder: Path) -> dict[str, Any]:
    """Of each generated file its numbers, and apart from them its bytes."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in {".md", ".csv", ".tex"}:
            text = path.read_text()
            found[path.name] = {
                "numbers": digest(" ".join(NUMBER.findall(text)).encode()),
                "text": digest(text.encode()),
            }
        elif path.suffix in {".svg", ".png", ".html"}:
            found[path.name] = {"text": digest(path.read_bytes())}
    return found


def everything(folder: Path) -> dict[str, Any]:
    os.chdir(folder)
    small = {"level": "quick", "train": 160, "val": 16, "seed": 1}
    quick = recipe(
        folder, "quick", "quick", iterations=20, data=small, augmentation={}, checkpoint_every=5, flip_test=False
    )
    batched = recipe(folder, "batched", "quick", iterations=20, data=small, augmentation={}, pipeline="batched")
    flip = recipe(folder, "flip", "quick", iterations=4, data=small, flip_test=True)
    smoke = RECIPES / "smoke.yaml"
    two = ("--nproc-per-node", "2", "--standalone")
    shutil.copytree(REPOSITORY / "reports" / "records", folder / "reports" / "records")
    for study in STUDIES:
        run("report", study, "--out", str(folder / "reports"))
    run("build", NETWORK, "--draw", str(folder / "reports" / "net.svg"))
    return {
        "smoke": train(folder / "smoke", smoke),
        "samples": train(folder / "samples", quick),
        "batched": train(folder / "batched", batched),
        "processes": train(folder / "processes", quick, prefix=two),
        "resumed": killed_and_resumed(folder / "resumed", quick),
        "flip": train(folder / "flip", flip),
        "search": search(folder),
        "reports": reports(folder / "reports"),
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, inside in value.items() for k, v in flat(inside, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {k: v for i, inside in enumerate(value) for k, v in flat(inside, f"{path}/{i}").items()}
    return {path: value}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    file = options.file.resolve()
    with tempfile.TemporaryDirectory() as folder:
        found = everything(Path(folder))
    if options.action == "write":
        file.write_text(json.dumps(found, indent=1))
        return 0
    before, now = flat(json.loads(file.read_text())), flat(json.loads(json.dumps(found)))
    differ = [path for path in sorted(before.keys() | now.keys()) if before.get(path) != now.get(path)]
    for path in (wording := [path for path in differ if path.endswith("/text")]):
        print(f"wording: {path}")
    for path in (values := [path for path in differ if path not in wording]):
        print(f"DIFFERS: {path}: {before.get(path)!r} -> {now.get(path)!r}")
    print(f"{len(now) - len(differ)} equal, {len(wording)} of other wording, {len(values)} differ")
    return bool(values)


if __name__ == "__main__":
    sys.exit(main())
