"""What the figures of a run say, in plain words: whether the student is worth serving, and what to change if not.

Decided here: a score is clearly above another one where the 95 % interval of their difference is above 0, or, where
that is not known, the interval of the score above the other one. Nothing is left unsaid that is known: the commonest
answer, classes that are never found, simple models, the student alone, what was predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.run.result import RunResult

KEPT = 0.9
"""Share of the teacher's score below which a student is not what was hoped for."""
FEW_ROWS = 1_000
SMALL = 0.1
"""Share of the teacher's parameters that makes a small student."""
MOST_NAMES = 5
SIMPLE = {"linear": "A linear model on TF-IDF", "bilstm": "A small Bi-LSTM that learns from the labels alone"}
"""Role → a model that costs next to nothing."""


def verdict(result: RunResult) -> list[str]:
    """The verdict on a finished run, a sentence each; nothing is said of one that failed or was stopped."""
    if result.status != "ok" or result.student_score is None:
        return []
    return [sentence for about in ABOUT for sentence in about(result)]


def _low(result: RunResult) -> float:
    """The low end of the student's score."""
    assert result.student_score is not None
    bounds = result.interval("student", result.metric)
    return bounds[0] if bounds else result.student_score


def _named(result: RunResult) -> str:
    """The student's score as a sentence begins with it."""
    bounds = result.interval("student", result.metric)
    between = f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else ""
    return f"The student's {result.named(result.metric)}, {result.student_score:.3f}{between},"


def _lead(result: RunResult, score: float, role: str = "") -> float:
    """By how much the student is clearly above a score: the low end of its lead; 0 or less where it is not."""
    bounds = result.lead_intervals.get(role)
    return bounds[0] if bounds else _low(result) - score


def _simple(result: RunResult) -> dict[str, float]:
    """Role of a simple model → its score, as far as known."""
    known = {role: result.on_split(role).get(result.metric) for role in SIMPLE}
    return {role: score for role, score in known.items() if score is not None}


def _of_the_commonest_answer(result: RunResult) -> Iterator[str]:
    trivial = result.trivial_score
    if trivial is None or result.student_score is None:
        return
    what = "mean" if result.task_kind == "regression" else "commonest answer"
    always = f"that of always giving the {what}, {trivial:.3f}"
    if result.student_score < trivial:
        yield f"{_named(result)} is below {always}: it has learned nothing of use."
    elif _low(result) <= trivial:
        yield f"{_named(result)} is not clearly above {always}."
    else:
        yield f"{_named(result)} is clearly above {always}."


def _of_lost_classes(result: RunResult) -> Iterator[str]:
    lost = [f"{each.label} ({each.rows:,} rows)" for each in result.classes if each.rows and each.recall == 0]
    if lost:
        more = f" and {len(lost) - MOST_NAMES} more classes" if len(lost) > MOST_NAMES else ""
        yield f"It never finds {', '.join(lost[:MOST_NAMES])}{more}."


def _of_simple_models(result: RunResult) -> Iterator[str]:
    for role, score in _simple(result).items():
        reaches = f"{SIMPLE[role]} reaches {score:.3f}"
        if result.student_score is not None and result.student_score < score:
            yield f"{reaches}, more than the student: as it is, this student is not worth serving."
        elif _lead(result, score, role) <= 0:
            yield f"{reaches}; the student is not clearly better."
        else:
            yield f"{reaches}; the student is clearly better."


def _of_a_wrong_teacher(result: RunResult) -> Iterator[str]:
    simple, teacher = _simple(result), result.teacher_score
    if not simple or teacher is None or teacher > max(simple.values()):
        return
    role = max(simple, key=simple.__getitem__)
    against = f"reaches {teacher:.3f} itself, {SIMPLE[role][0].lower()}{SIMPLE[role][1:]} {simple[role]:.3f}"
    yield f"The teacher {against}: it is the wrong one for this dataset, or has learned too little."


def _of_the_student_alone(result: RunResult) -> Iterator[str]:
    alone = result.student_alone_score
    if alone is None or result.student_score is None:
        return
    difference = result.student_score - alone
    reaches = f"Without a teacher the same student reaches {alone:.3f}"
    if difference <= 0:
        yield f"{reaches}: the teacher brought nothing ({difference:+.3f})."
    elif _lead(result, alone, "student_alone") <= 0:
        yield f"{reaches}; what the teacher brought, {difference:+.3f}, lies within the error."
    else:
        yield f"{reaches}; the teacher brought {difference:+.3f}."


def _of_the_teacher(result: RunResult) -> Iterator[str]:
    ratio, bounds = result.distillation_ratio, result.ratio_interval
    if ratio is None:
        yield "What share of the teacher's score it keeps is undefined, because that is not above 0."
        return
    between = f" ({100 * bounds[0]:.0f} % to {100 * bounds[1]:.0f} %)" if bounds else ""
    kept = f"{100 * ratio:.0f} %{between} of the teacher's {result.named(result.metric)}, {result.teacher_score:.3f}"
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
    score, ratio, trivial = result.student_score, result.distillation_ratio, result.trivial_score
    others = [*_simple(result).values(), *filter(None, [result.student_alone_score])]
    nothing = trivial is not None and _low(result) <= trivial
    weak = nothing or score is None or any(score < other for other in others) or (ratio is not None and ratio < KEPT)
    if not weak:
        return
    advice = [text for text in (_more_epochs(result), _rate(result, nothing), _rows(result), _size(result)) if text]
    if teacher := _better_teacher(result):
        advice.insert(0, teacher)
    yield f"What may help: {'; '.join(advice or ['another pipeline (autodistill recommend)'])}."


def _better_teacher(result: RunResult) -> str:
    bounds = result.interval("teacher", result.metric)
    low = bounds[0] if bounds else result.teacher_score
    if low is None or result.trivial_score is None or low > result.trivial_score:
        return ""
    return "a teacher that has learned the task (it is not clearly above the commonest answer itself)"


def _more_epochs(result: RunResult) -> str:
    epochs = len(result.history)
    if not epochs or result.best_epoch != epochs:
        return ""
    return f"more epochs, because the last one was the best (--set training.epochs={2 * epochs})"


def _rate(result: RunResult, nothing: bool) -> str:
    rate = result.pipeline.get("training", {}).get("learning_rate")
    return f"a higher learning rate (--set training.learning_rate={3 * rate:.2g})" if nothing and rate else ""


def _rows(result: RunResult) -> str:
    rows = result.train_examples
    return f"more training rows than {rows:,}, or --augment random" if rows < FEW_ROWS else ""


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
