"""Weights of the terms of equation 1, and how long and how fast the student trains."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from engine.base.options import LEARNING_RATE, StartKind, epochs_of, usual_rate
from engine.base.spec import Spec, Weight
from engine.data.lengths import LONGEST, usual_length
from engine.data.task import KINDS, Task
from engine.pipeline.class_weights import ClassWeights, weighs_nothing


class Weights(Spec):
    """Weights of the terms of equation 1. With augmentation the last three have other defaults."""

    intermediate: Weight = 1.0
    prediction: Weight = 1.0  # β1
    hard_label: Weight = 0.0  # γ1
    augmented_prediction: Weight = 0.0  # β2
    augmented_hard_label: Weight = 0.0  # γ2


WITH_AUGMENTATION = {"hard_label": 0.5, "augmented_prediction": 1.0, "augmented_hard_label": 0.5}
"""Weights of a pipeline that augments and does not say them (Distiller, appendix G)."""


MOST_EPOCHS = 50  # of small data
LEAST_STEPS = 1000  # of a student, so that small data is learned, too (after Zhang et al. 2021, section 6)
PAIR_MAX_LENGTH = 128  # tokens (Distiller, appendix G)
WINDOW_OVERLAP = 128  # tokens (Devlin et al. 2019)


def _off(value: bool) -> bool:
    """Whether a switch that came later is off, so that pipelines without it keep their keys."""
    return not value


class Training(Spec):
    """How long and how fast the student trains. `None` means: the paper's value for the task (Distiller, appendix G),
    and more of it where the data need it and `paper` is not set."""

    paper: bool = False
    """Whether the paper's epochs, length and learning rate hold for small data, long texts and narrow students, too."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """20, 30 for question answering, 50 for CoLA; more where that is fewer than 1,000 steps, up to 50 (ours)."""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better held-out score after which the training stops, at a score of 1 at once; 0: never. The
    schedule of the learning rate stays that of all epochs."""
    batch_size: Annotated[int, Field(ge=1)] = 16  # examples per forward pass, over all processes together
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1  # forward passes per optimiser step
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """5e-5 to 3e-4, by the student's width, as a teacher's; ours: 5e-4 from scratch, 3e-3 for lstm and static."""
    weight_decay: Weight = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises; afterwards it falls linearly to zero."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Tokens. 64 for single texts, 128 for pairs and tagging (the latter ours), 320 in question answering, which cuts
    longer texts into windows; for others up to 256, so that of 100 training texts 99 are read whole (ours)."""
    window_overlap: Annotated[int, Field(ge=0)] | None = None
    """Tokens that neighbouring windows of a long context share: 128 in question answering (Devlin et al. 2019). Where
    it is given in classification of single texts, longer ones are read whole, in windows whose logits are averaged."""
    calibrate: bool = Field(default=False, exclude_if=_off)
    """Classification only: whether the student's logits are divided by one temperature after training, the likeliest on
    the set that selects (Guo et al. 2017). Where it is off, it is no part of what is written, nor of any key."""
    class_weights: Annotated[ClassWeights, Field(exclude_if=weighs_nothing)] = "none"
    """Of gold labels, wherever models learn from them, fine-tuned teachers too: `balanced`, by which every class weighs
    the same however rare it is, or {class = weight} (docs/methods/prediction.md). `none` is no part of what is
    written, nor of any key."""

    def for_task(
        self, task: Task, start: StartKind = "pretrained", positions: int | None = None, width: int | None = None
    ) -> Training:
        """The same with the value for this task, and this kind of student, in place of every `None`.

        Args:
            width: Of the student; where it is not known, the learning rate stays open.
            positions: Tokens that the models can read, where something limits them; a length that is given may be more.
        """
        epochs, length = _of_the_paper(task)
        if not self.paper:
            step = self.batch_size * self.gradient_accumulation
            epochs = max(epochs, min(epochs_of(LEAST_STEPS, task.examples, step), MOST_EPOCHS))
            if task.kind != "question_answering" and self.max_length is None:
                length = max(length, min(usual_length(task), positions or LONGEST))
        rate = None if width is None else usual_rate(start, width)
        defaults: dict[str, Any] = {
            "epochs": epochs,
            "learning_rate": LEARNING_RATE if self.paper and start == "pretrained" else rate,
            "max_length": length,
            "window_overlap": WINDOW_OVERLAP if task.kind == "question_answering" else None,
        }
        return self.model_copy(update={k: v for k, v in defaults.items() if getattr(self, k) is None})


def _of_the_paper(task: Task) -> tuple[int, int]:
    """Epochs and tokens (Distiller, appendix G)."""
    kind = KINDS[task.kind]
    is_cola = task.name.rsplit("/")[-1] == "cola"  # it is small and hard
    return 50 if is_cola else kind.epochs, PAIR_MAX_LENGTH if task.pair else kind.max_length
