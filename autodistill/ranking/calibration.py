"""From a place in the order to a distillation ratio with an interval.

Ratios of different datasets differ by their level more than by the pipeline: where a small Bi-LSTM already
comes near the teacher, every student does. So a student's loss is measured in the part of the way that lies
between the two, and compared across datasets in that unit:

    ratio = 1 − u · g,   g = 1 − baseline / teacher

Quantiles of u among past runs that stood as high in the order (each predicted without its own dataset)
give the ratio and a first interval; the interval is then widened so that it holds 80 % of the runs of past
datasets that were left out (conformalised quantile regression, Romano et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from autodistill.ranking.past import Fit, Rank, RunTable

COVERAGE = 0.8
BANDWIDTH = 0.3
"""Runs that stand this much higher or lower count for exp(−½)."""
SMALLEST_GAP = 0.02
SMALLEST_HALF = 1e-3
FEW_RUNS = 5
"""A dataset with n runs counts for n / (n + 5): many runs as much as others have, a single one little."""
FEWEST_DATASETS = 3
"""An interval that was checked on fewer left-out datasets is not given."""


@dataclass(frozen=True)
class Calibration:
    """What turns an order into ratios.

    Args:
        past: Past runs: `dataset`, `ratio`, `place` (as predicted without their own dataset), `gap` (g),
            `loss` (u), `weight`.
        middle_gap: Median of g, for candidates whose own is not known.
        widening: Factor on the distance of the quantiles from the median; None: it could not be found.
    """

    past: pd.DataFrame
    middle_gap: float
    widening: float | None

    def __call__(self, places: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Low, middle and high ratio of candidates (n, 3); low and high are NaN without an interval."""
        low, middle, high = quantiles(self.past, places, np.where(np.isnan(gaps), self.middle_gap, gaps)).T
        wide = np.nan if self.widening is None else self.widening
        return np.stack([middle - wide * (middle - low), middle, middle + wide * (high - middle)], axis=1)


def calibrate(table: RunTable, places: np.ndarray) -> Calibration:
    """Learns ratios from past runs.

    Args:
        table: Past runs.
        places: Where each would have been put by a predictor that had not seen its dataset (n,).
    """
    measured = gaps(table)
    middle = float(np.nanmedian(measured)) if np.isfinite(measured).any() else 1.0
    runs = table.runs.assign(place=places, gap=np.where(np.isnan(measured), middle, measured))
    runs = runs[runs.ratio.notna()]
    past = runs[["dataset", "ratio", "place", "gap"]].assign(
        loss=(1 - runs.ratio) / runs.gap,
        weight=1 / (runs.groupby("dataset").ratio.transform("size") + FEW_RUNS),
    )
    return Calibration(past, middle, _widening(past))


def _widening(past: pd.DataFrame) -> float | None:
    """The factor with which intervals from the other datasets hold 80 % of a left-out one's runs."""
    names = past.dataset.unique()
    if len(names) < FEWEST_DATASETS:
        return None
    needed = []
    for name in names:
        left_out = past[past.dataset == name]
        low, middle, high = quantiles(past[past.dataset != name], left_out.place, left_out.gap).T
        below = (middle - left_out.ratio) / np.maximum(middle - low, SMALLEST_HALF)
        above = (left_out.ratio - middle) / np.maximum(high - middle, SMALLEST_HALF)
        needed.append(pd.DataFrame({"factor": np.maximum(below, above), "weight": left_out.weight}))
    together = pd.concat(needed)
    return float(weighted_quantiles(together.factor.to_numpy(), together.weight.to_numpy(), [COVERAGE])[0])


def quantiles(past: pd.DataFrame, places: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """10 %, 50 % and 90 % quantile of the ratio at places in the order (n, 3)."""
    tail = (1 - COVERAGE) / 2
    place, loss, weight = (past[name].to_numpy() for name in ("place", "loss", "weight"))
    found = []
    for here, gap in zip(np.asarray(places), np.asarray(gaps), strict=True):
        near = weight * np.exp(-0.5 * ((place - here) / BANDWIDTH) ** 2) + 1e-12
        found.append(1 - gap * weighted_quantiles(loss, near, [1 - tail, 0.5, tail]))
    return np.array(found).reshape(-1, 3)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: list[float]) -> np.ndarray:
    """Quantiles of weighted values, linear between them."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return np.interp(levels, (sums - weights[order] / 2) / sums[-1], values[order])


def gaps(table: RunTable) -> np.ndarray:
    """How far the baseline is from the teacher, as a share of the teacher's score (n,).

    NaN where a score is missing, and where the baseline comes so near that there is no way between them.
    """
    runs = table.runs
    known = {
        name: table.datasets[name].descriptors.bilstm_score for name in table.names if name in table.datasets
    }
    own = runs.bilstm_score.astype(float) if "bilstm_score" in runs else pd.Series(np.nan, runs.index)
    baseline = own.fillna(runs.dataset.map(known).astype(float))
    teacher = runs.teacher_score.astype(float)
    found = 1 - baseline / teacher.where(teacher > 0)
    return found.where(found >= SMALLEST_GAP).to_numpy()


def left_out_places(fit: Fit, rank: Rank, table: RunTable) -> np.ndarray:
    """Where each past run is put by a predictor fitted without its dataset (n,).

    Args:
        rank: `fit` of all of them; some predictors know these places without fitting again.
    """
    known = getattr(rank, "left_out", None)
    if known is not None:
        return known
    found = np.zeros(len(table.runs))
    if len(table.names) < 2:
        return found  # nothing is left to learn from: no order
    for name in table.names:
        rows = (table.runs.dataset == name).to_numpy()
        found[rows] = fit(table.without(name))(table.of(name))
    return found
