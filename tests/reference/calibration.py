"""What docs/recommender.md says of ratios and their intervals, in loops over plain floats, without the package.

A run is a dictionary: `dataset`, `ratio`, `standing`, `bilstm`, `teacher` (scores; NaN: not known).
"""

from __future__ import annotations

import math
from statistics import median

LEVELS = (0.9, 0.5, 0.1)


def gap(run):
    """1 − Bi-LSTM / teacher; NaN where it is below 2 % or not known."""
    if not run["teacher"] > 0:
        return math.nan
    found = 1 - run["bilstm"] / run["teacher"]
    return found if found >= 0.02 else math.nan


def learned(runs):
    """Runs with `gap`, `loss` (share of the gap that was lost) and `weight`, and the gap of candidates without one."""
    known = [gap(run) for run in runs if not math.isnan(gap(run))]
    usual = median(known) if known else 1.0
    past = []
    for run in runs:
        if math.isnan(run["ratio"]):
            continue
        own = usual if math.isnan(gap(run)) else gap(run)
        of_its_dataset = sum(other["dataset"] == run["dataset"] and not math.isnan(other["ratio"]) for other in runs)
        past.append({**run, "gap": own, "loss": (1 - run["ratio"]) / own, "weight": 1 / (of_its_dataset + 5)})
    return past, usual


def quantile(values, weights, level):
    """Each value stands at the middle of its weight; between two of them a straight line."""
    rows = sorted(zip(values, weights, strict=True))
    total = sum(weights)
    middles = [(sum(w for _, w in rows[:row]) + rows[row][1] / 2) / total for row in range(len(rows))]
    for row in range(1, len(rows)):
        if middles[row - 1] <= level <= middles[row]:
            share = (level - middles[row - 1]) / (middles[row] - middles[row - 1])
            return rows[row - 1][0] + share * (rows[row][0] - rows[row - 1][0])
    return rows[0][0] if level < middles[0] else rows[-1][0]


def ratios(past, standing, own_gap):
    """Low, middle and high ratio before the interval is widened: runs 0.3 higher or lower count for exp(−½)."""
    near = [run["weight"] * math.exp(-(((run["standing"] - standing) / 0.3) ** 2) / 2) for run in past]
    return [1 - own_gap * quantile([run["loss"] for run in past], near, level) for level in LEVELS]


def widening(past):
    """The factor with which four fifths of a left-out dataset's runs are held; NaN below three datasets."""
    names = {run["dataset"] for run in past}
    if len(names) < 3:
        return math.nan
    factors = []
    for run in past:
        low, middle, high = ratios([r for r in past if r["dataset"] != run["dataset"]], run["standing"], run["gap"])
        below = (middle - run["ratio"]) / max(middle - low, 0.001)
        above = (run["ratio"] - middle) / max(high - middle, 0.001)
        factors.append(max(below, above))
    return quantile(factors, [run["weight"] for run in past], 0.8)


def widened(past, usual, standing, own_gap):
    """Low, middle and high ratio of a candidate."""
    low, middle, high = ratios(past, standing, usual if math.isnan(own_gap) else own_gap)
    factor = widening(past)
    return [middle - factor * (middle - low), middle, middle + factor * (high - middle)]
