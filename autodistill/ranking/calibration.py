"""From a standing in the order to a distillation ratio with an interval.

Ratios of different datasets differ by their level more than by the pipeline. What the level is like is known before any
student is distilled. What the student reaches alone, without a teacher, says most of it; where that was not measured,
how near a Bi-LSTM comes to the teacher, and the form of the student (on pairs of texts a Bi-LSTM may be ahead of the
teacher, where a small transformer from scratch learns next to nothing). So a ratio is a line through these, for all
students and once more for each form of them:

    ratio = Σ_j b_j x_j + ε,   x = (1, standing, g₁, g₂, g₃),   g = 1 − score without a teacher / teacher's score
    sd(ε) = σ_form · √(c² + g₁²) · √(1 + xᵀA⁻¹x / datasets)

with small b_j rather than large ones (ridge regression, A = cov(x) + penalty), with the c under which left-out datasets
are the most probable, and the wider the further x lies from what was seen. There is one line with g₁ of the student
alone, through the past runs where it is known, and one with g₁ of the Bi-LSTM, through all.

An interval is as many standard deviations wide as hold 80 % of the runs of past datasets that were left out (conformal
prediction), and 80 % of the runs of 80 % of these datasets, for a new dataset is a draw among datasets, not among runs
(hierarchical conformal prediction, Dunn, Wasserman and Ramdas 2022); and 60 % of the runs of each of them, so that none
is left without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from autodistill.ranking.circumstances import conditions
from autodistill.ranking.past import FEWEST_DATASETS, Fit, Rank, RunTable, folds

BY_BILSTM = ("bilstm", "linear", "trivial")
"""The gaps of a line, the first of which says how far ratios spread."""
BY_STUDENT = ("alone", "linear", "trivial")
"""Those of the line where it is known what the student reaches alone."""
COVERAGE = 0.8
LEAST_COVERAGE = 0.6
"""Of the runs of each dataset."""
SMALLEST_GAP = 0.02
LEAST_SPREADS = (0.03, 0.1, 0.3, 10.0)
"""What c may be; with the last one ratios of all datasets spread alike."""
RIDGE = 0.3
"""Square of a standardised coefficient costs as much as so many datasets' residuals."""
FEW_RUNS = 5
"""A dataset with n runs counts for n / (n + 5): many runs as much as others have, a single one little."""
FEW_DATASETS = 3
"""The spread of a form of students is that of all, weighted as so many datasets, and its own."""


@dataclass(frozen=True)
class Line:
    """A fitted line.

    Args:
        usual: Model without a teacher → the median gap, for where it is not known.
        forms: Forms of students that were seen.
        middle, scale: Of the columns, by which they are standardised (columns,).
        level, slopes: The ratio in the middle, and what each column adds (columns,).
        inverse: A⁻¹ / datasets (columns, columns).
        least_spread: c.
    """

    usual: dict[str, float]
    forms: list[str]
    middle: np.ndarray
    scale: np.ndarray
    level: float
    slopes: np.ndarray
    inverse: np.ndarray
    least_spread: float

    def __call__(self, runs: pd.DataFrame) -> np.ndarray:
        """The middle ratio of each run (n,)."""
        return self.level + self._x(runs) @ self.slopes

    def units(self, runs: pd.DataFrame) -> np.ndarray:
        """How far the ratio of each run spreads, but for σ (n,)."""
        x = self._x(runs)
        return _units(runs, self.usual, self.least_spread) * np.sqrt(1 + ((x @ self.inverse) * x).sum(axis=1))

    def _x(self, runs: pd.DataFrame) -> np.ndarray:
        return (_columns(runs, self.usual, self.forms) - self.middle) / self.scale


