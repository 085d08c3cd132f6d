"""What a predictor learns from, and what it is asked.

Decided here: the target. Ratios of different datasets are not comparable, so a run's target is its rank
among the runs of its dataset, mapped to a Gaussian: 0 is the middle, 1 one standard deviation above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from autodistill.history.table import GROUP, STACKS, is_pipeline_column

if TYPE_CHECKING:
    from autodistill.datasets.embedding import WordVectors
    from autodistill.datasets.known import Dataset

MODELS = ["teacher", "student"]
FEWEST = 5
"""Least number of runs of which an order is worth a correlation."""
OUTCOMES = ["score", "ratio", "seconds"]
"""What a run shows only afterwards."""


@dataclass(frozen=True)
class RunTable:
    """Runs, past ones or candidates, with what is known of their datasets before anything is run on them.

    Args:
        runs: A row a run, in the columns of `history.table`; candidates have no outcome.
        datasets: By name; some may be missing.
        vectors: The set of word vectors in which datasets are embedded.
    """

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
"""Candidate runs in → how high each stands, in the unit of the target (n,)."""
Fit = Callable[[RunTable], Rank]
"""Past runs in → what ranks candidates."""


def gaussian_ranks(values: pd.Series) -> pd.Series:
    """Ranks mapped to a Gaussian; equal values share a rank, missing ones stay missing.

    Equation:
        y = Φ⁻¹((rank − ½) / n)

    Example:
        >>> [round(value, 3) for value in gaussian_ranks(pd.Series([0.9, 0.5, 0.7]))]
        [0.967, -0.967, 0.0]
    """
    return pd.Series(norm.ppf((values.rank() - 0.5) / values.count()), index=values.index)


def target(runs: pd.DataFrame) -> pd.Series:
    """Each run's rank among those that its ratio can be compared with."""
    return runs.groupby(GROUP).ratio.transform(gaussian_ranks)


def agreement(runs: pd.DataFrame, places: np.ndarray) -> np.ndarray:
    """Rank correlation of places in an order with what came out, of each dataset with a few runs (datasets,).

    0 for an order without differences.
    """
    both = pd.DataFrame({"place": places, "target": target(runs)}, index=runs.index)
    ranked = both.groupby(runs.dataset).rank().groupby(runs.dataset)
    groups = [group.to_numpy().T for _, group in ranked if len(group) >= FEWEST]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.array([np.corrcoef(group)[0, 1] for group in groups]))


def configuration_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that say what was run: models and pipeline, nothing twice."""
    return [*MODELS, *(name for name in runs.columns if is_pipeline_column(name) and name not in STACKS)]


def configurations(runs: pd.DataFrame) -> pd.Series:
    """One value for each different configuration, equal for repeats and across datasets."""
    return as_words(runs[configuration_columns(runs)]).agg("\x1f".join, axis=1)


def as_words(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells as text: an equal number is the same word however it is stored, nothing is the empty one."""
    return cells.astype(object).map(_word)


def _word(cell: Any) -> str:
    if pd.isna(cell):
        return ""
    return str(float(cell)) if isinstance(cell, Real) else str(cell)
