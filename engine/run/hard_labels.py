"""What gold labels weigh in a run, and who learns from them.

Decided here: class weights hold for every model of a run that learns from gold labels: teacher and members that are
fine-tuned for it, assistants, the student, and the student alone. The simple models beside them (the Bi-LSTM, the
linear one) and MT-BERT's trust in a member know nothing of them.
"""

import numpy as np

from engine.base.errors import digits, listed
from engine.base.text import escaped
from engine.pipeline.class_weights import class_weights_of, weighs_nothing
from engine.pipeline.team import AutoSKD
from engine.run.plan import RunPlan


def class_weights_in(plan: RunPlan) -> np.ndarray | None:
    """As `class_weights_of`."""
    return class_weights_of(plan.pipeline.training.class_weights, plan.task)


def class_weights_in_words(plan: RunPlan) -> list[str]:
    """What the labels of each class weigh; nothing where there are no weights."""
    if (weights := class_weights_in(plan)) is None:
        return []
    each = [_figures(weights[..., place]) for place in range(len(plan.task.labels))]
    named = listed(f"{escaped(label)} {found}" for label, found in zip(plan.task.labels, each, strict=True))
    which = "having a label weighs, and not having it" if weights.ndim == 2 else "gold labels weigh"
    return [f"{which}: {named}"]


def idle_class_weights(plan: RunPlan) -> list[str]:
    """That class weights do not change the student, where neither it nor who teaches it learns from gold labels."""
    pipeline, weights = plan.pipeline, plan.pipeline.weights
    mixed = {*pipeline.augmentation.kinds} == {"mixup"}  # other augmented texts have the teacher's labels
    searched = isinstance(pipeline.team, AutoSKD) and pipeline.team.validation == "hard_label"
    learned = weights.hard_label + weights.augmented_hard_label * mixed or searched
    if weighs_nothing(pipeline.training.class_weights) or learned or any(each.fine_tune for each in plan.team):
        return []
    tuned = ", or --fine-tune always," if plan.teacher else ""  # soft labels of the data come without one
    remedy = f"weights.hard_label above 0{tuned} would change that"
    return [f"class weights do not change this student: neither it nor its teacher learns from gold labels; {remedy}"]


def _figures(of_label: np.ndarray) -> str:
    """The weight of a class; of having a label and of not having it."""
    return " and ".join(digits(float(each)) for each in np.atleast_1d(of_label)[::-1])
