"""The datasets that are known: those that come with the project, and the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from autodistill.datasets.descriptors import Descriptors
from autodistill.datasets.words import WordCounts
from meta_data import DATASETS, WORDS


@dataclass(frozen=True)
class Dataset:
    """Everything that the meta layer knows of a dataset."""

    descriptors: Descriptors
    words: WordCounts

    @property
    def name(self) -> str:
        """As `dataset_name` spells it."""
        return self.descriptors.dataset


@cache
def shipped_datasets() -> Mapping[str, Dataset]:
    """Name → dataset, of those that the project's own tables speak of."""
    table = pd.read_csv(DATASETS).astype(object)
    records = table.where(table.notna(), None).to_dict("records")
    with np.load(WORDS, allow_pickle=False) as parts:
        words = {
            name: WordCounts(
                parts[f"{name}.hashes"], parts[f"{name}.counts"].astype(np.int64), int(parts[f"{name}.total"])
            )
            for name in table.dataset
        }
    described = (
        Descriptors.model_validate({key: value for key, value in row.items() if value is not None})
        for row in records
    )
    return {known.dataset: Dataset(known, words[known.dataset]) for known in described}


def known_datasets(own: Iterable[Dataset]) -> dict[str, Dataset]:
    """Shipped datasets and a user's own; of two with the same name the later one counts."""
    return dict(shipped_datasets()) | {dataset.name: dataset for dataset in own}
