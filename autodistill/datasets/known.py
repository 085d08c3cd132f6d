"""The datasets that are known: those that come with the project, and the user's own.

Decided here: what makes two datasets one. A dataset that comes with the project is known by the hub name that was asked
for or by its rows; any other by its rows. These are the training rows of its source as they came, so a sample, another
split or another metric is the same dataset; a record of before says the fingerprint of its task alone, and is known by
that. What a file is called proves nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from autodistill.datasets.descriptors import Descriptors, dataset_name
from autodistill.datasets.words import WordCounts
from meta_data import DATASETS, WORDS


@dataclass(frozen=True)
class Dataset:
    """Everything that the meta layer knows of a dataset."""

    descriptors: Descriptors
    words: WordCounts

    @property
    def name(self) -> str:
        """What its runs are known by (`known_as`)."""
        known = self.descriptors
        return known_as(known.dataset, known.fingerprint, known.source, known.hub)

    @property
    def aliases(self) -> set[str]:
        """All that its runs may be known by: records of before say nothing of their source, nor of the hub."""
        known = self.descriptors
        return {self.name, *(known_as(known.dataset, rows) for rows in (known.fingerprint, known.source) if rows)}


@cache
def shipped_datasets() -> Mapping[str, Dataset]:
    """Name → dataset, of those that the project's own tables speak of."""
    rows = pd.read_csv(DATASETS).to_dict("records")
    with np.load(WORDS, allow_pickle=False) as parts:
        known = [Dataset(Descriptors.model_validate(row), WordCounts.of(parts, f"{row['dataset']}.")) for row in rows]
    return {dataset.descriptors.dataset: dataset for dataset in known}


@cache
def _shipped_names() -> Mapping[str, str]:
    """Hub name, source or fingerprint → name of the dataset that comes with the project."""
    known = {name: dataset.descriptors for name, dataset in shipped_datasets().items()}
    return {key: name for name, each in known.items() for key in (each.hub, each.source, each.fingerprint) if key}


def known_as(name: str, fingerprint: str, source: str = "", hub: str = "") -> str:
    """What the runs of one dataset are known by: the name of one that comes with the project, else name@source.

    Args:
        name: What the user calls it; all that there is where nothing is known of its rows.
        fingerprint: Of the task; stands for the source where that is not known.

    Example:
        >>> known_as("cola", "2c7e1b0f55d0a1b2"), known_as("cola", "2c7e1b0f55d0a1b2", "90d3f00c17a5be42")
        ('cola@2c7e1b0f', 'cola@90d3f00c')
        >>> known_as("films", "2c7e1b0f55d0a1b2", "90d3f00c17a5be42", "nyu-mll/glue/cola")
        'cola'
    """
    shipped = _shipped_names()
    if found := next((shipped[key] for key in (hub, source, fingerprint) if key in shipped), None):
        return found
    rows = source or fingerprint
    return dataset_name(f"{name}@{rows[:8]}" if rows else name)


def one_name_each(identities: Iterable[str]) -> dict[str, str]:
    """Identity → the first one of the same rows: a dataset may have been called differently.

    Example:
        >>> one_name_each(["films@3f2a", "cola", "reviews@3f2a"])
        {'films@3f2a': 'films@3f2a', 'cola': 'cola', 'reviews@3f2a': 'films@3f2a'}
    """
    first: dict[str, str] = {}
    return {each: first.setdefault(rows_of(each), each) for each in identities}


def rows_of(identity: str) -> str:
    """The part of an identity that says which rows they are; the name of a dataset that comes with the project."""
    return identity.partition("@")[2] or identity
