"""The core engine: runs any distillation pipeline on a labelled text dataset.

    from engine import Pipeline, distill

Names are looked up when they are first used, so that reading a pipeline needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.data.load import load_task
    from engine.options import FineTuning, RunOptions
    from engine.predict import load_predictor
    from engine.result import RunResult
    from engine.run import distill
    from engine.spec import Pipeline

_HOMES = {
    "FineTuning": "engine.options",
    "Pipeline": "engine.spec",
    "RunOptions": "engine.options",
    "RunResult": "engine.result",
    "distill": "engine.run",
    "load_predictor": "engine.predict",
    "load_task": "engine.data.load",
}

__all__ = ["FineTuning", "Pipeline", "RunOptions", "RunResult", "distill", "load_predictor", "load_task"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
