"""The pipeline: everything that decides what a distillation run computes, as frozen data.

Decided here: names, ranges and defaults, which are the paper's (Distiller, He et al. 2021, appendix G) unless
a comment says otherwise. Each component is a tagged spec (its tag is `kind`), so a knob that belongs to another
kind is an unknown key and therefore an error. Every spec has its name here. Nothing here imports torch or
transformers.
"""

from engine.base.spec import Spec
from engine.pipeline.augmentation import *
from engine.pipeline.components import *
from engine.pipeline.pipeline import Pipeline, component_kinds
from engine.pipeline.schedule import ConstantWeights, LayersFirst, LinearWeights
from engine.pipeline.team import *
from engine.pipeline.training import Training, Weights
