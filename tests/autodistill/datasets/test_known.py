"""The datasets that come with the project, and a user's own beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodistill.datasets.descriptors import describe
from autodistill.datasets.embedding import GLOVE, embed, inverse_frequencies, load_vectors
from autodistill.datasets.known import Dataset, known_as, one_name_each, shipped_datasets
from autodistill.datasets.words import count_words, word_hashes
from autodistill.history.read import read_runs
from engine.data.load import load_task
from engine.data.task import TASK_KINDS

SHIPPED = shipped_datasets()


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


# --- which dataset it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_dataset_is_recognised_by_its_rows_and_by_its_hub_name(name: str) -> None:
    known = SHIPPED[name].descriptors
    assert known_as("films", known.fingerprint) == name
    assert known_as("films", "0123456789abcdef", known.source) == name
    assert known_as("films", "0123456789abcdef", "fedcba9876543210", known.hub) == name


@pytest.mark.shared
def test_a_sample_of_the_rows_that_were_measured_is_the_shipped_dataset(shared: Path) -> None:
    sample = describe(load_task(shared / "datasets" / "mrpc", max_train=100, metric="accuracy"))
    assert sample.fingerprint != SHIPPED["mrpc"].descriptors.fingerprint
    assert Dataset(sample, count_words([])).name == "mrpc"


@pytest.mark.parametrize("hub", ["", "somebody/cola", "nyu-mll/glue", "cola"])
def test_neither_a_file_s_name_nor_somebody_else_s_repository_makes_it_a_shipped_one(hub: str) -> None:
    assert known_as("cola", "0123456789abcdef", hub=hub) == "cola@01234567"
    assert known_as("cola", "0123456789abcdef", "fedcba9876543210", hub) == "cola@fedcba98"


def test_a_user_s_cola_csv_is_not_cola(tmp_path: Path) -> None:
    for name in ("cola", "mine"):
        (tmp_path / name).mkdir()
        rows = [f"a {name} sentence {place},{place % 2}" for place in range(40)]
        (tmp_path / name / "cola.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    tasks = [load_task(str(tmp_path / name / "cola.csv")) for name in ("cola", "mine")]
    one, other = (Dataset(describe(task), count_words([])).name for task in tasks)
    assert len({one, other, "cola"}) == 3
    assert one == f"cola@{tasks[0].source[:8]}"


def test_one_file_is_one_dataset_whatever_is_made_of_it(tmp_path: Path) -> None:
    rows = [f"a sentence {place},{'yes' if place % 3 else 'no'}" for place in range(200)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    asked: list[dict[str, Any]] = [
        {},
        {"max_train": 100},
        {"max_train": 100, "metric": "f1"},
        {"max_train": 100, "positive": "yes"},
        {"max_train": 100, "max_validation": 10},
        {"seed": 3},
    ]
    made = [describe(load_task(str(tmp_path / "reviews.csv"), **each)) for each in asked]
    assert len({known.fingerprint for known in made}) == len(asked)
    assert len({Dataset(known, count_words([])).name for known in made}) == 1


def test_a_dataset_that_is_called_differently_is_one() -> None:
    names = [known_as(name, fingerprint) for name, fingerprint in (("a", "1" * 16), ("b", "1" * 16), ("a", "2" * 16))]
    assert one_name_each(names) == {names[0]: names[0], names[1]: names[0], names[2]: names[2]}
