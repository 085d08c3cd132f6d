"""Where datasets lie, for a predictor: scales and document frequencies are learned from past datasets alone.

Decided here: which descriptors count, and that sizes are compared by their logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autodistill.datasets.embedding import embed, inverse_frequencies
from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.ranking.past import RunTable
from engine.data.task import TASK_KINDS


@dataclass(frozen=True)
class DatasetSpace:
    """Learned from past datasets, to place others among them: words' IDF (W,), scales of the descriptors (F,)."""

    idf: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of(cls, table: RunTable) -> DatasetSpace:
        """Learned from the datasets that `table` has runs of."""
        known = [table.datasets[name] for name in table.names if name in table.datasets]
        idf = inverse_frequencies([dataset.words for dataset in known], table.vectors)
        if not known:
            return cls(idf, np.zeros(1), np.ones(1))
        numbers = np.array([_numbers(dataset) for dataset in known])
        numbers[:, np.isnan(numbers).all(axis=0)] = 0.0
        deviations = np.nanstd(numbers, axis=0)
        return cls(idf, np.nanmean(numbers, axis=0), np.where(deviations > 0, deviations, 1.0))

    def descriptors(self, table: RunTable, name: str) -> np.ndarray:
        """Descriptors of a dataset, standardised; NaN where nothing is known of it (F,)."""
        if name not in table.datasets:
            return np.full(len(self.means), np.nan)
        return np.nan_to_num((_numbers(table.datasets[name]) - self.means) / self.deviations)

    def embedding(self, table: RunTable, name: str) -> np.ndarray:
        """The embedding of a dataset's texts beside that of its task, each of length 1 (2D,)."""
        if name not in table.datasets:
            return np.full(2 * table.vectors.matrix.shape[1], np.nan)
        dataset = table.datasets[name]
        task = count_words([dataset.descriptors.description])
        parts = [embed(words, self.idf, table.vectors) for words in (dataset.words, task)]
        return np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts])

    def similarity(self, place: np.ndarray, table: RunTable, name: str) -> float:
        """Cosine of a dataset's texts with another one's; the sentences about their tasks do not count."""
        width = len(place) // 2
        return float(np.nan_to_num(place[:width] @ self.embedding(table, name)[:width]))


def _numbers(dataset: Dataset) -> np.ndarray:
    """The descriptors that datasets are compared by (F,); NaN for what is not known."""
    known = dataset.descriptors
    sizes = (known.n_train, 1 + known.labels, 1 + known.words_mean, 1 + known.words_deviation)
    baseline = np.nan if known.bilstm_score is None else known.bilstm_score
    kinds = [float(known.task_kind == kind) for kind in TASK_KINDS]
    return np.array([*np.log(sizes), known.label_entropy, known.type_token_ratio, baseline, known.pair, *kinds])


def nearest(table: RunTable, name: str) -> Mapping[str, float]:
    """Dataset with runs → cosine of its embedding with that of `name`, nearest first."""
    space = DatasetSpace.of(table)
    others = [other for other in table.names if other in table.datasets and other != name]
    cosines = {other: space.similarity(space.embedding(table, other), table, name) for other in others}
    return dict(sorted(cosines.items(), key=lambda pair: -pair[1]))
