"""The page `reports/benchmarks.md` from the committed results: what was measured where, against which aim.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archlab.core.files import write_text

ROOT = Path(__file__).resolve().parent
AIMS = {
    "training_step": "4x on an H200-class GPU at batch 64 (at 512, how near the byte ceiling); 1.2x on two CPU cores",
    "latency": "5x at batch 1 on a GPU",
    "pipeline": "data wait under 10 % on a GPU at the step's rate; 1.5x samples a second and core on a CPU",
    "evaluation": "3x for the ten figures, 10x for OKS-NMS",
    "search_gate": "500 candidates a second and core from an empty memory, at best 2,000; 1000x building and tracing",
    "search_storage": "trials a second with 6 workers; a study adds less than 1 % to a training of 60 s",
    "search_proposals": "150 distinct candidates that meet the limits, in 30 s, by every sampler",
}
TITLES = {
    "training_step": "A training step against the released execution",
    "latency": "Inference latency against the released execution",
    "pipeline": "From JPEGs to batches against the per-sample OpenCV pipeline",
    "evaluation": "Evaluation against pycocotools and the loop NMS",
    "search_gate": "Candidates through a search's gate against building and tracing them",
    "search_storage": "A study's storage: Optuna's journal under our lock against SQLite",
    "search_proposals": "Proposals under tight limits against plain Optuna with soft constraints",
}
REMARKS = {
    "pipeline": (
        "The aim is met from the second epoch on. In the first every JPEG is decoded, by both ways with the same"
        " library: half of the peer's time (what keeps whole images decoded takes half as long), which no batching"
        " makes shorter."
    ),
    "search_gate": (
        "The aim of 2,000 is missed: laying down blocks that were not met before is the largest part, a Python object"
        " a map. What passes is told apart by its canonical hash as well, which assembles it, only before it is"
        " trained."
    ),
}
CPU_ONLY = {"evaluation", "search_gate", "search_proposals", "search_storage"}


def main() -> None:
    results = [json.loads(path.read_text()) for path in sorted((ROOT / "results").glob("*.json"))]
    parts = [
        "# Benchmarks",
        "",
        "Every ratio is of two measurements in one run, its command stands above its table.",
        "",
    ]
    for name, title in TITLES.items():
        found = [result for result in results if result["benchmark"] == name]
        parts += [f"## {title}", "", f"Aim: {AIMS[name]}.", ""]
        for result in found:
            parts += section(result)
        parts += [REMARKS[name], ""] if name in REMARKS else []
        if name not in CPU_ONLY and not any("NVIDIA" in result["device"] for result in found):
            parts += [
                f"**Waiting for a GPU:** `python benchmarks/{name}.py --out benchmarks/results/{name}_gpu.json`",
                "",
            ]
    write_text(ROOT.parent / "reports" / "benchmarks.md", "\n".join(parts).rstrip() + "\n")


def section(result: dict[str, Any]) -> list[str]:
    """Where and when a result was measured, and its rows as a table."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    threads = f", {result['threads']} threads" if result.get("threads") else ""
    rows = result["rows"]
    names = [name for name in rows[0] if any(row.get(name) is not None for row in rows)]
    lines = [
        f"`python benchmarks/{result['benchmark']}.py` on {result['device']}{threads}; {versions}; {result['date']}.",
        "",
    ]
    if "asked" in result:
        lines += [f"Asked: {result['asked']}; load average {result['load_average']} at the end.", ""]
    lines += ["| " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines += ["| " + " | ".join("--:" if isinstance(rows[0][name], float | int) else ":--" for name in names) + " |"]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in names) + " |" for row in rows]
    return [*lines, ""]


def shown(value: Any) -> str:
    """Three significant digits, or more where the whole part has them."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
