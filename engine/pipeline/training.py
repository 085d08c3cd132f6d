"""Weights of the terms of equation 1, and how long and how fast the student trains."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from engine.base.spec import Spec, Weight
from engine.data.task import KINDS, Task


class Weights(Spec):
    """Weights of the terms of equation 1. With augmentation the last three have other defaults."""

    intermediate: Weight = 1.0
    prediction: Weight = 1.0  # β1
    hard_label: Weight = 0.0  # γ1
    augmented_prediction: Weight = 0.0  # β2
    augmented_hard_label: Weight = 0.0  # γ2


WITH_AUGMENTATION = {"hard_label": 0.5, "augmented_prediction": 1.0, "augmented_hard_label": 0.5}
"""Weights of a pipeline that augments and does not say them (Distiller, appendix G)."""


PAIR_MAX_LENGTH = 128  # tokens (Distiller, appendix G)


class Training(Spec):
    """How long and how fast the student trains. `None` means: the paper's value for the task."""

    epochs: Annotated[int, Field(ge=1)] | None = None  # 20; 30 for question answering; 50 for CoLA
    batch_size: Annotated[int, Field(ge=1)] = 16  # examples per forward pass, over all processes together
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1  # forward passes per optimiser step
    learning_rate: Annotated[float, Field(gt=0)] | None = None  # 5e-5; for a student from scratch 5e-4 (ours)
    weight_decay: Weight = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises; afterwards it falls linearly to zero."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Tokens. 64 for single texts, 128 for pairs and tagging (the latter ours), 320 in question answering."""
    window_overlap: Annotated[int, Field(ge=0)] | None = None
    """Question answering only: tokens that neighbouring windows share; 128 (Devlin et al. 2019)."""

    def for_task(self, task: Task, from_scratch: bool = False) -> Training:
        """The same with the value for this task, and this kind of student, in place of every `None`."""
        kind = KINDS[task.kind]
        defaults: dict[str, Any] = {
            "epochs": 50 if task.name.rsplit("/")[-1] == "cola" else kind.epochs,  # it is small and hard
            "learning_rate": 5e-4 if from_scratch else 5e-5,
            "max_length": PAIR_MAX_LENGTH if task.pair else kind.max_length,
            "window_overlap": 128 if task.kind == "question_answering" else None,
        }
        return self.model_copy(update={k: v for k, v in defaults.items() if getattr(self, k) is None})
