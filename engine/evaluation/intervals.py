"""What a model reaches on a held-out set, and between what bounds it would lie on other rows of the same kind.

Decided here: 95 % intervals by the percentile bootstrap over rows (Efron and Tibshirani 1993). Rows are drawn anew
`RESAMPLES` times by a seed that is always the same, so two models that answered the same rows are drawn together, and
the interval of their ratio is a paired one. A metric is a function of sums over rows, so a draw is nothing but weights:
all of them are one product of matrices. Spearman's ranks are those of all rows; what a draw misses, a class or all
names, counts there as in all rows. Draws know nothing of errors that were not made: a mean over rows is never surer
than that of a model without one, whose lower bound is that of Clopper and Pearson (1934). Nor is another score that is
0 or 1 in every draw, by the rows that tell: of F1 those of its class, of the means over classes those of the smallest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

from engine.base.errors import RunError
from engine.data.metrics import with_interval
from engine.data.own_metric import is_own, own_score
from engine.data.task import HAS_ANSWER, KINDS, NO_ANSWER_ACCURACY, Task, TaskKind
from engine.evaluation.class_sums import Score, of_classes, of_sets, share, telling_rows
from engine.evaluation.scores import scores
from engine.evaluation.spans import SCORED, agreement_with

if TYPE_CHECKING:
    from datasets import Dataset

    from engine.data.metrics import Scores

RESAMPLES = 1_000
OWN_RESAMPLES = 200  # each of which calls a function of the user's
TAIL = 0.025
"""Of the draws on either side of a 95 % interval."""
SEED = 0
CELLS = 4_000_000  # weights that are held at once
CORRELATIONS = ("mcc", "pearson", "spearman")  # 0 for sure where all answers are the same
CONSTANT = 1e-12  # variance, as a share of that of all rows, below which a draw counts as constant

Interval = list[float]
"""Low and high, as JSON has them."""


@dataclass(frozen=True)
class Measured:
    """A model on one held-out set; of a training that pauses the scores alone.

    Args:
        scores: Metric → score, the deciding one first.
        intervals: Metric → its 95 % interval.
        answers: What `predictions` gives for each row.
        drawn: Metric → its score in each draw of the rows (B,), as long as the process lives.
        calibration_error: Expected, of the classes' probabilities; None where there are none, or it is not known.
        null_threshold: Of `engine.evaluation.spans`, with which questions were answered; None where all have an answer.
    """

    scores: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    drawn: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    calibration_error: float | None = None
    null_threshold: float | None = None


Measures = dict[str, Measured]
"""Held-out set → what a model reached there."""


def measure(task: Task, rows: Dataset, answers: Sequence[Any]) -> Measured:
    """Scores of the answers to labelled rows, with their intervals."""
    found, drawn = scores(task, rows, answers), draws(task, rows, answers)
    bounds = {metric: interval(task, rows, metric, score, drawn[metric]) for metric, score in found.items()}
    return Measured(found, bounds, list(answers), drawn)


def scores_of(measures: Measures) -> Scores:
    """Held-out set → metric → score."""
    return {split: measured.scores for split, measured in measures.items()}


def as_record(measures: Measures) -> dict[str, Any]:
    """As JSON."""
    fields = ("scores", "intervals", "answers", "calibration_error", "null_threshold")
    return {split: {name: getattr(measured, name) for name in fields} for split, measured in measures.items()}


def from_record(record: Mapping[str, Any]) -> Measures:
    """From what `as_record` gave."""
    return {split: Measured(**measured) for split, measured in record.items()}


def in_words(measures: Measures) -> str:
    """The deciding scores as a person reads them.

    Example:
        >>> in_words({"test": Measured({"accuracy": 0.912, "mcc": 0.8}, {"accuracy": [0.89, 0.93]})})
        'accuracy 0.9120 (0.890 to 0.930) on test'
    """
    words = []
    for split, measured in measures.items():
        metric, value = next(iter(measured.scores.items()))
        words.append(f"{metric} {with_interval(value, measured.intervals.get(metric))} on {split}")
    return "; ".join(words)


def interval(task: Task, rows: Dataset, metric: str, score: float, drawn: np.ndarray) -> Interval:
    """The 95 % interval of a score on some rows, from its draws (B,)."""
    low, high = _middle(drawn, score)
    low, high = max(low, -1.0 if _signed(metric) else 0.0), min(high, 1.0)
    telling = _telling(task, rows, metric)
    if telling == len(rows) or (np.ptp(drawn) == 0 and low in (0, 1)):
        bound = TAIL ** (1 / telling)
        low, high = min(low, bound), high if _signed(metric) else max(high, 1 - bound)
    return _rounded(low, high)


def ratio_interval(task: Task, rows: Dataset, student: Measured, teacher: Measured) -> Interval | None:
    """The paired 95 % interval of student score / teacher score on the task's metric.

    None where the answers are not known, or the teacher's interval reaches down to zero.
    """
    metric = task.metric
    if not _paired(rows, student, teacher) or teacher.intervals[metric][0] <= 0:
        return None
    above, below = _drawn(task, rows, student), _drawn(task, rows, teacher)
    usable = below > 0
    ratios = above[usable] / below[usable]
    low, high = _middle(ratios, student.scores[metric] / teacher.scores[metric])
    low = low if _signed(metric) else max(low, 0.0)
    if np.ptp(above) == 0 or np.ptp(below) == 0:  # the draws of one of them know less than its interval
        bounds = [measured.intervals[metric] for measured in (student, teacher)]
        low, high = min(low, bounds[0][0] / bounds[1][1]), max(high, bounds[0][1] / bounds[1][0])
    elif np.ptp(ratios) == 0:  # they gave the same answers
        low = TAIL ** (1 / _telling(task, rows, metric))
        high = 1 / low
    return _rounded(low, high)


def lead_intervals(task: Task, rows: Dataset, student: Measured, others: Mapping[str, Measured]) -> dict[str, Interval]:
    """Role → the paired 95 % interval of student score − its score on the task's metric, if it answered these rows."""
    found = {}
    for role, other in others.items():
        if not _paired(rows, student, other):
            continue
        ours, theirs = _drawn(task, rows, student), _drawn(task, rows, other)
        low, high = _middle(ours - theirs, student.scores[task.metric] - other.scores[task.metric])
        if np.ptp(ours) == 0 or np.ptp(theirs) == 0:  # as above
            bounds = [measured.intervals[task.metric] for measured in (student, other)]
            low, high = min(low, bounds[0][0] - bounds[1][1]), max(high, bounds[0][1] - bounds[1][0])
        found[role] = _rounded(low, high)
    return found


