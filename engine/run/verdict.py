"""What the figures of a run say, in plain words: whether the student is worth serving, and what to change if not.

Decided here: a score is clearly above another one where the 95 % interval of their difference is above 0. Where the
best of several epochs was chosen on these very rows, intervals reach half as far again; of models that answered other
rows, the interval of the difference follows from their own. Nothing is left unsaid that is known: the commonest answer,
classes that are never found, simple models, and of how many rows they read a sample, the student alone, what was
predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from engine.base.errors import counted
from engine.base.options import epochs_of
from engine.data.metrics import with_interval
from engine.data.task import TaskKind
from engine.pipeline.training import LEAST_STEPS, MOST_EPOCHS
from engine.run.result import RunResult

KEPT = 0.9
"""Share of the teacher's score below which a student is not what was hoped for."""
FEW_ROWS = 1_000
SMALL = 0.1
"""Share of the teacher's parameters that makes a small student."""
MOST_NAMES = 5
FEWEST = 5
"""Rows of a class that a student ought to find one of."""
SELECTED = 1.5
SIMPLE_MODELS = {"linear": "A linear model on TF-IDF", "bilstm": "A small Bi-LSTM that learns from the labels alone"}
"""Role → a model that costs next to nothing."""
BILSTM_ROWS = 3_000
"""Training rows that the Bi-LSTM learns from at most, as `autodistill.datasets.bilstm` has it."""
CONSTANT = {"regression": "the mean", "multi_label": "the same labels", "question_answering": "no answer"}
"""Kind of task → the one answer that the trivial score is of, where that is not the commonest one."""
WRONG = "it is the wrong one for this dataset, or has learned too little"
"""Of a teacher that is no better than such a model."""

Bounds = tuple[float, float]


def verdict(result: RunResult) -> list[str]:
    """The verdict on a finished run, a sentence each; nothing is said of one that failed or was stopped."""
    if result.status != "ok" or result.student_score is None:
        return []
    return [sentence for about in ABOUT for sentence in about(result)]


def _bounds(result: RunResult, role: str, metric: str) -> Bounds | None:
    """Between what a role's score lies."""
    score, bounds = result.on_split(role).get(metric), result.interval(role, metric)
    return None if score is None else _widened(result, score, bounds or (score, score))


def _widened(result: RunResult, value: float, bounds: Sequence[float]) -> Bounds:
    """The interval of a value, wider where these rows have also selected."""
    far = SELECTED if result.split == result.selected_on else 1.0
    return value - far * (value - bounds[0]), value + far * (bounds[1] - value)


def _lead(result: RunResult, role: str, score: float) -> Bounds:
    """Between what the student's lead over a role lies, which reaches a score."""
    own = result.student_score or 0.0
    if bounds := result.lead_intervals.get(role):
        return _widened(result, own - score, bounds)
    low, high = _bounds(result, "student", result.metric) or (own, own)
    least, most = _bounds(result, role, result.metric) or (score, score)
    return own - score - math.hypot(own - low, most - score), own - score + math.hypot(high - own, score - least)


def _simple(result: RunResult) -> dict[str, float]:
    """Role of a simple model → its score, as far as known."""
    known = {role: result.on_split(role).get(result.metric) for role in SIMPLE_MODELS}
    return {role: score for role, score in known.items() if score is not None}


def _named(result: RunResult, role: str) -> str:
    """A simple model by name, and of how many training rows it read a sample."""
    from engine.evaluation.linear import most_rows  # loads scikit-learn

    most = {"linear": most_rows(result.task_kind, len(result.labels)), "bilstm": BILSTM_ROWS}[role]
    sample = f" ({most:,} of {result.train_examples:,} rows)" if result.train_examples > most else ""
    return f"{SIMPLE_MODELS[role]}{sample}"


def _learned(result: RunResult, role: str) -> bool:
    """Whether a role is clearly better than one constant answer, or tells classes apart that count unequally.

    Where all rows are of one class, or the answer has no score, nothing shows that it is not.
    """
    bounds = _bounds(result, role, result.metric)
    above = result.trivial_score is None or bounds is None or bounds[0] > result.trivial_score
    return above or _classes(result) == 1 or _tells_apart(result, role)


