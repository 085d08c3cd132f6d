"""AutoDistiller: which distillation pipeline suits a dataset, what it will give, and the run itself.

    from autodistill import AutoDistiller, Pipeline, distill

Everything that a user needs has its name here; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autodistill.api import AutoDistiller as AutoDistiller
    from autodistill.recommend.request import Limits as Limits
    from engine.base.options import FineTuning as FineTuning
    from engine.base.options import RunOptions as RunOptions
    from engine.data.load import load_task as load_task
    from engine.distillation import distill as distill
    from engine.pipeline.augmentation import Augmentation as Augmentation
    from engine.pipeline.augmentation import BackTranslation as BackTranslation
    from engine.pipeline.augmentation import Contextual as Contextual
    from engine.pipeline.augmentation import Mixup as Mixup
    from engine.pipeline.augmentation import Random as Random
    from engine.pipeline.components import CE as CE
    from engine.pipeline.components import EMD as EMD
    from engine.pipeline.components import L2 as L2
    from engine.pipeline.components import MSE as MSE
    from engine.pipeline.components import PKD as PKD
    from engine.pipeline.components import Cos as Cos
    from engine.pipeline.components import Last as Last
    from engine.pipeline.components import MIAlpha as MIAlpha
    from engine.pipeline.components import MLPCritic as MLPCritic
    from engine.pipeline.components import NoIntermediate as NoIntermediate
    from engine.pipeline.components import NoMapping as NoMapping
    from engine.pipeline.components import PredictionCE as PredictionCE
    from engine.pipeline.components import PredictionKL as PredictionKL
    from engine.pipeline.components import PredictionMSE as PredictionMSE
    from engine.pipeline.components import Skip as Skip
    from engine.pipeline.components import TransformerCritic as TransformerCritic
    from engine.pipeline.pipeline import Pipeline as Pipeline
    from engine.pipeline.read import load_pipeline as load_pipeline
    from engine.pipeline.team import AssistantsTeam as AssistantsTeam
    from engine.pipeline.team import AutoSKD as AutoSKD
    from engine.pipeline.team import AverageTeam as AverageTeam
    from engine.pipeline.team import SingleTeacher as SingleTeacher
    from engine.pipeline.team import StochasticTeam as StochasticTeam
    from engine.pipeline.team import WeightedTeam as WeightedTeam
    from engine.pipeline.training import Training as Training
    from engine.pipeline.training import Weights as Weights
    from engine.run.predictor import load_predictor as load_predictor
    from engine.run.result import RunResult as RunResult

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