def _signed(metric: str) -> bool:
    """Whether a score may lie below 0."""
    return metric in CORRELATIONS or is_own(metric)


def _middle(drawn: np.ndarray, value: float) -> tuple[float, float]:
    """Between what 95 % of the draws (B,) of a value lie, moved so that their median is the value.

    Those of a mean over classes of few rows lie below it, all of them where classes are thousands.
    """
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL]) - np.median(drawn) + value
    return float(low), float(high)


def _rounded(low: float, high: float) -> Interval:
    return [round(float(low), 12), round(float(high), 12)]


def _drawn(task: Task, rows: Dataset, measured: Measured) -> np.ndarray:
    """A model's score on the task's metric in each draw (B,)."""
    return (measured.drawn or draws(task, rows, measured.answers))[task.metric]


def _paired(rows: Dataset, *measured: Measured) -> bool:
    """Whether the answers of all are known, and to these very rows."""
    return all(len(each.answers) == len(rows) for each in measured)


def _telling(task: Task, rows: Dataset, metric: str) -> int:
    """How many rows tell a score."""
    if metric == "seqeval_f1":
        outside = task.labels.index("O") if "O" in task.labels else -1
        return max(sum(any(tag != outside for tag in tags) for tags in rows["tags"][:]), 1)
    if metric in (*HAS_ANSWER.values(), NO_ANSWER_ACCURACY):
        has = sum(bool(each["text"]) for each in rows["answers"][:])
        return max(len(rows) - has if metric == NO_ANSWER_ACCURACY else has, 1)
    if (
        task.kind not in ("classification", "multi_label")
        or metric in ("accuracy", "subset_accuracy")
        or is_own(metric)
    ):
        return len(rows)
    return telling_rows(task, rows["label"][:], metric)


def draws(task: Task, rows: Dataset, answers: Sequence[Any]) -> dict[str, np.ndarray]:
    """Metric → its score in each draw of the rows (B,)."""
    of_rows, metrics = _summed(task, rows, answers)
    known = [metric for metric in task.metrics if not is_own(metric)]
    found = [{metric: metrics[metric](weights @ of_rows) for metric in known} for weights in _weights(len(rows))]
    own = {metric: _own_draws(task, rows, answers, metric) for metric in task.metrics if is_own(metric)}
    return own | {metric: np.concatenate([part[metric] for part in found]) for metric in known}


def _own_draws(task: Task, rows: Dataset, answers: Sequence[Any], metric: str) -> np.ndarray:
    """The score by a function of the user's own in the first draws; where it fails in one, that of all rows."""
    gold = rows[KINDS[task.kind].target][:]
    of_all, found = own_score(task, metric, gold, answers), []
    for weights in itertools.islice(itertools.chain.from_iterable(_weights(len(rows))), OWN_RESAMPLES):
        places = np.repeat(np.arange(len(rows)), weights.astype(int)).tolist()
        try:
            found.append(own_score(task, metric, [gold[at] for at in places], [answers[at] for at in places]))
        except RunError:
            found.append(of_all)
    return np.array(found)


