"""Embeddings of datasets: the equation, and the sets of word vectors it is taken with."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autodistill.datasets import embedding
from autodistill.datasets.embedding import (
    HASHED,
    DocumentFrequencies,
    WordVectors,
    coverage,
    embed,
    hashed_vectors,
    load_vectors,
)
from autodistill.datasets.known import shipped_datasets
from autodistill.datasets.words import WordCounts, count_words, word_hashes
from engine.base.errors import InputError
from tests.hub_server import COMMIT

GLOVE = "the 0.1 -0.2 0.3\nfilm 1 2 3\nbad -1 -2 -3\n"
MEANING = {"the": [0.1, -0.2, 0.3], "film": [1, 2, 3], "bad": [-1, -2, -3]}


def glove(folder: Path, content: str | bytes = GLOVE, name: str = "glove.txt") -> WordVectors:
    """The vectors of a file with this content; what is parsed is kept in the same folder."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return load_vectors(str(folder / name), folder / "cache")


def vector_of(vectors: WordVectors, word: str) -> list[float]:
    found, rows = vectors.known(word_hashes([word]))
    assert found.tolist() == [True]
    return vectors.matrix[rows[0]].tolist()


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


# --- the equation ------------------------------------------------------------------------------

letters = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join)


def naive_idf(word: str, datasets: list[str]) -> float:
    """log((1 + N) / (1 + N_w))."""
    with_word = sum(word in dataset.split() for dataset in datasets)
    return math.log((1 + len(datasets)) / (1 + with_word))


@example([""], "a")
@given(st.lists(letters, max_size=5), letters)
def test_inverse_document_frequencies(datasets: list[str], text: str) -> None:
    frequencies = DocumentFrequencies.of([count_words([dataset]) for dataset in datasets])
    words = sorted(set(text.split()))
    expected = [naive_idf(word, datasets) for word in words]
    np.testing.assert_allclose(frequencies.idf(word_hashes(words)), expected, atol=1e-12)


@settings(deadline=None)
@given(st.lists(letters, min_size=1, max_size=5), letters)
def test_an_embedding_is_the_mean_of_weighted_vectors(datasets: list[str], text: str) -> None:
    meaning = {letter: np.array([ord(letter), 1.0, -(ord(letter) ** 2)]) for letter in "abcdef"}
    words = sorted(meaning, key=lambda word: int(word_hashes([word])[0]))
    vectors = WordVectors("made", word_hashes(words), np.array([meaning[word] for word in words], "float32"))
    expected = np.zeros(3)
    for word in text.split():
        if word in meaning:
            expected += naive_idf(word, datasets) * meaning[word]
    expected /= max(len(text.split()), 1)
    frequencies = DocumentFrequencies.of([count_words([dataset]) for dataset in datasets])
    np.testing.assert_allclose(embed(count_words([text]), frequencies, vectors), expected, atol=1e-9)


def test_a_word_of_every_dataset_says_nothing() -> None:
    datasets = [count_words(["the film"]), count_words(["the game"])]
    frequencies = DocumentFrequencies.of(datasets)
    np.testing.assert_array_equal(embed(count_words(["the the"]), frequencies, hashed_vectors()), 0)
    assert embed(datasets[0], frequencies, hashed_vectors()).any()


def test_a_dataset_twice_as_long_lies_at_the_same_place() -> None:
    frequencies = DocumentFrequencies.of([count_words(["a film"]), count_words(["a game"])])
    once, twice = (count_words(["a film of the night"] * times) for times in (1, 2))
    np.testing.assert_allclose(*(embed(words, frequencies, hashed_vectors()) for words in (once, twice)))


def test_without_words_an_embedding_is_zero(tmp_path: Path) -> None:
    frequencies = DocumentFrequencies.of([count_words(["a film"])])
    np.testing.assert_array_equal(embed(count_words([""]), frequencies, hashed_vectors()), np.zeros(50))
    strange = count_words(["这部电影很好看"])
    np.testing.assert_array_equal(embed(strange, frequencies, glove(tmp_path)), np.zeros(3))


