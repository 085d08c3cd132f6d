"""From a standing in the order to a distillation ratio with an interval.

Ratios of different datasets differ by their level more than by the pipeline: where a small Bi-LSTM already comes
near the teacher, every student does. So a student's loss is measured as a share of the gap between the two, and
compared across datasets in that unit:

    ratio = 1 − u · g,   g = 1 − Bi-LSTM score / teacher's score

Quantiles of u among past runs of a like standing (each predicted without its own dataset) give the ratio and a first
interval, which is then widened until it holds 80 % of the runs of past datasets that were left out (conformalised
quantile regression, Romano et al. 2019).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from autodistill.ranking.past import Fit, Rank, RunTable, folds

COVERAGE = 0.8
LEVELS = (0.5 + COVERAGE / 2, 0.5, 0.5 - COVERAGE / 2)
"""Quantiles of the loss that give the low, middle and high ratio."""
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
        past: Runs: `dataset`, `ratio`, `standing` (predicted without their dataset), `gap` (g), `loss` (u), `weight`.
        middle_gap: Median of g, for candidates whose own is not known.
        widening: Factor on the distance of the quantiles from the median; NaN where there is no interval.
    """

    past: pd.DataFrame
    middle_gap: float
    widening: float

    def __call__(
        self,
        standings: np.ndarray,
        gaps: np.ndarray,
        outside: np.ndarray | None = None,
        reached: np.ndarray | None = None,
    ) -> np.ndarray:
        """Low, middle and high ratio of candidates (n, 3); low and high are NaN without an interval.

        Args:
            outside: Candidates that hardly any past run is like (n,), none where absent. Their standing says nothing,
                so their interval is not narrower than that of all past runs, nor is its end above the Bi-LSTM's ratio.
            reached: Lowest and highest ratio of the few runs that are like them, which it holds too; NaN: none (n, 2).
        """
        known = np.where(np.isnan(gaps), self.middle_gap, gaps)
        low, middle, high = quantiles(self.past, standings, known).T
        lowered, raised = middle - self.widening * (middle - low), middle + self.widening * (high - middle)
        if outside is not None and np.isfinite(self.widening):
            losses = weighted_quantiles(self.past.loss.to_numpy(), self.past.weight.to_numpy(), LEVELS)
            lowest, highest = 1 - known * max(losses[0], 1.0), 1 - known * losses[2]
            least, most = np.full((2, len(known)), np.nan) if reached is None else reached.T
            lowered = np.where(outside, np.fmin(np.minimum(lowered, lowest), least), lowered)
            raised = np.where(outside, np.fmax(np.maximum(raised, highest), most), raised)
        return np.stack([lowered, middle, raised], axis=1)


def calibrate(table: RunTable, standings: np.ndarray) -> Calibration:
    """Learns ratios from past runs and their standings by predictors that had not seen their datasets (n,)."""
    known = gaps(table)
    middle = float(np.nanmedian(known)) if np.isfinite(known).any() else 1.0
    past = table.runs[["dataset", "ratio"]].assign(standing=standings, gap=np.where(np.isnan(known), middle, known))
    past = past[past.ratio.notna()]
    counts = past.groupby("dataset").ratio.transform("size")
    past = past.assign(loss=(1 - past.ratio) / past.gap, weight=1 / (counts + FEW_RUNS))
    return Calibration(past, middle, _widening(past))


def _widening(past: pd.DataFrame) -> float:
    """The factor with which intervals from the other datasets hold 80 % of a left-out one's runs."""
    names = past.dataset.unique()
    if len(names) < FEWEST_DATASETS:
        return np.nan
    factors, weights = [], []
    for name in names:
        left_out = past[past.dataset == name]
        low, middle, high = quantiles(past[past.dataset != name], left_out.standing, left_out.gap).T
        below = (middle - left_out.ratio) / np.maximum(middle - low, SMALLEST_HALF)
        above = (left_out.ratio - middle) / np.maximum(high - middle, SMALLEST_HALF)
        factors.append(np.maximum(below, above))
        weights.append(left_out.weight)
    return float(weighted_quantiles(np.concatenate(factors), np.concatenate(weights), (COVERAGE,))[0])


def quantiles(past: pd.DataFrame, standings: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """10 %, 50 % and 90 % quantile of the ratio at standings in the order (n, 3)."""
    standing, loss, weight = (past[name].to_numpy() for name in ("standing", "loss", "weight"))
    losses = [
        weighted_quantiles(loss, weight * np.exp(-0.5 * ((standing - own) / BANDWIDTH) ** 2) + 1e-12, LEVELS)
        for own in np.asarray(standings)
    ]
    return 1 - np.asarray(gaps)[:, None] * np.reshape(losses, (-1, 3))


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Quantiles of weighted values, linear between the middles of their weights (levels,)."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return np.interp(levels, (sums - weights[order] / 2) / sums[-1], values[order])


def gaps(table: RunTable) -> np.ndarray:
    """How far the Bi-LSTM is from the teacher, as a share of the teacher's score (n,); NaN: hardly, or not known."""
    runs = table.runs
    scores = {name: dataset.descriptors.bilstm_score for name, dataset in table.datasets.items()}
    of_dataset = runs.dataset.map(scores).astype(float)
    bilstm = runs.bilstm_score.astype(float).fillna(of_dataset) if "bilstm_score" in runs else of_dataset
    teacher = runs.teacher_score.astype(float)
    gap = 1 - bilstm / teacher.where(teacher > 0)
    return gap.where(gap >= SMALLEST_GAP).to_numpy()


def left_out_standings(fit: Fit, rank: Rank, table: RunTable) -> np.ndarray:
    """The standing of each past run by a predictor fitted without its dataset (n,); some `rank`s know it already."""
    if (known := getattr(rank, "left_out", None)) is not None:
        return known
    standings = np.zeros(len(table.runs))
    if len(table.names) > 1:  # else nothing is left to learn from: no order
        for name, _, left_out in folds(fit, table):
            standings[table.runs.dataset == name] = left_out
    return standings
