"""How the weights of equation 1 change while a student trains.

Decided here: a schedule gives each weight that the pipeline names a share at every step, which follows from the number
of the step and of all steps, so nothing of it is saved. Where a share is 0 the term is not computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from engine.base.spec import Spec

if TYPE_CHECKING:
    from engine.pipeline.training import Weights

Change = Literal["stays", "falls", "rises"]


class ConstantWeights(Spec):
    """Every weight is the same from the first step to the last."""

    kind: Literal["constant"] = "constant"


class LayersFirst(Spec):
    """The intermediate objective alone, and then everything but it (TinyBERT's task stage, Jiao et al. 2020)."""

    kind: Literal["layers_first"] = "layers_first"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5  # of the steps, in which layers alone are learned; ours


class LinearWeights(Spec):
    """Weights that fall to 0, or rise from it, a little with each step (teacher annealing, Clark et al. 2019)."""

    kind: Literal["linear"] = "linear"
    intermediate: Change = "stays"
    prediction: Change = "stays"
    hard_label: Change = "stays"
    augmented_prediction: Change = "stays"
    augmented_hard_label: Change = "stays"


Schedule = ConstantWeights | LayersFirst | LinearWeights
ScheduleSpec = Annotated[Schedule, Field(discriminator="kind")]


def is_constant(schedule: Spec) -> bool:
    """Whether no weight changes."""
    return isinstance(schedule, ConstantWeights)


def schedule_problems(schedule: Schedule, weights: Weights, has_intermediate: bool) -> list[str]:
    """Why a schedule does not go with these weights; `has_intermediate`: and an objective on layers."""
    on_layers = weights.intermediate * has_intermediate
    if isinstance(schedule, LayersFirst):
        needed = "layers_first needs an intermediate objective with a weight above 0; without, the schedule is constant"
        problems = [] if on_layers else [needed]
        if weights.prediction + weights.hard_label == 0:
            problems.append("layers_first needs a weight for what follows: those of prediction and hard_label are 0")
        return problems
    if isinstance(schedule, LinearWeights):
        changes = {name: change for name, change in schedule if name != "kind" and change != "stays"}
        known = {name: getattr(weights, name) for name in changes} | {"intermediate": on_layers}
        idle = [f"schedule.{name} {change}, and its weight is 0" for name, change in changes.items() if not known[name]]
        return idle if changes else ["schedule linear changes no weight: one of them falls or rises"]
    return []


@dataclass(frozen=True)
class Course:
    """The weights of a training of so many optimiser `steps`."""

    weights: Weights
    schedule: Schedule
    steps: int

    @property
    def first(self) -> int:
        """Steps in which layers alone are learned; one at least is left for the rest.

        Example:
            >>> from engine.pipeline import Weights
            >>> Course(Weights(), LayersFirst(share=0.3), 10).first, Course(Weights(), ConstantWeights(), 10).first
            (3, 0)
        """
        share = self.schedule.share if isinstance(self.schedule, LayersFirst) else 0.0
        return min(max(round(share * self.steps), int(share > 0)), self.steps - 1)

    def at(self, step: int) -> Weights | None:
        """The weights in a step, counted from 0; None where none ever changes.

        Equation: with t = (step + ½) / steps, a weight that rises is t of what the pipeline says, one that falls 1 − t.

        Example:
            >>> from engine.pipeline import Weights
            >>> falling = Course(Weights(), LinearWeights(intermediate="falls"), steps=4)
            >>> [falling.at(step).intermediate for step in range(4)]
            [0.875, 0.625, 0.375, 0.125]
        """
        if isinstance(self.schedule, ConstantWeights):
            return None
        return self.weights.model_copy(update={name: self._share(name, step) * full for name, full in self.weights})

    def _share(self, name: str, step: int) -> float:
        if isinstance(self.schedule, LayersFirst):
            return float((step < self.first) == (name == "intermediate"))
        gone = (step + 0.5) / self.steps
        return {"stays": 1.0, "falls": 1 - gone, "rises": gone}[getattr(self.schedule, name)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know who watches the training."""
        first = f"in the first {self.first:,} of {self.steps:,} steps"
        return (f"it learns from layers alone {first}; its head learns afterwards",) if self.first else ()
