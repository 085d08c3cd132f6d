"""From logits to predictions, and from predictions to scores.

Decided here: scores are fractions (0 to 1, correlations −1 to 1). Where a score is undefined, as the correlation of a
constant, it is 0. What an answer to a question is stands in `spans`. Words that truncation cut off are counted: they
get `O`, or the most frequent tag of the training rows where there is no `O` (in prediction, which has no training rows,
the first tag).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn import metrics

from engine.base.errors import RunError
from engine.data.own_metric import is_own, own_score
from engine.data.task import HAS_ANSWER, KINDS, NO_ANSWER_ACCURACY, Task, TaskKind
from engine.evaluation.class_sums import marked
from engine.evaluation.spans import NO_ANSWER, spans_of

if TYPE_CHECKING:
    from datasets import Dataset

    from engine.tokens.examples import Encoded

BINS = 15  # of probabilities, as Guo et al. (2017) have them


def predictions(
    task: Task, encoded: Encoded, logits: Sequence[np.ndarray], threshold: float | None = None
) -> list[Any]:
    """What a model answers for each row.

    It is the index of its class; its value; a tag index for each word; the text of its answer, empty where no window
    holds any context, or it says that there is none; or the indices of its labels, ascending, those whose probability
    is above 0.5. The logits of each example are cut to its own length.

    Args:
        threshold: How far the score of no answer must lie above that of the best span; None: there always is one.

    Shapes: logits of classification and multi-label (C,), regression (1,), tagging (N, C), question answering (N, 2).

    Raises:
        RunError: A logit is not a finite number.
    """
    for row, values in zip(encoded.rows, logits, strict=True):
        if not np.isfinite(values).all():
            what = f"row {row + 1} of {task.name}: the model's output is not a finite number, so it cannot be scored"
            raise RunError(what)
    if task.kind == "question_answering":
        return spans_of(encoded, logits).answers(threshold)
    return _ANSWERS[task.kind](task, encoded, logits)


def logits_of_rows(encoded: Encoded, logits: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The logits of each row that is classified: the mean over its windows, where it is read in some.

    As Sun et al. (2019) average the vectors of a long text's segments; behind a last layer that is linear it is the
    same.

    Shapes: logits (C,) of each example. Those of other kinds of tasks are left as they are.
    """
    if encoded.kind != "classification" or encoded.windows is None:
        return logits
    counts = np.bincount(encoded.rows, minlength=len(encoded.source))
    sums = np.zeros((len(counts), len(logits[0])))
    np.add.at(sums, encoded.rows, np.stack([*logits]))
    return [*(sums / counts[:, None]).astype(np.float32)]


def _tags(task: Task, encoded: Encoded, logits: Sequence[np.ndarray]) -> list[list[int]]:
    assert encoded.words is not None
    filler = _tag_of_lost_words(task) if (encoded.words.values < 0).any() else 0
    best = (values.argmax(axis=1)[encoded.words[example]] for example, values in enumerate(logits))
    return [np.where(encoded.words[example] < 0, filler, tags).tolist() for example, tags in enumerate(best)]


def _tag_of_lost_words(task: Task) -> int:
    """`O`, or the most frequent tag of the training rows; the first tag where these have none."""
    if "O" in task.labels:
        return task.labels.index("O")
    return _commonest(_flat(task.train["tags"][:])) if "tags" in task.train.column_names else 0


ANSWER: dict[TaskKind, Callable[[np.ndarray], Any]] = {
    "classification": lambda logits: int(np.argmax(logits)),
    "regression": lambda logits: float(logits[0]),
    "multi_label": lambda logits: np.flatnonzero(logits > 0).tolist(),
}
"""Kind of task whose rows have but their own logits (C,) → the answer that they are."""


def _of_rows(task: Task, encoded: Encoded, logits: Sequence[np.ndarray]) -> list[Any]:
    return [ANSWER[task.kind](values) for values in logits_of_rows(encoded, logits)]


_ANSWERS: dict[TaskKind, Callable[[Task, Encoded, Sequence[np.ndarray]], list[Any]]] = {
    **dict.fromkeys(ANSWER, _of_rows),
    "tagging": _tags,
}


