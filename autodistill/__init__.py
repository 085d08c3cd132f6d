"""AutoDistiller: which distillation pipeline suits a dataset, what it will give, and the run itself.

    from autodistill import AutoDistiller, Pipeline, distill

Everything that a user needs has its name here; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for type checkers and editors
    from autodistill.api import AutoDistiller as AutoDistiller
    from autodistill.recommend.request import Limits as Limits
    from engine import *  # noqa: F403
    from engine.pipeline import *  # noqa: F403

_NAMES = {
    "autodistill.api": "AutoDistiller",
    "autodistill.recommend.request": "Limits",
    "engine.base.options": "FineTuning RunOptions",
    "engine.data.load": "load_task",
    "engine.distillation": "distill",
    "engine.pipeline.augmentation": "Augmentation BackTranslation Contextual Mixup Random",
    "engine.pipeline.components": "CE EMD L2 MSE PKD Cos Last MIAlpha MLPCritic NoIntermediate NoMapping "
    "PredictionCE PredictionKL PredictionMSE Skip TransformerCritic",
    "engine.pipeline.pipeline": "Pipeline",
    "engine.pipeline.read": "load_pipeline",
    "engine.pipeline.team": "AssistantsTeam AutoSKD AverageTeam SingleTeacher StochasticTeam WeightedTeam",
    "engine.pipeline.training": "Training Weights",
    "engine.run.predictor": "load_predictor",
    "engine.run.result": "RunResult",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
