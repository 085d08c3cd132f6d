"""The datasets that are known: those that come with the project, and the user's own.

Decided here: what makes two datasets one. A dataset that comes with the project is known by the fingerprint of its rows
or by the hub name that was asked for; any other by its fingerprint. What a file is called proves nothing.
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
        return known_as(known.dataset, known.fingerprint, known.hub)


@cache
def shipped_datasets() -> Mapping[str, Dataset]:
    """Name → dataset, of those that the project's own tables speak of."""
    rows = pd.read_csv(DATASETS).to_dict("records")
    with np.load(WORDS, allow_pickle=False) as parts:
        known = [Dataset(Descriptors.model_validate(row), WordCounts.of(parts, f"{row['dataset']}.")) for row in rows]
    return {dataset.descriptors.dataset: dataset for dataset in known}


@cache
def _shipped_names() -> Mapping[str, str]:
    """Fingerprint or hub name → name of the dataset that comes with the project."""
    known = {name: dataset.descriptors for name, dataset in shipped_datasets().items()}
    return {key: name for name, each in known.items() for key in (each.fingerprint, each.hub)}


def known_as(name: str, fingerprint: str, hub: str = "") -> str:
    """What the runs of one dataset are known by: the name of one that comes with the project, else name@fingerprint.

    Args:
        name: What the user calls it; all that there is where it has no fingerprint.

    Example:
        >>> known_as("cola", "2c7e1b0f55d0a1b2"), known_as("cola", "2c7e1b0f55d0a1b2", "nyu-mll/glue/cola")
        ('cola@2c7e1b0f', 'cola')
    """
    names = _shipped_names()
    if shipped := names.get(fingerprint) or names.get(hub):
        return shipped
    return dataset_name(f"{name}@{fingerprint[:8]}" if fingerprint else name)


def one_name_each(identities: Iterable[str]) -> dict[str, str]:
    """Identity → the first one with the same fingerprint: a dataset may have been called differently.

    Example:
        >>> one_name_each(["films@3f2a", "cola", "reviews@3f2a"])
        {'films@3f2a': 'films@3f2a', 'cola': 'cola', 'reviews@3f2a': 'films@3f2a'}
    """
    first: dict[str, str] = {}
    return {each: first.setdefault(each.partition("@")[2] or each, each) for each in identities}
