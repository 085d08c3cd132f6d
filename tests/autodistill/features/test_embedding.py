"""Words and embeddings against slow loops, and what happens with files of vectors."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from autodistill.features.descriptors import describe
from autodistill.features.embedding import (
    DocumentFrequencies,
    WordVectors,
    coverage,
    embed,
    hashed_vectors,
    load_vectors,
)
from autodistill.features.words import count_words, texts_of, word_hashes, words_of
from engine.errors import InputError
from tests.toys import ROWS, toy_task

TEXTS = ["the cat sat on the mat", "a dog and a cat", "nothing here"]
GLOVE = "the 0.1 0.2 0.3\ncat 1.0 0.0 -1.0\ndog 0.9 0.1 -0.8\n"


@pytest.fixture(name="vectors")
def _vectors(tmp_path: Path) -> WordVectors:
    (tmp_path / "vectors.txt").write_text(GLOVE, "utf-8")
    return load_vectors(str(tmp_path / "vectors.txt"), tmp_path / "cache")


def test_an_embedding_is_the_paper_s_sum(vectors: WordVectors) -> None:
    given = dict(line.split(" ", 1) for line in GLOVE.splitlines())
    table = {word: np.array(row.split(), dtype=float) for word, row in given.items()}
    collections = [count_words([text]) for text in TEXTS]
    frequencies = DocumentFrequencies.of(collections)
    for text, counts in zip(TEXTS, collections, strict=True):
        words = text.split()
        expected = np.zeros(3)
        for word in words:
            datasets_with = sum(word in other.split() for other in TEXTS)
            expected += np.log((1 + 3) / (1 + datasets_with)) * table.get(word, np.zeros(3)) / len(words)
        np.testing.assert_allclose(embed(counts, frequencies, vectors), expected, rtol=1e-6, atol=1e-9)
        assert coverage(counts, vectors) == pytest.approx(sum(word in table for word in words) / len(words))


def test_a_word_that_no_dataset_has_weighs_most() -> None:
    frequencies = DocumentFrequencies.of([count_words([text]) for text in TEXTS])
    everywhere, nowhere = frequencies.idf(word_hashes(["cat", "zebra"]))
    assert nowhere == pytest.approx(np.log(4))
    assert nowhere > everywhere
    assert DocumentFrequencies.of([]).idf(word_hashes(["cat"])).tolist() == [0]


def test_words_are_counted() -> None:
    text = "It's the Cat's mat, the mat! Größe 12 well-known"
    counted = Counter(words_of(text))
    counts = count_words([text])
    assert counts.total == counted.total() == 9
    assert dict(zip(counts.hashes.tolist(), counts.counts.tolist(), strict=True)) == {
        int(word_hashes([word])[0]): count for word, count in counted.items()
    }
    assert len(count_words([text], most=2)) == 2


def test_hashed_vectors_are_the_same_everywhere_and_know_every_word() -> None:
    one, other = hashed_vectors(), hashed_vectors()
    np.testing.assert_array_equal(one.matrix, other.matrix)
    assert coverage(count_words(["words that nobody knows"]), one) == 1
    assert float(one.matrix[0, 0]) == pytest.approx(0.0177804, abs=1e-6)


def test_a_second_time_the_file_is_not_parsed(
    tmp_path: Path, vectors: WordVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodistill.features.embedding._read_text", lambda path: pytest.fail("parsed again"))
    again = load_vectors(str(tmp_path / "vectors.txt"), tmp_path / "cache")
    np.testing.assert_array_equal(again.matrix, vectors.matrix)
    assert again.name == vectors.name


def test_a_file_with_a_header_is_read_too(tmp_path: Path, vectors: WordVectors) -> None:
    (tmp_path / "headed.txt").write_text(f"3 3\n{GLOVE}", "utf-8")
    headed = load_vectors(str(tmp_path / "headed.txt"), tmp_path / "cache")
    np.testing.assert_array_equal(headed.matrix, vectors.matrix)
    assert headed.name != vectors.name


@pytest.mark.parametrize("content", ["", "no vectors in here\nat all\n", "the 0.1\ncat 0.1 0.2\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "notes.txt").write_text(content, "utf-8")
    with pytest.raises(InputError, match="no word vectors"):
        load_vectors(str(tmp_path / "notes.txt"), tmp_path / "cache")


@pytest.mark.parametrize("name", ["nowhere.txt", "owner/repository", "owner/repository:file.txt"])
def test_vectors_that_are_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_vectors(name, tmp_path)
    assert caught.value.problems[0].place == "--vectors"


def test_a_hundred_thousand_rows_take_seconds() -> None:
    rows = [
        f"row {place} of a large dataset says this and that about word{place % 5000}"
        for place in range(100_000)
    ]
    started = time.perf_counter()
    counts = count_words(rows)
    embed(counts, DocumentFrequencies.of([counts]), hashed_vectors())
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_of_task_is_described(name: str) -> None:
    task = toy_task(name, rows=40, held_out=10)
    found = describe(task)
    assert found.n_train == 40
    assert found.words_mean > 2
    assert 0 < found.type_token_ratio < 1
    assert (found.label_entropy > 0.5) == bool(task.labels)
    assert count_words(texts_of(task)).total == pytest.approx(40 * found.words_mean)
    assert found.description.endswith(".")


@pytest.mark.shared
def test_neighbours_on_real_texts(shared: Path, tmp_path: Path) -> None:
    """QNLI was made from SQuAD, and GloVe's vectors say so among nine datasets."""
    from autodistill.knowledge import load_knowledge
    from autodistill.predictors.datasets import nearest
    from autodistill.store import Store

    vectors = str(shared / "glove" / "glove.6B.50d.5k.txt")
    for chosen in (vectors, "hashed"):
        table, _ = load_knowledge(["published"], Store(str(tmp_path / "s.db")), chosen)
        assert next(iter(nearest(table, "qnli"))) == "squad"