def _classes(result: RunResult) -> int:
    """Of how many classes the rows are that report; 0 where a row may have several labels."""
    return 0 if result.task_kind == "multi_label" else sum(each.rows > 0 for each in result.classes)


def _tells_apart(result: RunResult, role: str) -> bool:
    """Whether it finds more of each class on average than one constant answer does."""
    bounds, classes = _bounds(result, role, "balanced_accuracy"), _classes(result)
    return bounds is not None and classes > 1 and bounds[0] > 1 / classes


def constant_answer(kind: TaskKind, metric: str, positive: str | None) -> str:
    """The one answer whose score is the trivial one, in words; of F1 it is its class."""
    return f"always giving {positive if metric == 'f1' else CONSTANT.get(kind, 'the commonest answer')}"


def _of_the_commonest_answer(result: RunResult) -> Iterator[str]:
    trivial, score, bounds = result.trivial_score, result.student_score, _bounds(result, "student", result.metric)
    if trivial is None or score is None or bounds is None:
        return
    if _classes(result) == 1:
        yield f"All rows of {result.split} are of one class: their score says little of what the student has learned."
        return
    shown = with_interval(score, result.interval("student", result.metric))
    named = f"The student's {result.named(result.metric)}, {shown},"
    always = f"that of {constant_answer(result.task_kind, result.metric, result.positive)}, {trivial:.3f}"
    if bounds[0] > trivial:
        yield f"{named} is clearly above {always}."
    elif _tells_apart(result, "student"):
        balanced = f"balanced accuracy {result.on_split('student')['balanced_accuracy']:.3f}"
        other = "--metric f1_macro or balanced_accuracy lets every class count alike"
        yield f"{named} is not clearly above {always}, yet it tells the classes apart ({balanced}); {other}."
    elif score < trivial:
        yield f"{named} is below {always}: it has learned nothing of use."
    else:
        yield f"{named} is not clearly above {always}."


def _of_lost_classes(result: RunResult) -> Iterator[str]:
    lost = [
        f"{each.label} ({counted(each.rows, 'row')})"
        for each in result.classes
        if each.rows >= FEWEST and each.recall == 0
    ]
    if lost:
        more = f" and {len(lost) - MOST_NAMES} more" if len(lost) > MOST_NAMES else ""
        yield f"It never finds {', '.join(lost[:MOST_NAMES])}{more}."


def _of_simple_models(result: RunResult) -> Iterator[str]:
    for role, score in _simple(result).items():
        low, high = _lead(result, role, score)
        if low > 0:
            ending = "; the student is clearly better."
        elif high < 0:
            ending = ", more than the student: as it is, this student is not worth serving."
        else:
            ending = "; the student is not clearly better, and costs more."
        yield f"{_named(result, role)} reaches {score:.3f}{ending}"


def _of_a_wrong_teacher(result: RunResult) -> Iterator[str]:
    simple, teacher = _simple(result), result.teacher_score
    if not simple or teacher is None or teacher > max(simple.values()) or _classes(result) == 1:
        return
    role = max(simple, key=simple.__getitem__)
    other = _named(result, role)
    against = f"reaches {teacher:.3f} itself, {other[0].lower()}{other[1:]} {simple[role]:.3f}"
    yield f"The teacher {against}: {WRONG}."


def _of_the_student_alone(result: RunResult) -> Iterator[str]:
    alone = result.student_alone_score
    if alone is None or result.student_score is None:
        return
    difference, (low, high) = result.student_score - alone, _lead(result, "student_alone", alone)
    reaches = f"Without a teacher the same student reaches {alone:.3f}"
    if low > 0:
        yield f"{reaches}; the teacher brought {difference:+.3f}."
    elif high < 0:
        yield f"{reaches}: this teacher does harm ({difference:+.3f})."
    else:
        yield f"{reaches}; what the teacher brought, {difference:+.3f}, lies within the error."