def scores(task: Task, rows: Dataset, predicted: Sequence[Any]) -> dict[str, float]:
    """All metrics of the task, the deciding one first, of what `predictions` gives for labelled rows.

    Raises:
        RunError: A predicted value is not a finite number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined scores; they are 0 here, by the module's rule
        gold = rows[KINDS[task.kind].target][:]
        if task.kind == "question_answering":
            measured = _squad(gold, predicted) | (_parts(gold, predicted) if task.may_lack_answers else {})
            own = {name: own_score(task, name, gold, predicted) for name in task.metrics if is_own(name)}
            return {name: (measured | own)[name] for name in task.metrics}
        return {name: _score(task, name, gold, predicted) for name in task.metrics}


def _score(task: Task, name: str, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
    return own_score(task, name, gold, predicted) if is_own(name) else float(METRICS[name](task, gold, predicted))


def _correlation(measure: Callable[..., Any], gold: Sequence[float], predicted: Sequence[float]) -> float:
    """A correlation, 0 where one side is constant."""
    one, other = np.asarray(gold, dtype=float), np.asarray(predicted, dtype=float)
    if not np.isfinite(other).all():
        raise RunError("a predicted value is not a finite number, so it cannot be scored")
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return measure(one, other).statistic


def _flat(rows: Sequence[Any]) -> list[int]:
    """Classes as they are; of tagging the tags of all rows."""
    return [tag for row in rows for tag in (row if isinstance(row, Iterable) else [row])]


def _commonest(classes: Sequence[int]) -> int:
    return int(np.bincount(np.array(classes, dtype=int), minlength=1).argmax())


def _seqeval_f1(task: Task, gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]]) -> float:
    """F1 of whole names: type, first and last word must agree."""
    from seqeval.metrics import f1_score

    named = [[[task.labels[tag] for tag in row] for row in rows] for rows in (gold, predicted)]
    return f1_score(*named, zero_division=0)


def _squad(answers: Sequence[dict[str, Any]], predicted: Sequence[str]) -> dict[str, float]:
    """Mean over rows of the best agreement with any accepted answer (Rajpurkar et al. 2016)."""
    from torchmetrics.functional.text import squad

    given = [{"id": str(row), "prediction_text": text} for row, text in enumerate(predicted)]
    accepted = [
        {"id": str(row), "answers": {"text": list(answer["text"]) or [""], "answer_start": []}}
        for row, answer in enumerate(answers)
    ]
    measured = squad(given, accepted)
    return {"squad_f1": float(measured["f1"]) / 100, "exact_match": float(measured["exact_match"]) / 100}


def _f1(task: Task, gold: Sequence[Any], predicted: Sequence[Any], average: str) -> float:
    """Of classes, or of labels, those that the rows have or were answered with."""
    if task.kind != "multi_label":
        return metrics.f1_score(gold, predicted, average=average, zero_division=0)
    seen = sorted({*_flat(gold), *_flat(predicted)})
    if not seen:
        return 0.0
    both = (marked(sets, len(task.labels)).astype(int) for sets in (gold, predicted))
    return metrics.f1_score(*both, labels=seen, average=average, zero_division=0)


def _same_set(one: Sequence[int], other: Sequence[int]) -> bool:
    return sorted(one) == sorted(other)


def _parts(answers: Sequence[dict[str, Any]], predicted: Sequence[str]) -> dict[str, float]:
    """The same of the rows that have an answer, and the share of those without one that get none (SQuAD 2.0)."""
    found: dict[str, float] = {}
    for has, names in ((True, HAS_ANSWER), (False, {"squad_f1": NO_ANSWER_ACCURACY})):
        rows = [row for row, answer in enumerate(answers) if bool(answer["text"]) == has]
        measured = _squad([answers[row] for row in rows], [predicted[row] for row in rows]) if rows else {}
        found |= {part: measured.get(whole, 0.0) for whole, part in names.items()}
    return found


METRICS: dict[str, Callable[[Task, Sequence[Any], Sequence[Any]], float]] = {
    "accuracy": lambda task, gold, predicted: metrics.accuracy_score(_flat(gold), _flat(predicted)),
    "f1": lambda task, gold, predicted: metrics.f1_score(
        np.equal(gold, task.positive), np.equal(predicted, task.positive), zero_division=0
    ),
    "balanced_accuracy": lambda task, gold, predicted: metrics.balanced_accuracy_score(gold, predicted),
    "f1_macro": lambda task, gold, predicted: _f1(task, gold, predicted, "macro"),
    "f1_micro": lambda task, gold, predicted: _f1(task, gold, predicted, "micro"),
    "subset_accuracy": lambda task, gold, predicted: float(np.mean([*map(_same_set, gold, predicted)])),
    "mcc": lambda task, gold, predicted: metrics.matthews_corrcoef(gold, predicted),
    "pearson": lambda task, gold, predicted: _correlation(stats.pearsonr, gold, predicted),
    "spearman": lambda task, gold, predicted: _correlation(stats.spearmanr, gold, predicted),
    "seqeval_f1": _seqeval_f1,
}


def of_classes(task: Task, rows: Dataset, predicted: Sequence[Any]) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Precision, recall, F1 and rows of each class, or label; and the confusion matrix: row the class, column the
    answer. Labels, of which a row may have several, have none."""
    classes, gold = range(len(task.labels)), rows["label"][:]
    if task.kind == "multi_label":
        gold, predicted = (marked(sets, len(classes)).astype(int) for sets in (gold, predicted))
    found = metrics.precision_recall_fscore_support(gold, predicted, labels=classes, zero_division=0)
    names = ("precision", "recall", "f1", "rows")
    table = [
        {"label": label, **dict(zip(names, column, strict=True))}
        for label, *column in zip(task.labels, *(values.tolist() for values in found), strict=True)
    ]
    if task.kind == "multi_label":
        return table, []
    return table, metrics.confusion_matrix(gold, predicted, labels=classes).tolist()


