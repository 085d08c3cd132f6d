"""Predictors without a model, which every other one has to beat.

Each remembers how exact configurations did on past datasets; one that it has never seen stands in the middle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.past import Rank, RunTable, configuration_columns, configurations, target

PORTFOLIO_SIZE = 10


@dataclass(frozen=True)
class Remembered:
    """Ranks candidates by the value of their configuration, made of `columns`; by `unseen` where it has none."""

    columns: list[str]
    values: pd.Series
    unseen: float = 0.0

    def __call__(self, candidates: RunTable) -> np.ndarray:
        keys = configurations(candidates.runs.reindex(columns=self.columns))
        return keys.map(self.values).fillna(self.unseen).to_numpy(dtype=float)


def random_order(table: RunTable) -> Rank:
    """A random order, the same for as many candidates."""
    return _shuffled


def _shuffled(candidates: RunTable) -> np.ndarray:
    return np.random.default_rng([0, len(candidates.runs)]).standard_normal(len(candidates.runs))


def _scores(table: RunTable) -> pd.DataFrame:
    """Dataset × configuration → mean target, missing where it was not run."""
    runs = table.runs
    scores = pd.DataFrame({"dataset": runs.dataset, "key": configurations(runs), "target": target(runs)})
    return scores.pivot_table(index="dataset", columns="key", values="target", aggfunc="mean")


def mean_rank(table: RunTable) -> Remembered:
    """By the mean rank of the exact configuration over the other datasets."""
    return Remembered(configuration_columns(table.runs), _scores(table).mean())


def portfolio(table: RunTable) -> Remembered:
    """Configurations of which one or another does well on every dataset, picked one after another.

    Each pick raises the mean over datasets of the best value so far the most (a greedy portfolio, Xu et al. 2010);
    after them come the others by mean rank.
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
        best = best.clip(lower=scores[pick].fillna(lowest))
    order[chosen] = 2 + np.arange(len(chosen))[::-1]
    return Remembered(configuration_columns(table.runs), order, unseen=0.5)


@dataclass(frozen=True)
class NearestDataset:
    """Ranks candidates as they did on the nearest dataset that has run them (`scores`); else by their mean rank."""

    columns: list[str]
    scores: pd.DataFrame
    space: DatasetSpace
    embeddings: Mapping[str, np.ndarray]

    def __call__(self, candidates: RunTable) -> np.ndarray:
        standings = np.zeros(len(candidates.runs))
        for name in candidates.names:
            rows = (candidates.runs.dataset == name).to_numpy()
            part = replace(candidates, runs=candidates.runs[rows])
            similar = {other: self.space.similarity(there, part, name) for other, there in self.embeddings.items()}
            farthest_first = self.scores.loc[sorted(similar, key=similar.__getitem__)]
            nearest = farthest_first.ffill().tail(1).mean().fillna(self.scores.mean())
            standings[rows] = Remembered(self.columns, nearest)(part)
        return standings


def nearest_dataset(table: RunTable) -> NearestDataset:
    """By the rank on the nearest dataset that has run the configuration."""
    space, scores = DatasetSpace.of(table), _scores(table)
    embeddings = {str(name): space.embedding(table, name) for name in scores.index if name in table.datasets}
    return NearestDataset(configuration_columns(table.runs), scores, space, embeddings)