def test_coverage_counts_occurrences(tmp_path: Path) -> None:
    vectors = glove(tmp_path)
    assert coverage(count_words(["the film the end"]), vectors) == 0.75
    assert coverage(count_words(["这部电影很好看"]), vectors) == 0
    assert coverage(count_words([""]), vectors) == 0
    assert coverage(count_words(["what ever"]), hashed_vectors()) == 1


# --- hashed vectors ----------------------------------------------------------------------------


def test_hashed_vectors_are_the_same_everywhere() -> None:
    vectors = load_vectors(HASHED, Path("never written"))
    assert (vectors.name, vectors.matrix.shape, vectors.matrix.dtype) == ("hashed", (4096, 50), np.float32)
    np.testing.assert_allclose(vectors.matrix[0, :3], [0.017781, -0.018682, 0.090569], atol=1e-6)
    np.testing.assert_allclose(vectors.matrix[-1, -3:], [0.132925, 0.143153, 0.04353], atol=1e-6)


def test_every_word_has_a_hashed_vector_of_length_about_1() -> None:
    vectors = hashed_vectors()
    hashes = word_hashes([f"word{place}" for place in range(2000)])
    found, rows = vectors.known(hashes)
    assert found.all()
    assert np.linalg.norm(vectors.matrix[rows], axis=1).mean() == pytest.approx(1, abs=0.02)


def test_datasets_that_share_words_are_nearer() -> None:
    dice = np.random.default_rng(0)

    def drawn(topic: str) -> WordCounts:
        return count_words([" ".join(f"{topic}{place}" for place in dice.integers(0, 100, 200))])

    films, more, games = drawn("film"), drawn("film"), drawn("game")
    frequencies = DocumentFrequencies.of([films, more, games])
    first, second, third = (embed(words, frequencies, hashed_vectors()) for words in (films, more, games))
    assert cosine(first, second) > 0.5 > cosine(first, third)


# --- sets of vectors from files ----------------------------------------------------------------


def test_a_file_of_gloves_form(tmp_path: Path) -> None:
    vectors = glove(tmp_path)
    for word, vector in MEANING.items():
        assert vector_of(vectors, word) == pytest.approx(vector)
    assert not vectors.known(word_hashes(["unheard", "zebra", "aaa"]))[0].any()
    assert (np.diff(vectors.hashes.astype(np.int64)) > 0).all()
    assert vectors.matrix.dtype == np.float32


@pytest.mark.parametrize(
    "content",
    [
        "3 3\n" + GLOVE,
        GLOVE.removesuffix("\n"),
        GLOVE.replace("\n", "\r\n"),
        GLOVE + "film 7 8 9\n",  # of a word that stands twice the first one counts
        GLOVE.encode() + b"caf\xe9 1 1 1\n",
    ],
    ids=["header", "no last line end", "windows", "word twice", "latin"],
)
def test_files_that_say_the_same(tmp_path: Path, content: str | bytes) -> None:
    vectors = glove(tmp_path, content)
    for word, vector in MEANING.items():
        assert vector_of(vectors, word) == pytest.approx(vector)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"just words in lines\nand no numbers\n",
        b'{"no": "vectors"}\n',
        b"the 1 2 3\nfilm 1 2\n",
        b"the 1 2 3\nfilm 1\n",
        b"the 1 2 3\nfilm 1 2 3 4\n",
        b"the 1 2 3\nfilm 1 two 3\n",
        b"the 1 2 3\nfilm 1 nan 3\n",
        b"the 1 2 3\nfilm 1 inf 3\n",
        b"9 3\nthe 1 2 3\n",
        b"the\t1\t2\t3\n",
        bytes(range(256)) * 8,
    ],
    ids=[
        "empty",
        "blank",
        "text",
        "json",
        "a number missing",
        "one number only",
        "a number too many",
        "a word as number",
        "nan",
        "inf",
        "fewer lines than the header says",
        "tabs",
        "binary",
    ],
)
def test_a_damaged_file_is_refused_and_nothing_is_kept(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="--vectors: .*glove.txt"):
        glove(tmp_path, content)
    assert not list(tmp_path.glob("cache/vectors/*"))


