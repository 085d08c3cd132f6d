"""Where datasets lie: what their descriptors are, and what scales and frequencies are learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autodistill.datasets.embedding import embed, inverse_frequencies
from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.ranking.distances import DatasetSpace, nearest
from autodistill.ranking.past import RunTable
from tests.autodistill.made_up import everywhere_the_same, made_up


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(everywhere_the_same, datasets=6, distracting=True)


def places(table: RunTable) -> np.ndarray:
    space = DatasetSpace.of(table)
    return np.stack([space.descriptors(table, name) for name in table.names])


def changed(table: RunTable, name: str, **descriptors: object) -> RunTable:
    known = table.datasets[name]
    other = Dataset(known.descriptors.model_copy(update=descriptors), known.words)
    return replace(table, datasets={**table.datasets, name: other})


def test_descriptors_have_no_level_and_one_scale(table: RunTable) -> None:
    found = places(table)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    deviations = found.std(axis=0)
    varying = deviations > 1e-12
    assert varying.sum() >= 8
    np.testing.assert_allclose(deviations[varying], deviations[varying][0])


def test_sizes_are_compared_by_their_logarithms() -> None:
    sizes = np.array([100, 1_000, 10_000])
    table = made_up(everywhere_the_same, datasets=3)
    for name, size in zip(table.names, sizes, strict=True):
        table = changed(table, name, n_train=int(size))
    found = places(table)[:, 0]
    assert found[1] - found[0] == pytest.approx(found[2] - found[1])


def test_a_baseline_that_is_not_known_is_an_average_one(table: RunTable) -> None:
    scores = {name: known.descriptors.bilstm_score for name, known in table.datasets.items()}
    some = changed(table, "set0", bilstm_score=None)
    average = float(np.mean([scores[name] for name in table.names if name != "set0"]))
    mean = changed(some, "set0", bilstm_score=average)
    space = DatasetSpace.of(some)
    np.testing.assert_allclose(space.descriptors(some, "set0"), space.descriptors(mean, "set0"), atol=1e-12)


def test_where_no_baseline_is_known_it_says_nothing(table: RunTable) -> None:
    none = table
    for name in table.names:
        none = changed(none, name, bilstm_score=None)
    assert np.isfinite(places(none)).all()
    one = changed(none, "set0", bilstm_score=0.9)
    assert np.isfinite(DatasetSpace.of(none).descriptors(one, "set0")).all()


def test_of_an_unknown_dataset_nothing_is_known(table: RunTable) -> None:
    space = DatasetSpace.of(table)
    assert np.isnan(space.descriptors(table, "elsewhere")).all()
    assert np.isnan(space.embedding(table, "elsewhere")).all()
    assert space.similarity(space.embedding(table, "set0"), table, "elsewhere") == 0
    assert "elsewhere" not in nearest(table, "elsewhere")


def test_only_datasets_with_runs_are_learned_from(table: RunTable) -> None:
    past = table.without("set3")
    alone = replace(past, datasets={name: past.datasets[name] for name in past.names})
    one, other = DatasetSpace.of(past), DatasetSpace.of(alone)
    np.testing.assert_array_equal(one.means, other.means)
    np.testing.assert_array_equal(one.deviations, other.deviations)
    np.testing.assert_array_equal(one.idf, other.idf)
    words = [dataset.words for dataset in alone.datasets.values()]
    np.testing.assert_array_equal(one.idf, inverse_frequencies(words, table.vectors))


def test_the_embedding_is_that_of_texts_beside_that_of_the_task(table: RunTable) -> None:
    space, known = DatasetSpace.of(table), table.datasets["set0"]
    expected = []
    for words in (known.words, count_words([known.descriptors.description])):
        part = embed(words, space.idf, table.vectors)
        expected.extend(part / np.linalg.norm(part))
    np.testing.assert_allclose(space.embedding(table, "set0"), expected)


def test_a_dataset_is_most_like_itself(table: RunTable) -> None:
    space = DatasetSpace.of(table)
    for name in table.names:
        found = {other: space.similarity(space.embedding(table, name), table, other) for other in table.names}
        assert found[name] == pytest.approx(1)
        assert max(found, key=lambda other: found[other]) == name


def test_the_nearest_come_first_and_never_the_dataset_itself(table: RunTable) -> None:
    found = nearest(table, "set2")
    assert set(found) == set(table.names) - {"set2"}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert all(-1 <= cosine <= 1 for cosine in found.values())
    space = DatasetSpace.of(table)
    width = table.vectors.matrix.shape[1]
    texts = {name: space.embedding(table, name)[:width] for name in table.names}
    assert found == pytest.approx({name: float(texts[name] @ texts["set2"]) for name in found})


def test_a_dataset_without_texts_has_a_place(table: RunTable) -> None:
    known = table.datasets["set0"]
    empty = replace(table, datasets={**table.datasets, "set0": Dataset(known.descriptors, count_words([""]))})
    assert np.isfinite(DatasetSpace.of(empty).embedding(empty, "set0")).all()
