"""Start-up of the command line against a bare interpreter: `archlab --help` within 10 times `python -c pass`.

Runs alternate, so that a load on the machine meets both; the medians of their wall time are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import describe

BARE = ("-c", "pass")
COMMANDS = {
    "archlab --help": ("-m", "archlab", "--help"),
    "archlab train --help": ("-m", "archlab", "train", "--help"),
    "archlab list spaces": ("-m", "archlab", "list", "spaces"),
    "archlab build lite_hrnet_18": ("-m", "archlab", "build", "lite_hrnet_18"),
}


def seconds(arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(turns: int) -> dict[str, Any]:
    """Return the median seconds of the bare interpreter and of each command, and their ratios."""
    for arguments in COMMANDS.values():
        seconds(arguments)  # writes the byte code
    found: dict[str, list[float]] = {name: [] for name in ("python -c pass", *COMMANDS)}
    for _ in range(turns):
        for name, arguments in {"python -c pass": BARE, **COMMANDS}.items():
            found[name].append(seconds(arguments))
    medians = {name: statistics.median(times) for name, times in found.items()}
    bare = medians["python -c pass"]
    rows = [{"command": name, "seconds": each, "ratio": each / bare} for name, each in medians.items()]
    return {**describe("startup", torch.device("cpu")), "turns": turns, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    text = json.dumps(measure(o.turns), indent=2)
    print(text)
    if o.out:
        o.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
