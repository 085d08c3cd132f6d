"""The datasets that are known: those that come with the project, and the user's own."""

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
    rows = pd.read_csv(DATASETS).to_dict("records")
    with np.load(WORDS, allow_pickle=False) as parts:
        known = [Dataset(Descriptors.model_validate(row), WordCounts.of(parts, f"{row['dataset']}.")) for row in rows]
    return {dataset.name: dataset for dataset in known}


def known_datasets(own: Iterable[Dataset]) -> dict[str, Dataset]:
    """Shipped datasets and a user's own; of two with the same name the later one counts."""
    return dict(shipped_datasets()) | {dataset.name: dataset for dataset in own}