@dataclass(frozen=True)
class Calibration:
    """What turns an order into ratios.

    Args:
        line: From standings, gaps and forms to ratios.
        spreads: Form of students → σ; "" is that of a form that was not seen.
        widening: So many standard deviations from the middle to an end; NaN where there is no interval.
        most: Between these two ratios lie 80 % of past runs.
        alone: What serves in its place where it is known what the student reaches alone; None: nowhere.
    """

    line: Line
    spreads: dict[str, float]
    widening: float
    most: tuple[float, float]
    alone: Calibration | None = None

    def __call__(
        self,
        standings: np.ndarray,
        table: RunTable,
        outside: np.ndarray | None = None,
        reached: np.ndarray | None = None,
    ) -> np.ndarray:
        """Low, middle and high ratio of candidates (n, 3); low and high are NaN without an interval.

        Args:
            standings: Of each candidate in the order (n,).
            table: The candidates.
            outside: Candidates that hardly any past run is like (n,), none where absent. Their interval is no narrower
                than that of the form of students that spreads most, and holds most past ratios and that of the Bi-LSTM,
                or the student, without a teacher.
            reached: Lowest and highest ratio of the few runs that are like them, which it holds too; NaN: none (n, 2).
        """
        runs = conditions(table).assign(standing=standings)
        far = np.zeros(len(runs), bool) if outside is None else outside
        found = self._intervals(runs, far, reached)
        if self.alone is not None:
            known = runs.alone.notna().to_numpy()[:, None]
            found = np.where(known, self.alone._intervals(runs, far, reached), found)
        return found

    def _intervals(self, runs: pd.DataFrame, far: np.ndarray, reached: np.ndarray | None) -> np.ndarray:
        middle = self.line(runs)
        spreads = runs.form.map(self.spreads).fillna(self.spreads[""]).to_numpy(float)
        half = self.widening * np.where(far, max(self.spreads.values()), spreads) * self.line.units(runs)
        low, high = middle - half, middle + half
        if far.any() and np.isfinite(self.widening):
            untaught = 1 - _first_gap(runs, self.line.usual)
            held = np.column_stack([untaught, np.broadcast_to(self.most, (len(runs), 2))])
            held = held if reached is None else np.column_stack([held, reached])
            low = np.where(far, np.fmin(low, np.nanmin(held, axis=1)), low)
            high = np.where(far, np.fmax(high, np.nanmax(held, axis=1)), high)
        return np.stack([low, middle, high], axis=1)


def calibrate(table: RunTable, standings: np.ndarray) -> Calibration:
    """Learns ratios from past runs and their standings by predictors that had not seen their datasets (n,)."""
    past = conditions(table).assign(dataset=table.runs.dataset, ratio=table.runs.ratio.astype(float))
    past = past.assign(standing=standings)[past.ratio.notna()]
    known = past[past.alone.notna()]
    alone = _calibrated(known, BY_STUDENT) if known.dataset.nunique() >= FEWEST_DATASETS else None
    return replace(_calibrated(past, BY_BILSTM), alone=alone)


def _calibrated(past: pd.DataFrame, gaps: Sequence[str]) -> Calibration:
    """With these gaps."""
    past = past.assign(weight=1 / (past.groupby("dataset").ratio.transform("size") + FEW_RUNS))
    found = [_checked(past, gaps, least_spread) for least_spread in LEAST_SPREADS]
    return max(found, key=lambda each: each[0])[1]


def _checked(past: pd.DataFrame, gaps: Sequence[str], least_spread: float) -> tuple[float, Calibration]:
    """How probable left-out datasets are with this c (their mean log-likelihood), and what follows from it."""
    line, errors = _fitted(past, gaps, least_spread), np.full(len(past), np.nan)
    names = past.dataset.unique()
    for name in names if len(names) > 1 else ():
        inside = (past.dataset == name).to_numpy()
        other = _fitted(past[~inside], gaps, least_spread)
        errors[inside] = (past.ratio[inside] - other(past[inside])) / other.units(past[inside])
    if len(names) < FEWEST_DATASETS:
        return 0.0, Calibration(line, {"": np.nan}, np.nan, (np.nan, np.nan))
    weights, spreads = past.weight.to_numpy(), _spreads(past, errors)
    expected = past.form.map(spreads).to_numpy()
    probable = -0.5 * (errors / expected) ** 2 - np.log(expected * line.units(past))
    widening = _widening(past.dataset.to_numpy(), np.abs(errors) / expected, weights)
    low, high = weighted_quantiles(past.ratio.to_numpy(), weights, (0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2))
    return float(np.average(probable, weights=weights)), Calibration(line, spreads, widening, (low, high))