def _of_the_teacher(result: RunResult) -> Iterator[str]:
    ratio, bounds = result.distillation_ratio, result.ratio_interval
    if result.teacher_score is None:
        return
    if ratio is None:
        yield "What share of the teacher's score it keeps is undefined, because that is not above 0."
        return
    between = f" ({100 * bounds[0]:.0f} % to {100 * bounds[1]:.0f} %)" if bounds else ""
    kept = f"{100 * ratio:.0f} %{between} of the teacher's {result.named(result.metric)}, {result.teacher_score:.3f}"
    if not _learned(result, "teacher"):
        above = constant_answer(result.task_kind, result.metric, result.positive)
        kept += f", which is itself not clearly above that of {above}, so that this says little"
    yield f"It keeps {kept}." if ratio > 0 else f"It keeps nothing of the teacher's score, {result.teacher_score:.3f}."


def _of_the_prediction(result: RunResult) -> Iterator[str]:
    if result.predicted_ratio is None or result.distillation_ratio is None:
        return
    low, high = result.predicted_ratio
    ratio, bounds = result.distillation_ratio, result.ratio_interval or [result.distillation_ratio] * 2
    where = "lies within" if low <= ratio <= high else "is below" if ratio < low else "is above"
    unsure = where != "lies within" and bounds[0] <= high and bounds[1] >= low
    more = ", though not clearly" if unsure else ""
    yield f"The ratio, {ratio:.3f}, {where} the predicted {low:.3f} to {high:.3f} (80 % interval){more}."


def _of_the_rows(result: RunResult) -> Iterator[str]:
    if result.split is not None and result.split == result.selected_on:
        yield f"The same rows ({result.split}) selected and report, which flatters; --test names others."


def _what_to_change(result: RunResult) -> Iterator[str]:
    """One sentence, where the student is not what was hoped for."""
    score, ratio, learned = result.student_score, result.distillation_ratio, _learned(result, "student")
    others = [*_simple(result).values(), *filter(None, [result.student_alone_score])]
    if learned and score is not None and score >= max(others, default=score) and (ratio is None or ratio >= KEPT):
        return
    longer = _more_epochs(result, learned)
    rate = "" if longer else _rate(result, learned)
    advice = [_better_teacher(result), longer, rate, _rows(result), _size(result)]
    yield f"What may help: {'; '.join(filter(None, advice)) or 'another pipeline (autodistill recommend)'}."


def _better_teacher(result: RunResult) -> str:
    if result.teacher_score is None or _learned(result, "teacher"):
        return ""
    return "a teacher that has learned the task"


def _more_epochs(result: RunResult, learned: bool) -> str:
    epochs, training = len(result.history), result.pipeline.get("training", {})
    if epochs and result.best_epoch == epochs:
        return f"more epochs, because the last one was the best (--set training.epochs={2 * epochs})"
    if learned or not epochs or "batch_size" not in training:
        return ""
    step = training["batch_size"] * training.get("gradient_accumulation", 1)
    usual = min(epochs_of(LEAST_STEPS, result.train_examples, step), MOST_EPOCHS)
    return f"more epochs, as is usual for so few rows (--set training.epochs={usual})" if usual > epochs else ""


def _rate(result: RunResult, learned: bool) -> str:
    rate = result.pipeline.get("training", {}).get("learning_rate")
    return "" if learned or not rate else f"a higher learning rate (--set training.learning_rate={3 * rate:.2g})"


def _rows(result: RunResult) -> str:
    rows, augmented = result.train_examples, result.pipeline.get("augmentation", {}).get("operators")
    more = "" if augmented or result.signals == "given" else ", or --augment random"
    return "" if rows >= FEW_ROWS else f"more training rows than {rows:,}{more}"


def _size(result: RunResult) -> str:
    own, teachers = result.parameters, result.teacher_parameters
    if not own or not teachers or own > SMALL * teachers:
        return ""
    return f"a larger student than {100 * own / teachers:.2g} % of the teacher"


ABOUT: tuple[Callable[[RunResult], Iterator[str]], ...] = (
    _of_the_commonest_answer,
    _of_lost_classes,
    _of_simple_models,
    _of_a_wrong_teacher,
    _of_the_student_alone,
    _of_the_teacher,
    _of_the_prediction,
    _of_the_rows,
    _what_to_change,
)
"""What is spoken of, in this order."""
