"""Predictors without a model: what everything else has to beat.

Each remembers how exact configurations did on past datasets; one that it has never seen stands in the
middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.past import RunTable, configuration_columns, configurations, target

PORTFOLIO_SIZE = 10


@dataclass(frozen=True)
class Remembered:
    """Ranks candidates by a value remembered for each configuration.

    Args:
        columns: The configuration's columns, as they were when it was learned.
        values: Configuration → value.
        unseen: For a configuration without one.
    """

    columns: tuple[str, ...]
    values: dict[str, float]
    unseen: float = 0.0

    def __call__(self, candidates: RunTable) -> np.ndarray:
        """How high each candidate stands (n,)."""
        keys = configurations(candidates.runs.reindex(columns=list(self.columns)))
        return keys.map(self.values).fillna(self.unseen).to_numpy(dtype=float)


def random_order(table: RunTable) -> RandomOrder:
    """Any order; what is reported for it is the mean over orders."""
    return RandomOrder()


@dataclass(frozen=True)
class RandomOrder:
    """A random order, the same for the same candidates."""

    seed: int = 0

    def __call__(self, candidates: RunTable) -> np.ndarray:
        """How high each candidate stands (n,)."""
        return np.random.default_rng([self.seed, len(candidates.runs)]).standard_normal(len(candidates.runs))


def _scores(table: RunTable) -> pd.DataFrame:
    """Dataset × configuration → mean target, missing where it was not run."""
    runs = table.runs
    scores = pd.DataFrame({"dataset": runs.dataset, "key": configurations(runs), "target": target(runs)})
    return scores.pivot_table(index="dataset", columns="key", values="target", aggfunc="mean")


def mean_rank(table: RunTable) -> Remembered:
    """By the mean rank of the exact configuration over the other datasets."""
    return _remembered(table, _scores(table).mean())


def portfolio(table: RunTable) -> Remembered:
    """Configurations of which one or another does well on every dataset, picked one after another.

    Each pick raises the mean over datasets of the best value so far the most (a greedy portfolio,
    Xu et al. 2010); after them come the others by mean rank.
    """
    scores = _scores(table)
    lowest = float(scores.min().min())
    order = scores.mean().rank(pct=True)
    best = pd.Series(lowest, index=scores.index)
    chosen: list[str] = []
    for _ in range(min(PORTFOLIO_SIZE, scores.shape[1])):
        gains = scores.clip(lower=best, axis=0).sub(best, axis=0).sum()
        pick = (gains.drop(chosen) + 1e-9 * order.drop(chosen)).idxmax()
        chosen.append(str(pick))
        best = best.combine(scores[pick].fillna(lowest), max)
    order[chosen] = 2 + np.arange(len(chosen))[::-1]
    return _remembered(table, order, unseen=0.5)


@dataclass(frozen=True)
class NearestDataset:
    """Ranks candidates as the dataset did that lies nearest to theirs.

    Args:
        space: Where datasets lie.
        by_dataset: Dataset → its place, and the ranks of its configurations.
        fallback: For what no dataset has run, and for a dataset of which nothing is known.
    """

    space: DatasetSpace
    by_dataset: dict[str, tuple[np.ndarray, Remembered]]
    fallback: Remembered

    def __call__(self, candidates: RunTable) -> np.ndarray:
        """How high each candidate stands (n,)."""
        found = self.fallback(candidates)
        for name in candidates.names:
            rows = (candidates.runs.dataset == name).to_numpy()
            part = replace(candidates, runs=candidates.runs[rows])
            farthest_first = sorted(
                self.by_dataset.values(), key=lambda known: self.space.similarity(known[0], part, name)
            )
            for _, remembered in farthest_first:
                near = remembered(part)
                found[rows] = np.where(np.isnan(near), found[rows], near)
        return found


def nearest_dataset(table: RunTable) -> NearestDataset:
    """By the rank on the nearest dataset that has run the configuration."""
    space = DatasetSpace.of(table)
    by_dataset = {
        str(name): (space.embedding(table, str(name)), _remembered(table, row.dropna(), np.nan))
        for name, row in _scores(table).iterrows()
        if name in table.datasets
    }
    return NearestDataset(space, by_dataset, mean_rank(table))


def _remembered(table: RunTable, values: pd.Series, unseen: float = 0.0) -> Remembered:
    return Remembered(
        tuple(configuration_columns(table.runs)),
        {str(key): float(value) for key, value in values.items()},
        unseen,
    )
