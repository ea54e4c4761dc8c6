"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem


def session_of(model: bytes | Path, threads: int = 0) -> Any:
    """Return an `onnxruntime.InferenceSession`. threads: 0 takes as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else its threads spin into what runs next
    options.log_severity_level = 3  # a warning for each constant that it folds
    source = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def open_session(file: Path) -> Any:
    """Return a file's session. Raises InputError if the file is missing, or if it is no ONNX model."""
    if not file.is_file():
        raise InputError(Problem("the file is missing", file=str(file)))
    try:
        return session_of(file)
    except Exception as error:  # ONNX Runtime's own types
        reason = str(error).strip().split("\n")[0].rpartition(" : ")[2]
        raise InputError(Problem(f"ONNX Runtime cannot read the model: {reason[:200]}", file=str(file))) from error
