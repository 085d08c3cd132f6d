"""The pipeline: everything that decides what a distillation run computes, as frozen data.

Decided here: names, ranges and defaults, which are the paper's (Distiller, He et al. 2021, appendix G) unless
a comment says otherwise. Each component is a tagged spec (its tag is `kind`), so a knob that belongs to another
kind is an unknown key and therefore an error. Nothing here imports torch or transformers.
"""

from engine.base.spec import Spec
from engine.pipeline.augmentation import Augmentation, BackTranslation, Contextual, Mixup, Random
from engine.pipeline.components import (
    CE,
    EMD,
    L2,
    MSE,
    PKD,
    Cos,
    Last,
    MIAlpha,
    MLPCritic,
    NoIntermediate,
    NoMapping,
    PredictionCE,
    PredictionKL,
    PredictionMSE,
    Skip,
    TransformerCritic,
)
from engine.pipeline.pipeline import Pipeline, components
from engine.pipeline.team import AssistantsTeam, AutoSKD, AverageTeam, SingleTeacher, StochasticTeam, WeightedTeam
from engine.pipeline.training import Training, Weights
