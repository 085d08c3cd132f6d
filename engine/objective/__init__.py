"""What a student learns from: every kind of component, by its registered name.

Decided here: a registry is a dict from a kind of `engine.pipeline` to what builds it. Adding a
component adds its spec, its code, and one line below.

    PREDICTION     spec                               → loss(student logits, teacher logits, valid)
    INTERMEDIATE   spec, task kind, pairs, D, E       → module(student, teacher) → (pairs, B)
    MAPPING        spec, student layers, teacher layers → module(costs) → weights of the pairs
    CRITIC         spec, width, number of towers M    → module(hidden, mask) → (M, B, N, critic width)
"""

from __future__ import annotations

from collections.abc import Callable

from engine.objective.critics import CRITIC
from engine.objective.hidden import HIDDEN, HiddenObjective
from engine.objective.mapping import MAPPING
from engine.objective.mutual_information import MutualInformation
from engine.objective.prediction import PredictionLoss, build_ce, build_kl, build_mse

PREDICTION: dict[str, Callable[..., PredictionLoss]] = {"ce": build_ce, "mse": build_mse, "kl": build_kl}

IntermediateObjective = HiddenObjective | MutualInformation


def build_none(*_: object) -> None:
    """Nothing is learned from hidden states."""


INTERMEDIATE: dict[str, Callable[..., IntermediateObjective | None]] = {
    "none": build_none,
    **dict.fromkeys(HIDDEN, HiddenObjective),
    "mi_alpha": MutualInformation,
}

__all__ = ["CRITIC", "INTERMEDIATE", "MAPPING", "PREDICTION", "IntermediateObjective"]
