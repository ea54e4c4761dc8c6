"""Write the page `reports/benchmarks.md` from the committed results: each measurement, its machine and its aim.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archlab.core.files import write_text

ROOT = Path(__file__).resolve().parent
AIMS = {
    "training_step": "4x on an H200-class GPU at batch 64 (at 512, how near the memory limit); 1.2x on two CPU cores;"
    " at 96x96 on one core 1.25x ours contiguous at equal batch, and 1.6x its images per second at the batch chosen",
    "latency": "5x at batch 1 on a GPU",
    "networks": "Lite-HRNet-18 folded at least 1.5x eager channels last on one CPU thread at batch 1, no network slower"
    " than eager; ONNX Runtime at least 3.2x",
    "latency_predictor": "rank correlation of at least 0.9 on at least 50 networks of both spaces that it has not seen",
    "pipeline": "data wait below 10 % on a GPU at the step's rate; 1.5x samples per second and core on a CPU",
    "evaluation": "3x for the ten figures, 10x for OKS-NMS",
    "search_gate": "5,000 candidates per second and core from an empty memory; 2 ms a hash; 3 ms a drawn network",
    "search_storage": "trials per second with 6 workers; a study adds less than 1 % to a training of 60 s",
    "search_proposals": "150 distinct candidates within the limits in 30 s, with every sampler",
    "startup": "`archlab --help` within 10 times a bare interpreter",
}
TITLES = {
    "training_step": "A training step against the released execution",
    "latency": "Inference latency against the released execution",
    "networks": "Networks folded for inference, and in ONNX Runtime, against eager",
    "latency_predictor": "Predicted latency against measured latency",
    "pipeline": "From JPEGs to batches against the per-sample OpenCV pipeline",
    "evaluation": "Evaluation against pycocotools and the loop NMS",
    "search_gate": "Candidates through a search's gate against building and tracing them",
    "search_storage": "A study's storage: Optuna's journal with our lock against SQLite",
    "search_proposals": "Proposals under tight limits against plain Optuna with soft constraints",
    "startup": "Start-up of the command line against a bare interpreter",
}
REMARKS = {
    "training_step": (
        "At 96x96 on one core, the execution that is used (channels last, 1x1 convolutions as products) processes 1.14"
        " times the images per second of the contiguous one at batch 16, 1.16 times at 32 and 1.15 at 64. Against"
        " contiguous batch 16 it is 1.42 times at batch 32, which the recipe uses, and 1.53 at 64. Both aims at 96x96"
        " are missed: what is left of a step is normalisation, depthwise convolutions and calls. These gained nothing"
        " in trials: ReLU in place after a norm, norm and ReLU as one function, the norm as matrix products (2 to 5"
        " times slower), a slimmer call of the norm, global pools as a function of their own, malloc's thresholds."
    ),
    "pipeline": (
        "The aim is met from the second epoch on. In the first epoch both pipelines decode every JPEG with the same"
        " library. This is half of the other pipeline's time, and batching does not shorten it."
    ),
    "search_gate": (
        "The gate's aim is met: candidates are counted together, by blocks laid down on vectors of widths. The aims of"
        " the hash and of a drawn network are missed. Half of a hash's time lays down some 190 new leaf operators, a"
        " quarter is Python's collection of garbage, since these leaves are remembered, and a quarter walks the graph."
        " A drawn network is also read from its document. The machine's other core was busy, which slows all rows by a"
        " fifth. The rows of `hybrid` are older than the units of Lite-HRNet's descendants in it: with them the gate"
        " counted 5,800 to 6,600 candidates a second, and without them 9,100 to 10,600 in the same minutes."
    ),
}
CPU_ONLY = {
    "evaluation",
    "networks",
    "latency_predictor",
    "search_gate",
    "search_proposals",
    "search_storage",
    "startup",
}


def main() -> None:
    results = [json.loads(path.read_text()) for path in sorted((ROOT / "results").glob("*.json"))]
    parts = [
        "# Benchmarks",
        "",
        "Every ratio is between two measurements of one run, whose command is given above the table.",
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
                "**Not yet measured on a GPU:** "
                f"`python benchmarks/{name}.py --out benchmarks/results/{name}_gpu.json`",
                "",
            ]
    write_text(ROOT.parent / "reports" / "benchmarks.md", "\n".join(parts).rstrip() + "\n")


def section(result: dict[str, Any]) -> list[str]:
    """Return where and when a result was measured, and its rows as a table."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    threads = f", {result['threads']} threads" if result.get("threads") else ""
    rows = result["rows"]
    names = [name for name in rows[0] if any(row.get(name) is not None for row in rows)]
    lines = [
        f"`python benchmarks/{result['benchmark']}.py` on {result['device']}{threads}; {versions}; {result['date']}.",
        "",
    ]
    if "asked" in result:
        lines += [f"Settings: {result['asked']}; load average {result['load_average']} at the end.", ""]
    lines += ["| " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines += ["| " + " | ".join("--:" if isinstance(rows[0][name], float | int) else ":--" for name in names) + " |"]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in names) + " |" for row in rows]
    return [*lines, "", *([result["verdict"], ""] if "verdict" in result else [])]


def shown(value: Any) -> str:
    """Return a number with three significant digits, or with all digits of its whole part."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
