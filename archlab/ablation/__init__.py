"""A paper's tables and figures: study files, the runs that they need, and the reports made from them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archlab.ablation.frame import complexity_accuracy, table
    from archlab.ablation.load import load_study, study_names
    from archlab.ablation.plan import AblationOptions, plan_ablation
    from archlab.ablation.report import write_report
    from archlab.ablation.run import AblationResult, ablate

__all__ = [
    "AblationOptions",
    "AblationResult",
    "ablate",
    "complexity_accuracy",
    "load_study",
    "plan_ablation",
    "study_names",
    "table",
    "write_report",
]

_FROM = {
    "AblationOptions": "plan",
    "AblationResult": "run",
    "ablate": "run",
    "complexity_accuracy": "frame",
    "load_study": "load",
    "plan_ablation": "plan",
    "study_names": "load",
    "table": "frame",
    "write_report": "report",
}
"""Public names and the modules that define them, each imported at first use."""


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    return value