def calibration_error(task: Task, rows: Dataset, logits: Sequence[np.ndarray]) -> float | None:
    """Expected calibration error of the classes' probabilities: how far they lie from how often they are right.

    Equation: Σ_b (rows in b / rows) · |accuracy in b − mean probability of the answer in b|, over 15 bins b of equal
    width (Guo et al. 2017). 0 is perfect. None for other kinds than classification, which have no such probabilities.

    Shapes: logits (C,) of each row.
    """
    if task.kind != "classification":
        return None
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    shares = torch.from_numpy(np.stack([*logits]).astype(float)).softmax(-1)
    gold = torch.tensor(rows["label"][:])
    return float(multiclass_calibration_error(shares, gold, num_classes=len(task.labels), n_bins=BINS))


def agreement(task: Task, one: Sequence[Any], other: Sequence[Any]) -> float | None:
    """Share of rows, of tagging words, to which two models give the same answer; None of values.

    Args:
        one, other: What `predictions` gives for each row.
    """
    if task.kind == "regression":
        return None
    both = (_flat(one), _flat(other)) if task.kind == "tagging" else (one, other)
    same = [a == b for a, b in zip(*both, strict=True)]
    return sum(same) / len(same) if same else None


def trivial_score(task: Task, rows: Dataset) -> float | None:
    """The task's metric of always giving one answer; None where all questions have one.

    It is the commonest class or tag of the training rows, or their mean; where F1 of a class counts, this class; of
    several labels a row those that are best to give always (`constant_set`); of questions that no answer is there.
    """
    if task.kind == "question_answering":
        never = [NO_ANSWER] * len(rows)
        return scores(task, rows, never)[task.metric] if task.may_lack_answers else None
    gold = rows[KINDS[task.kind].target][:]
    answer: Any
    if task.kind == "regression":
        answer = task.unit.mean
    elif task.kind == "multi_label":
        answer = constant_set(task)
    elif task.metric == "f1":
        answer = task.positive
    else:
        answer = _commonest(_flat(task.train[KINDS[task.kind].target][:]))
    return scores(task, rows, [[answer] * len(row) if task.kind == "tagging" else answer for row in gold])[task.metric]


def constant_set(task: Task) -> list[int]:
    """The labels that, always given, score best on the training rows: of micro F1 the k commonest, of macro F1 all, of
    subset accuracy the commonest set."""
    sets = task.train["label"][:]
    if task.metric == "f1_macro":
        return [*range(len(task.labels))]
    if task.metric == "subset_accuracy":
        return [*Counter(map(tuple, sets)).most_common(1)[0][0]]
    counts = np.bincount(_flat(sets), minlength=len(task.labels))
    order = np.argsort(-counts, kind="stable")
    many = np.arange(1, len(order) + 1)
    best = int(np.argmax(2 * counts[order].cumsum() / (counts.sum() + many * len(sets))))
    return sorted(order[: best + 1].tolist())
