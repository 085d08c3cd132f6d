"""What each row adds to the scores of classes, and of sets of labels, which are functions of the sums over rows.

Decided here: in means over classes, or labels, those count that the rows have or a model answered with; one that a draw
of the rows misses counts there as in all rows.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse

from engine.data.task import Task

Score = Callable[[np.ndarray], np.ndarray]
"""Sums over rows (B, k) → scores (B,)."""


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)


def of_classes(task: Task, gold: Sequence[int], answers: Sequence[int]) -> tuple[Any, Mapping[str, Score]]:
    """By class: rows, answers, right answers; sparse, because a row adds to three columns at most."""
    true, given, width = np.asarray(gold, int), np.asarray(answers, int), len(task.labels)
    right = np.flatnonzero(true == given)
    columns = np.concatenate([true, width + given, 2 * width + true[right]])
    cells = np.concatenate([np.arange(len(true)), np.arange(len(true)), right]), columns
    of_rows = sparse.csr_array((np.ones(len(columns)), cells), shape=(len(true), 3 * width))

    def parts(sums: np.ndarray) -> list[np.ndarray]:
        return np.split(sums, 3, axis=1)

    def filled(right: np.ndarray, rows: np.ndarray, of_all: np.ndarray) -> np.ndarray:
        """right / rows; where a draw has none of these rows, that of all rows."""
        return np.where(rows > 0, share(right, rows), of_all)

    all_rows, all_answers, all_right = parts(np.ones((1, len(true))) @ of_rows)
    recall, f1_of_all = share(all_right, all_rows), share(2 * all_right, all_rows + all_answers)
    mcc_of_all = share(*_mcc(all_rows, all_answers, all_right))
    seen, asked = all_rows[0] + all_answers[0] > 0, all_rows[0] > 0

    def f1(sums: np.ndarray) -> np.ndarray:
        """(B, C)"""
        of_rows, of_answers, right = parts(sums)
        return filled(2 * right, of_rows + of_answers, f1_of_all)

    def balanced(sums: np.ndarray) -> np.ndarray:
        of_rows, _, right = parts(sums)
        return filled(right, of_rows, recall)[:, asked].mean(axis=1)

    return of_rows, {
        "accuracy": lambda sums: share(parts(sums)[2].sum(axis=1), parts(sums)[0].sum(axis=1)),
        "balanced_accuracy": balanced,
        "f1": lambda sums: f1(sums)[:, task.positive],
        "f1_macro": lambda sums: f1(sums)[:, seen].mean(axis=1),
        "mcc": lambda sums: filled(*_mcc(*parts(sums)), mcc_of_all),
    }


def _mcc(of_rows: np.ndarray, of_answers: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matthews' correlation (Gorodkin 2004) as a covariance and what it is divided by."""
    count, hits = of_rows.sum(axis=1), right.sum(axis=1)
    together = hits * count - (of_rows * of_answers).sum(axis=1)
    spread = (count**2 - (of_rows**2).sum(axis=1)) * (count**2 - (of_answers**2).sum(axis=1))
    return together, np.sqrt(spread)


def of_sets(
    task: Task, gold: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> tuple[Any, Mapping[str, Score]]:
    """By label: rows that have it, answers with it, right ones; whether the sets are equal; the row; sparse."""
    width, rows = len(task.labels), np.arange(len(gold))
    true, given = marked(gold, width), marked(answers, width)
    equal = [sorted(one) == sorted(other) for one, other in zip(gold, answers, strict=True)]
    whole = sparse.csr_array(np.stack([equal, np.ones(len(rows))], axis=1))
    of_rows = sparse.hstack([true, given, true * given, whole], format="csr")
    all_rows, all_answers, all_right = np.split(of_rows.sum(axis=0)[: 3 * width], 3)
    seen = all_rows + all_answers > 0
    of_all = share(2 * all_right, all_rows + all_answers)

    def macro(sums: np.ndarray) -> np.ndarray:
        of_gold, of_answers, right = np.split(sums[:, : 3 * width], 3, axis=1)
        there = of_gold + of_answers
        return np.where(there > 0, share(2 * right, there), of_all)[:, seen].sum(axis=1) / max(int(seen.sum()), 1)

    def micro(sums: np.ndarray) -> np.ndarray:
        of_gold, of_answers, right = (part.sum(axis=1) for part in np.split(sums[:, : 3 * width], 3, axis=1))
        return share(2 * right, of_gold + of_answers)

    return of_rows, {
        "f1_micro": micro,
        "f1_macro": macro,
        "subset_accuracy": lambda sums: share(sums[:, -2], sums[:, -1]),
    }


def marked(sets: Sequence[Sequence[int]], width: int) -> sparse.csr_array:
    """Sets of labels as a matrix (n, C), 1 where a row has a label.

    Example:
        >>> marked([[0, 2], []], 3).toarray().tolist()
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    sizes = [len(labels) for labels in sets]
    columns = np.fromiter(chain.from_iterable(sets), np.int64, sum(sizes))
    cells = np.repeat(np.arange(len(sets)), sizes), columns
    return sparse.csr_array((np.ones(len(columns)), cells), shape=(len(sets), width))


def telling_rows(task: Task, gold: Sequence[Any], metric: str) -> int:
    """How many rows tell an F1 or a balanced accuracy: those of its class, of the smallest one, with any label."""
    if metric == "f1_micro":
        return max(sum(map(bool, gold)), 1)
    counts = np.bincount(np.hstack([[], *gold]).astype(int), minlength=len(task.labels))
    return max(int(counts[task.positive] if metric == "f1" else counts[counts > 0].min(initial=len(gold))), 1)
