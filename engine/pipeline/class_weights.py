"""How much the gold labels of each class weigh, where models learn from them.

Decided here: what a weight of 1 is. Weights are scaled so that their mean over the labelled training rows is 1: the
hard-label loss stays a mean over examples, whatever stands in one batch, and its share in equation 1 is what the
pipeline says. In classification each class has a weight; where a text may have several labels, each label is a question
of its own, with a weight of having it and one of not having it.

    balanced          w_c = n / (k · n_c), k the classes with training rows (scikit-learn's compute_class_weight)
    a table           w_c as it is given, 1 where it is not; of several labels that of having the label, against 1
    in both           w_c ← w_c · n / Σ_i w_{y_i}, which leaves `balanced` as it is
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator

from engine.base.errors import Problem, listed, shown, unknown_name
from engine.data.task import KINDS, Task, numbers_in

if TYPE_CHECKING:
    import numpy as np

NAMED = ("none", "balanced")
WEIGHTED = ("classification", "multi_label")
"""Kinds of task whose classes may have weights."""
FORMS = (*NAMED, "a table {class = weight}")
EACH = re.compile(r"\s*(.+?=[^,=]*|.+)(?:,|$)", re.DOTALL)
"""A class with its weight, as it is typed; the name may hold commas and signs of equality, which no number does."""
UNKNOWN, LARGEST = "unknown class weights", 1e6


def _checked(given: Any) -> Any:
    """`none`, `balanced`, or a table as sorted pairs; of text also `spam=6,ham=1`."""
    if given in NAMED:
        return given
    if isinstance(given, str):
        if "=" not in given:
            raise ValueError(unknown_name("", UNKNOWN, given, FORMS))
        given = dict(map(_typed, re.findall(EACH, given)))
    try:
        table = {str(name): weight for name, weight in dict(given).items() if _is_name(name)}
    except (TypeError, ValueError):
        table = {}
    if not table or len(table) < len(given):
        raise ValueError(Problem("", UNKNOWN, shown(given), FORMS))
    if wrong := [name for name, weight in table.items() if not _is_weight(weight)]:
        allowed = ("a number above 0, a million at most",)
        raise ValueError(
            "\n".join(str(Problem("", f"weight of {name!r}", shown(table[name]), allowed)) for name in wrong)
        )
    return tuple(sorted((name, float(weight)) for name, weight in table.items()))


def _typed(part: str) -> tuple[str, Any]:
    """A class with its weight, as it is typed."""
    name, equals, weight = part.rpartition("=")
    try:
        return name.strip(), float(weight)
    except ValueError:
        return name.strip() if equals else part, weight


def _is_name(name: Any) -> bool:
    """Whether it may be that of a class; classes that are numbers are named by them."""
    return isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool))


def _is_weight(weight: Any) -> bool:
    return isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight <= LARGEST


def _written(weights: ClassWeights) -> Any:
    return weights if isinstance(weights, str) else dict(weights)


ClassWeights = Annotated[
    Literal["none", "balanced"] | tuple[tuple[str, float], ...], PlainValidator(_checked), PlainSerializer(_written)
]
"""`none`, `balanced`, or classes with their weights; a mapping, where it is given and written."""


def weighs_nothing(weights: ClassWeights) -> bool:
    """Whether there are none; so they are not written, and the keys of past runs stay theirs."""
    return weights == "none"


def class_problems(weights: ClassWeights, task: Task) -> list[Problem]:
    """Why weights do not suit a task: it has no classes that could have some, or none of that name."""
    if weighs_nothing(weights):
        return []
    place = "training.class_weights"
    if task.kind not in WEIGHTED:
        what = f"only classes of texts have weights, and this task is {task.kind.replace('_', ' ')}"
        got = weights if isinstance(weights, str) else listed(f"{name}={weight:g}" for name, weight in weights)
        return [Problem(place, what, got, ("none",))]
    names = () if isinstance(weights, str) else (name for name, _ in weights)
    return [unknown_name(place, "unknown class", name, task.labels) for name in names if name not in task.labels]


def class_weights_of(weights: ClassWeights, task: Task) -> np.ndarray | None:
    """The weight of each class; None where there are none.

    Shapes: (C,) float64; of several labels (2, C): of not having each label, and of having it.
    """
    if weighs_nothing(weights):
        return None
    import numpy as np

    counts = _counts(task)
    if isinstance(weights, str):
        present = (counts > 0).sum(0)
        found = np.where(counts > 0, counts.sum(0) / (present * np.maximum(counts, 1)), 1.0)
    else:
        given: Mapping[str, float] = dict(weights)
        found = np.array([given.get(label, 1.0) for label in task.labels])
        found = np.stack([np.ones_like(found), found]) if KINDS[task.kind].independent else found
    return found * counts.sum(0) / (found * counts).sum(0)


def _counts(task: Task) -> np.ndarray:
    """(C,) the labelled training rows of each class; of several labels (2, C) those without and those with each."""
    import numpy as np

    classes, rows = len(task.labels), len(task.train)
    if not KINDS[task.kind].independent:
        return np.bincount(numbers_in(task.train, "label"), minlength=classes)
    having = np.bincount([index for labels in task.train["label"] for index in labels], minlength=classes)
    return np.stack([rows - having, having])
