"""How long the trainings of a search will take: as predicted, and as fast as those that were made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autodistill.recommend.search_record import SearchRecord

FEW_PIECES = 4
"""With fewer, what was predicted is taken for the time that trainings need."""


def planned(record: SearchRecord, name: str, until: int, whole: int) -> float:
    """Predicted seconds of a candidate from where it is to an epoch, of so many of its whole training."""
    if name in record.over:
        return 0.0
    known, reached = record.candidates[name], record.reached(name)
    return known.before * (reached == 0) + known.seconds * max(until - reached, 0) / whole


def pace_of(record: SearchRecord, epochs: Mapping[str, int]) -> tuple[float, float]:
    """How many times as long as predicted trainings take, and the seconds that each piece takes beside; by their
    medians, since what is made for all of them, such as a language model, falls upon one."""
    reached: dict[str, int] = {}
    planned, taken = [], []
    for step in record.steps:
        known, before = record.candidates[step.candidate], reached.get(step.candidate, 0)
        reached[step.candidate] = step.epochs
        if not step.failed:
            share = (step.epochs - before) / epochs[step.candidate]
            planned.append(known.before * (before == 0) + known.seconds * share)
            taken.append(step.seconds)
    if len(planned) < FEW_PIECES:
        return 1.0, 0.0
    return line_through(np.array(planned), np.array(taken))


def line_through(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of y over x, neither below 0, by the medians of slopes between points (Theil 1950, Sen 1968).

    Example:
        >>> line_through(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0, 4.0, 25.0, 6.0, 7.0]))
        (1.0, 2.0)
    """
    one, other = np.triu_indices(len(x), 1)
    apart = np.abs(x[one] - x[other]) > 1e-9
    slopes = (y[one] - y[other])[apart] / (x[one] - x[other])[apart]
    slope = max(float(np.median(slopes)), 0.0) if len(slopes) else 1.0
    return slope, max(float(np.median(y - slope * x)), 0.0)
