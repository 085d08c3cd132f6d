"""The datasets that come with the project, and a user's own beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autodistill.datasets.embedding import GLOVE, embed, inverse_frequencies, load_vectors
from autodistill.datasets.known import Dataset, known_datasets, shipped_datasets
from autodistill.datasets.words import count_words, word_hashes
from autodistill.history.read import read_runs
from engine.data.task import TASK_KINDS

SHIPPED = shipped_datasets()


def own(name: str, description: str = "Say which.") -> Dataset:
    first = next(iter(SHIPPED.values())).descriptors
    return Dataset(first.model_copy(update={"dataset": name, "description": description}), count_words([name]))


def test_there_is_one_for_each_dataset_of_the_published_table() -> None:
    assert sorted(SHIPPED) == sorted(set(read_runs("published").frame.dataset))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_dataset_is_described_in_full(name: str) -> None:
    dataset = SHIPPED[name]
    found = dataset.descriptors
    assert dataset.name == found.dataset == name
    assert found.fingerprint
    assert found.description.endswith(".")
    assert found.bilstm_score is not None
    assert found.task_kind in TASK_KINDS
    assert bool(found.labels) == (found.task_kind == "classification")


def test_shipped_counts_are_of_the_types_of_others() -> None:
    counted = count_words(["some words"])
    for words in (dataset.words for dataset in SHIPPED.values()):
        assert (words.hashes.dtype, words.counts.dtype) == (counted.hashes.dtype, counted.counts.dtype)
        assert type(words.total) is type(counted.total)


def test_they_are_words_of_english() -> None:
    the, unheard = word_hashes(["the", "blorptification"])
    for dataset in SHIPPED.values():
        assert the in dataset.words.hashes
        assert unheard not in dataset.words.hashes


def test_no_two_lie_at_the_same_place(tmp_path: Path) -> None:
    vectors, words = load_vectors(GLOVE, tmp_path), [dataset.words for dataset in SHIPPED.values()]
    idf = inverse_frequencies(words, vectors)
    places = [embed(counts, idf, vectors) for counts in words]
    assert np.isfinite(places).all()
    assert len(np.unique(np.round(places, 6), axis=0)) == len(SHIPPED)


def test_a_user_s_own_datasets_are_added() -> None:
    known = known_datasets([own("mine")])
    assert set(known) == {*SHIPPED, "mine"}
    assert known["sst2"] == SHIPPED["sst2"]


def test_of_two_with_one_name_the_later_counts() -> None:
    first, second = own("sst2", "First."), own("sst2", "Second.")
    assert known_datasets([first, second])["sst2"] is second
    assert SHIPPED["sst2"].descriptors.description not in ("First.", "Second.")