def exact(task: Task, rows: Dataset, answers: Sequence[Any]) -> dict[str, float]:
    """Metric → its score where every row counts once: that of `scores`, by the way of the draws; of no own ones."""
    of_rows, metrics = _summed(task, rows, answers)
    once = np.ones((1, len(rows)))
    return {metric: float(metrics[metric](once @ of_rows)[0]) for metric in task.metrics if not is_own(metric)}


def _weights(rows: int) -> Iterator[np.ndarray]:
    """How often each row is drawn (B, n), in pieces that fit into memory; the same for the same number of rows."""
    random, piece = np.random.default_rng(SEED), max(1, CELLS // rows)
    for start in range(0, RESAMPLES, piece):
        count = min(piece, RESAMPLES - start)
        cells = random.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(cells.ravel(), minlength=count * rows).reshape(count, rows).astype(float)


def _summed(task: Task, rows: Dataset, answers: Sequence[Any]) -> tuple[Any, Mapping[str, Score]]:
    """What each row adds (n, k), dense or sparse, and each metric as a function of the sums."""
    return SUMMED[task.kind](task, rows[KINDS[task.kind].target][:], answers)


def _numbers(task: Task, gold: Sequence[float], answers: Sequence[float]) -> tuple[np.ndarray, Mapping[str, Score]]:
    """Moments of the values, then of their ranks."""

    def moments(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        x, y = ((side - side.mean()) / (side.std() or 1.0) for side in (one, other))
        return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def correlation(sums: np.ndarray) -> np.ndarray:
        x, y, xx, yy, xy = (sums[:, 1:] / sums[:, :1]).T
        variances = np.stack([xx - x * x, yy - y * y])
        varies = (variances > CONSTANT).all(axis=0)
        return share(xy - x * y, np.sqrt(np.where(varies, variances[0] * variances[1], 0.0)))

    values = [np.asarray(side, float) for side in (gold, answers)]
    of_rows = np.hstack([moments(*values), moments(*map(rankdata, values))])
    return of_rows, {
        "pearson": lambda sums: correlation(sums[:, :6]),
        "spearman": lambda sums: correlation(sums[:, 6:]),
    }


def _tags(
    task: Task, gold: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> tuple[np.ndarray, Mapping[str, Score]]:
    """Right words and words; right names, given ones and true ones."""
    from seqeval.metrics.sequence_labeling import get_entities

    spans = "seqeval_f1" in task.metrics
    of_rows = []
    for pair in zip(gold, answers, strict=True):
        named = [{*get_entities([task.labels[tag] for tag in tags])} if spans else set() for tags in pair]
        right = sum(one == other for one, other in zip(*pair, strict=True))
        of_rows.append([right, len(pair[0]), len(named[0] & named[1]), len(named[1]), len(named[0])])
    summed = np.array(of_rows, float)
    _, _, right_of_all, *named_of_all = summed.sum(axis=0)
    of_all = 2 * right_of_all / (sum(named_of_all) or 1)

    def names(sums: np.ndarray) -> np.ndarray:
        """Of a draw without any name that of all rows."""
        there = sums[:, 3] + sums[:, 4]
        return np.where(there > 0, share(2 * sums[:, 2], there), of_all)

    return summed, {"accuracy": lambda sums: share(sums[:, 0], sums[:, 1]), "seqeval_f1": names}


def _answers(task: Task, gold: Sequence[Any], answers: Sequence[str]) -> tuple[np.ndarray, Mapping[str, Score]]:
    """F1 and exact match of each row, and the row; where questions may have no answer, once more by whether they do."""
    scored = np.array([agreement_with(accepted, answer) for accepted, answer in zip(gold, answers, strict=True)], float)
    of_rows = np.column_stack([scored, np.ones(len(scored))])
    whole: dict[str, Score] = {
        "squad_f1": lambda sums: share(sums[:, 0], sums[:, 2]),
        "exact_match": lambda sums: share(sums[:, 1], sums[:, 2]),
    }
    if not task.may_lack_answers:
        return of_rows, whole
    has = np.array([bool(accepted["text"]) for accepted in gold])[:, None]
    parts = np.hstack([of_rows, of_rows * has, of_rows * ~has])
    totals = parts.sum(axis=0)

    def part(score: int, count: int) -> Score:
        """Of a draw without any such row that of all rows."""
        of_all = share(totals[[score]], totals[[count]])
        return lambda sums: np.where(sums[:, count] > 0, share(sums[:, score], sums[:, count]), of_all)

    places = {**{HAS_ANSWER[name]: (3 + SCORED[name], 5) for name in SCORED}, NO_ANSWER_ACCURACY: (6, 8)}
    return parts, whole | {name: part(*place) for name, place in places.items()}


SUMMED: Mapping[TaskKind, Callable[[Task, Any, Any], tuple[np.ndarray, Mapping[str, Score]]]] = {
    "classification": of_classes,
    "regression": _numbers,
    "tagging": _tags,
    "question_answering": _answers,
    "multi_label": of_sets,
}
"""Kind of task → what each row adds, and its metrics as functions of the sums."""
