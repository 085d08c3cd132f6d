"""Who teaches: one teacher, or a team (AutoSKDBERT, Ding et al. 2023; MT-BERT, Wu et al. 2021)."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from engine.base.errors import counted
from engine.base.spec import Spec, Weight
from engine.data.task import TaskKind


class SingleTeacher(Spec):
    """One teacher."""

    kind: Literal["single"] = "single"

    members: ClassVar[tuple[str, ...]] = ()


class _Team(Spec):
    members: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """The other teachers: hub names, folders, `scratch:…`, or `layers:K` of the teacher. The team is
    the teacher and these, in this order; those not fine-tuned yet become so as the teacher does."""

    @field_validator("members")
    @classmethod
    def _are_different(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in members if members.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}; a copy says nothing new")
        return members


class AverageTeam(_Team):
    """The student learns from the mean of the team's logits (AvgKD)."""

    kind: Literal["average"] = "average"


class AssistantsTeam(_Team):
    """A chain: from the strongest member to the weakest each learns from the one before, and the last one
    teaches the student (TAKD, Mirzadeh et al. 2020)."""

    kind: Literal["assistants"] = "assistants"


class WeightedTeam(_Team):
    """Every member teaches, the less on an example the more it errs there (MT-BERT, Wu et al. 2021)."""

    kind: Literal["weighted"] = "weighted"


class StochasticTeam(_Team):
    """Each step draws one member, whose logits teach (AutoSKDBERT)."""

    kind: Literal["stochastic"] = "stochastic"
    distribution: Annotated[tuple[Weight, ...], Field(strict=False)] | None = None
    """A probability for the teacher and each member; uniform when absent."""
    scaled: bool | None = None
    """Whether the drawn member's logits are multiplied by its probability. When absent they are (equation 3), but
    not in regression, where a scaled target would be another target."""

    @model_validator(mode="after")
    def _is_a_distribution(self) -> StochasticTeam:
        given, count = self.distribution, len(self.members)
        if given is not None and len(given) != 1 + count:
            needed = f"{1 + count} numbers, for the teacher and its {counted(count, 'member')}"
            raise ValueError(f"distribution needs {needed}; it has {len(given)}")
        if given is not None and not math.isclose(sum(given), 1, abs_tol=1e-4):
            raise ValueError(f"distribution must sum to 1, and sums to {sum(given):g}")
        return self

    def scales(self, kind: TaskKind) -> bool:
        """Whether logits are scaled on a task of this kind."""
        return kind != "regression" if self.scaled is None else self.scaled


FOR_REGRESSION = {"update": "cr", "validation": "hard_label", "second_order": True}
"""How autoskd learns θ where answers are targets, not distributions: nothing else can run there."""

Several = BeforeValidator(lambda given: given if given is None or isinstance(given, list | tuple) else (given,))
"""One value stands for a list of one."""
Rate = Annotated[float, Field(gt=0)]
Dropped = Annotated[int, Field(ge=0)]


class AutoSKD(_Team):
    """As stochastic, with a distribution that is learned: θ is searched in two phases, members that help
    little are dropped between them, and the second phase hands out candidates, each of which trains a student
    (AutoSKDBERT). The best one stays."""

    kind: Literal["autoskd"] = "autoskd"
    candidates: Annotated[int, Field(ge=1)] = 25
    """Distributions that phase 2 hands out, evenly over its steps (section 3.3)."""
    theta_learning_rate: Annotated[tuple[Rate, ...], Field(strict=False, min_length=1), Several] | None = None
    """1e-3, of the paper's 3e-4 to 1e-3 (appendix E), and more where a search is so short that no share could
    fall to 0. Several: as many searches, whose candidates compete."""
    dropped: Annotated[tuple[Dropped, ...], Field(strict=False, min_length=1), Several] | None = None
    """m, members that are dropped after phase 1. When absent the number of those smaller than the student
    (appendix A.1), but two stay. Several make several searches."""
    search_epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes of a search over its half of the training set. When absent, as many steps as one training has
    batches, in second order two thirds of them."""
    theta_weight_decay: Weight = 1e-3  # of θ (section 3.2)
    theta_epsilon: Annotated[float, Field(gt=0)] = 1e-2
    """Adam's ε for θ, in nats (ours). With torch's 1e-8 Adam asks only how steady the sign of a slope is, and a
    teacher that hardly changes the loss, such as one with random weights, counts like any other."""
    slopes: Literal["relative", "plain"] = "relative"
    """`plain`: a member's slope as it is (the paper's); `relative` (ours): less the mean of all members' recent ones,
    without which every draw raises the drawn member."""
    student_weight_decay: Weight = 1e-4  # of the student while θ is searched (section 3.2)
    update: Literal["sswo", "cr"] = "sswo"
    """Only the drawn member's θ (SSWO), or all at once through the mixture of logits (CR)."""
    scaled: bool | None = None
    """Whether a candidate's student learns the drawn member's logits times its share. When absent as the paper: with
    SSWO it does (equation 3), with CR it does not (section 2.4.1)."""
    validation: Literal["prediction", "hard_label"] = "prediction"
    """The loss that θ minimises on its half: the cross-entropy against the target, in which θ stands itself (the
    paper's), or that against gold labels, on which θ acts through the student alone; it needs `second_order`."""
    second_order: bool = False
    """Whether the gradient goes through the student's step too, by finite differences (DARTS)."""

    @model_validator(mode="after")
    def _can_learn(self) -> AutoSKD:
        count = len(self.members)
        if self.validation == "hard_label" and not self.second_order:
            why = "gold labels know θ by the student alone"
            raise ValueError(f"validation = hard_label needs second_order = true: {why}")
        if self.dropped and max(self.dropped) > count:
            most = f"a team of {1 + count} can drop {count} at most"
            raise ValueError(f"dropped = {max(self.dropped)} leaves nobody: {most}")
        return self

    def scales(self, kind: TaskKind) -> bool:
        """Whether logits are scaled on a task of this kind."""
        return kind != "regression" and self.update == "sswo" if self.scaled is None else self.scaled


TeamSpec = Annotated[
    SingleTeacher | AverageTeam | AssistantsTeam | WeightedTeam | StochasticTeam | AutoSKD, Field(discriminator="kind")
]