def test_the_second_time_the_parsed_form_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = glove(tmp_path)
    monkeypatch.delattr(embedding, "read_vectors")
    second = glove(tmp_path)
    assert second.name == first.name
    np.testing.assert_array_equal(second.hashes, first.hashes)
    np.testing.assert_array_equal(second.matrix, first.matrix)


def test_a_file_that_has_changed_is_another_set(tmp_path: Path) -> None:
    first, second = glove(tmp_path), glove(tmp_path, GLOVE.replace("film 1", "film 5"))
    assert first.name.startswith("glove.txt (")
    assert first.name != second.name
    assert vector_of(first, "film")[0] == 1
    assert vector_of(second, "film")[0] == 5


def test_two_sets_give_embeddings_of_their_own(tmp_path: Path) -> None:
    words = count_words(["a bad film"])
    frequencies = DocumentFrequencies.of([count_words(["a game"])])
    hashed, read = hashed_vectors(), glove(tmp_path)
    assert hashed.name != read.name
    assert [embed(words, frequencies, vectors).shape for vectors in (hashed, read)] == [(50,), (3,)]


def test_a_set_on_the_hub_that_is_here_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--org--glove"
    for path, content in ((f"snapshots/{COMMIT}/small.txt", GLOVE), ("refs/main", COMMIT)):
        (repository / path).parent.mkdir(parents=True)
        (repository / path).write_text(content, "utf-8")
    vectors = load_vectors("org/glove:small.txt", tmp_path / "cache")
    assert vectors.name.startswith("small.txt (")
    assert vector_of(vectors, "film") == [1, 2, 3]


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match="--vectors: could not be fetched from the hub; got 'org/glove:a.txt'"
    ):
        load_vectors("org/glove:a.txt", tmp_path / "cache")


@pytest.mark.parametrize(
    "source",
    [
        "none.txt",
        "/none/vectors.txt",
        "org/glove",
        "org/glove:",
        "a/b/c:d",
        "./glove:a.txt",
        "my org/glove:a",
    ],
)
def test_a_source_that_is_none_says_what_is_one(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError) as caught:
        load_vectors(source, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.place, problem.what) == ("--vectors", "no such file")
    assert "owner/repository:file of the hub" in problem.allowed
    assert HASHED in problem.allowed


@pytest.mark.shared
def test_words_that_mean_alike_are_near(shared: Path, tmp_path: Path) -> None:
    vectors = load_vectors(str(shared / "glove" / "glove.6B.50d.5k.txt"), tmp_path)
    assert vectors.matrix.shape == (5050, 50)
    film, movie, tax = (np.array(vector_of(vectors, word)) for word in ("film", "movie", "tax"))
    assert cosine(film, movie) > 0.8 > 0.5 > cosine(film, tax)


@pytest.mark.shared
@pytest.mark.parametrize("own_set", [False, True], ids=["hashed", "glove"])
def test_neighbours_on_real_texts(shared: Path, tmp_path: Path, own_set: bool) -> None:
    """QNLI was made from SQuAD."""
    source = str(shared / "glove" / "glove.6B.50d.5k.txt") if own_set else HASHED
    vectors = load_vectors(source, tmp_path)
    words = {name: dataset.words for name, dataset in shipped_datasets().items()}
    frequencies = DocumentFrequencies.of(list(words.values()))
    places = {name: embed(counts, frequencies, vectors) for name, counts in words.items()}
    others = {name: cosine(place, places["qnli"]) for name, place in places.items() if name != "qnli"}
    assert max(others, key=lambda name: others[name]) == "squad"