def _spreads(past: pd.DataFrame, errors: np.ndarray) -> dict[str, float]:
    """σ of each form of students, near that of all where few datasets know it."""
    squares = pd.Series(errors**2 * past.weight, past.index)
    every = squares.sum() / past.weight.sum()
    found = {"": every}
    for form, own in past.groupby("form"):
        count = own.dataset.nunique()
        mean = squares[own.index].sum() / own.weight.sum()
        found[str(form)] = (count * mean + FEW_DATASETS * every) / (count + FEW_DATASETS)
    return {form: max(math.sqrt(variance), 1e-6) for form, variance in found.items()}


def _widening(datasets: np.ndarray, distances: np.ndarray, weights: np.ndarray) -> float:
    """The distance that holds 80 % of left-out runs, 80 % of those of 80 % of datasets, and 60 % of those of each."""
    (of_runs,) = weighted_quantiles(distances, weights, (COVERAGE,))
    each = [distances[datasets == name] for name in np.unique(datasets)]
    of_datasets = sorted(np.quantile(own, COVERAGE) for own in each)
    place = min(math.ceil((len(each) + 1) * COVERAGE), len(each)) - 1
    of_every = max(np.quantile(own, LEAST_COVERAGE) for own in each)
    return max(float(of_runs), float(of_datasets[place]), float(of_every))


def _fitted(past: pd.DataFrame, gaps: Sequence[str], least_spread: float) -> Line:
    """The line through past runs."""
    usual = {name: float(past[name].median()) if past[name].notna().any() else 1.0 for name in gaps}
    forms = sorted(past.form.unique())
    weights = past.weight.to_numpy() / _units(past, usual, least_spread) ** 2
    weights = weights / weights.sum()
    x = _columns(past, usual, forms)
    middle = weights @ x
    scale = np.sqrt(weights @ (x - middle) ** 2)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x, level = (x - middle) / scale, float(weights @ past.ratio)
    datasets = past.dataset.nunique()
    inverse = np.linalg.inv((x.T * weights) @ x + RIDGE / datasets * np.eye(x.shape[1]))
    slopes = inverse @ ((x.T * weights) @ (past.ratio - level))
    return Line(usual, forms, middle, scale, level, slopes, inverse / datasets, least_spread)


def _columns(runs: pd.DataFrame, usual: dict[str, float], forms: list[str]) -> np.ndarray:
    """What ratios are a line of: standing and gaps, and for each form itself and both of its own (n, columns)."""
    known = np.column_stack([runs.standing, *(runs[name].fillna(gap) for name, gap in usual.items())])
    own = [np.column_stack([np.ones(len(runs)), known]) * (runs.form == form).to_numpy()[:, None] for form in forms]
    return np.concatenate([known, *own], axis=1)


def _units(runs: pd.DataFrame, usual: dict[str, float], least_spread: float) -> np.ndarray:
    gap = _first_gap(runs, usual).clip(SMALLEST_GAP)
    return np.hypot(least_spread, gap) / math.hypot(least_spread, 1)


def _first_gap(runs: pd.DataFrame, usual: dict[str, float]) -> np.ndarray:
    name, gap = next(iter(usual.items()))
    return runs[name].fillna(gap).to_numpy()


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Quantiles of weighted values, linear between the middles of their weights (levels,)."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return np.interp(levels, (sums - weights[order] / 2) / sums[-1], values[order])


def left_out_standings(fit: Fit, rank: Rank, table: RunTable) -> np.ndarray:
    """The standing of each past run by a predictor fitted without its dataset (n,); some `rank`s know it already."""
    if (known := getattr(rank, "left_out", None)) is not None:
        return known
    standings = np.zeros(len(table.runs))
    if len(table.names) > 1:  # else nothing is left to learn from: no order
        for name, _, left_out in folds(fit, table):
            standings[table.runs.dataset == name] = left_out
    return standings
