"""The core engine: runs any distillation pipeline on a labelled text dataset.

    from engine import Pipeline, distill

Names are looked up when they are first used, so that reading a pipeline needs no torch.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.base.threads import share_cores

if TYPE_CHECKING:
    from engine.base.options import FineTuning, RunOptions
    from engine.data.load import load_task
    from engine.distillation import distill
    from engine.export.export import export_model
    from engine.pipeline.pipeline import Pipeline
    from engine.run.predictor import load_predictor
    from engine.run.result import RunResult

_HOMES = {
    "FineTuning": "engine.base.options",
    "Pipeline": "engine.pipeline.pipeline",
    "RunOptions": "engine.base.options",
    "RunResult": "engine.run.result",
    "distill": "engine.distillation",
    "export_model": "engine.export.export",
    "load_predictor": "engine.run.predictor",
    "load_task": "engine.data.load",
}
__all__ = [
    "FineTuning",
    "Pipeline",
    "RunOptions",
    "RunResult",
    "distill",
    "export_model",
    "load_predictor",
    "load_task",
]

share_cores()
warnings.filterwarnings("ignore", message="IProgress not found")  # in a notebook whose bars need no ipywidgets, as ours


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
