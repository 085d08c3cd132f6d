"""What a predictor learns from, and what it is measured by.

Decided here: the target. Ratios of different datasets are not comparable, so a run's target is its rank among the
runs of its dataset, mapped to a Gaussian: 0 is the middle, 1 one standard deviation above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import pandas as pd
from scipy.special import ndtri

from autodistill.datasets.embedding import WordVectors
from autodistill.datasets.known import Dataset
from autodistill.history.table import GROUP, MODEL_COLUMNS, REMARKS, STACKS, is_pipeline_column

MODELS = ["teacher", "student"]
FEWEST = 5
"""Least number of runs of which an order is worth a correlation."""
FEWEST_DATASETS = 3
"""Runs of fewer datasets say nothing of others: an interval that was checked on fewer is not given."""
OUTCOMES = ["score", "ratio", "seconds", *REMARKS]
"""What a run shows only afterwards, and what nobody predicts from."""


HALF_A_LAYER = 0.5
"""What a model without layers is taken for, where logarithms of sizes are compared."""


@dataclass(frozen=True)
class RunTable:
    """Runs in the columns of `history.table`, and what is known of their datasets; candidates have no outcome."""

    runs: pd.DataFrame
    datasets: Mapping[str, Dataset]
    vectors: WordVectors

    def without(self, dataset: str) -> RunTable:
        """The same without the runs of a dataset."""
        return replace(self, runs=self.runs[self.runs.dataset != dataset])

    def of(self, dataset: str) -> RunTable:
        """The runs of one dataset, their outcomes taken away."""
        runs = self.runs[self.runs.dataset == dataset]
        return replace(self, runs=runs.drop(columns=OUTCOMES, errors="ignore"))

    @property
    def names(self) -> list[str]:
        """Datasets that there are runs of."""
        return sorted(self.runs.dataset.unique())


Rank = Callable[[RunTable], np.ndarray]
"""Candidate runs in → the standing of each in their order, in the unit of the target (n,)."""
Fit = Callable[[RunTable], Rank]
"""Past runs in → what ranks candidates."""


def folds(fit: Fit, table: RunTable) -> Iterator[tuple[str, Rank, np.ndarray]]:
    """Leaves each dataset out in turn: its name, what is fitted on the others, and its runs' standings."""
    for name in table.names:
        rank = fit(table.without(name))
        yield name, rank, rank(table.of(name))


def gaussian_ranks(values: pd.Series) -> pd.Series:
    """Ranks mapped to a Gaussian, y = Φ⁻¹((rank − ½) / n); equal values share a rank, missing ones stay missing.

    Example:
        >>> [round(value, 3) for value in gaussian_ranks(pd.Series([0.9, 0.5, 0.7]))]
        [0.967, -0.967, 0.0]
    """
    return pd.Series(ndtri((values.rank() - 0.5) / values.count()), index=values.index)


def target(runs: pd.DataFrame) -> pd.Series:
    """Each run's rank among those that its ratio can be compared with."""
    return runs.groupby(GROUP).ratio.transform(gaussian_ranks)


def spearman(predicted: pd.Series, actual: pd.Series) -> float:
    """Spearman's ρ; 0 where all predictions are equal, NaN where all actual values are, or one is missing."""
    from scipy.stats import spearmanr  # takes most of a second

    if actual.nunique() < 2:
        return np.nan
    return float(spearmanr(predicted, actual).statistic) if predicted.nunique() > 1 else 0.0


def over_groups(runs: pd.DataFrame, measure: Callable[[pd.DataFrame], Mapping[str, float]]) -> pd.Series:
    """Means of what is measured of each group of comparable runs, `FEWEST` at least, weighted by their number."""
    groups = [group for _, group in runs.groupby(GROUP) if len(group) >= FEWEST]
    values = pd.DataFrame([measure(group) for group in groups])
    weights = values.notna().mul([len(group) for group in groups], axis=0)
    return (values * weights).sum() / weights.sum()


def rank_correlations(runs: pd.DataFrame, standings: np.ndarray) -> dict[str, float]:
    """Dataset → Spearman's ρ of standings (n,) with the ratio, `over_groups`; datasets that cannot tell are absent."""
    found = {
        str(name): over_groups(each, lambda group: {"rho": spearman(group.standing, group.ratio)}).get("rho", np.nan)
        for name, each in runs.assign(standing=standings).groupby("dataset")
    }
    return {name: float(rho) for name, rho in found.items() if np.isfinite(rho)}


def commonest_pair(runs: pd.DataFrame) -> tuple[str, str]:
    """The teacher and student with the most runs."""
    teacher, student = runs.value_counts(MODELS).index[0]
    return str(teacher), str(student)


def of_pair(runs: pd.DataFrame, pair: tuple[str, str]) -> pd.Series:
    """Which runs are of a teacher and student (n,)."""
    return (runs[MODELS] == list(pair)).all(axis=1)


def configuration_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that say what was run: models and pipeline, nothing twice."""
    return [*MODELS, *(name for name in runs.columns if is_pipeline_column(name) and name not in STACKS)]


def varying_columns(runs: pd.DataFrame) -> list[str]:
    """The columns of the configuration that have several values."""
    return [name for name in configuration_columns(runs) if runs[name].nunique(dropna=False) > 1]


def configurations(runs: pd.DataFrame) -> pd.Series:
    """One value for each different configuration, equal for repeats and across datasets."""
    return joined(runs[configuration_columns(runs)])


def joined(cells: pd.DataFrame) -> pd.Series:
    """The cells of each row as one word."""
    words = as_words(cells)
    columns = (words.iloc[:, place] for place in range(words.shape[1]))
    return pd.Series(["\x1f".join(row) for row in zip(*columns, strict=True)], cells.index, dtype=object)


def as_words(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells as text: an equal number is the same word however it is stored, nothing is the empty one."""
    return pd.DataFrame({name: _as_words(column) for name, column in cells.items()}, cells.index, dtype=object)


def _as_words(cells: pd.Series) -> np.ndarray:
    """Of a column, whose few different cells are looked at once (n,)."""
    codes, different = pd.factorize(cells.astype(object))
    words = [str(float(cell) if isinstance(cell, Real) else cell) for cell in different]
    return np.array([*words, ""], dtype=object)[codes]  # nothing has the code −1


def log_sizes(runs: pd.DataFrame) -> pd.DataFrame:
    """The logarithms of the models' sizes; NaN: missing.

    Example:
        >>> runs = pd.DataFrame({name: [1.0, 0.0] for name in MODEL_COLUMNS})
        >>> log_sizes(runs).student_layers.round(3).tolist()
        [0.0, -0.693]
    """
    return runs[[*MODEL_COLUMNS]].astype(float).clip(lower=HALF_A_LAYER).map(np.log)
