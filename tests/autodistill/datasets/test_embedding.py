"""Embeddings of datasets: the equation, and the sets of word vectors it is taken with."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autodistill.datasets.embedding import ARRAYS, GLOVE, WordVectors, embed, inverse_frequencies, load_vectors
from autodistill.datasets.known import shipped_datasets
from autodistill.datasets.words import WordCounts, count_words, word_hashes
from engine.base.cache import keeping
from engine.base.errors import InputError
from engine.base.files import remove
from tests.hub_server import COMMIT

FILE = "glove.6B.50d.5k.txt"
TEXT = "the 0.1 -0.2 0.3\nfilm 1 2 3\nbad -1 -2 -3\n"
MEANING = {"the": [0.1, -0.2, 0.3], "film": [1, 2, 3], "bad": [-1, -2, -3]}


def glove(folder: Path, content: str = TEXT, name: str = "glove.txt") -> WordVectors:
    """The vectors of a file with this content; what is parsed is kept in the same folder."""
    (folder / name).write_text(content, "utf-8")
    return load_vectors(str(folder / name), folder / "cache")


def vector_of(vectors: WordVectors, word: str) -> list[float]:
    (row,), _ = vectors.rows(count_words([word]))
    return vectors.matrix[row].tolist()


def random_vectors(words: str) -> WordVectors:
    """A vector of length about 1 for each word."""
    hashes = np.unique(word_hashes(words.split()))
    return WordVectors("random", hashes, np.random.default_rng(0).normal(0, 50**-0.5, (len(hashes), 50)))


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
    words = sorted(set(text.split()) | {"z"}, key=lambda word: int(word_hashes([word])[0]))
    vectors = WordVectors("made", word_hashes(words), np.ones((len(words), 1), "float32"))
    found = inverse_frequencies([count_words([dataset]) for dataset in datasets], vectors)
    np.testing.assert_allclose(found, [naive_idf(word, datasets) for word in words], atol=1e-12)


@settings(deadline=None)
@given(st.lists(letters, min_size=1, max_size=5), letters)
def test_an_embedding_is_the_mean_of_weighted_vectors(datasets: list[str], text: str) -> None:
    """Vectors keep their lengths, and words without one count as words of the text."""
    meaning = {letter: np.array([ord(letter), 1.0, -(ord(letter) ** 2)]) for letter in "abcdef"}
    words = sorted(meaning, key=lambda word: int(word_hashes([word])[0]))
    vectors = WordVectors("made", word_hashes(words), np.array([meaning[word] for word in words], "float32"))
    expected = np.zeros(3)
    for word in text.split():
        if word in meaning:
            expected += naive_idf(word, datasets) * meaning[word]
    expected /= max(len(text.split()), 1)
    idf = inverse_frequencies([count_words([dataset]) for dataset in datasets], vectors)
    np.testing.assert_allclose(embed(count_words([text]), idf, vectors), expected, atol=1e-9)


def test_a_word_of_every_dataset_says_nothing() -> None:
    vectors, datasets = (random_vectors("the film game"), [count_words(["the film"]), count_words(["the game"])])
    idf = inverse_frequencies(datasets, vectors)
    np.testing.assert_array_equal(embed(count_words(["the the"]), idf, vectors), 0)
    assert embed(datasets[0], idf, vectors).any()


def test_a_dataset_twice_as_long_lies_at_the_same_place() -> None:
    vectors = random_vectors("a film game of the night")
    idf = inverse_frequencies([count_words(["a film"]), count_words(["a game"])], vectors)
    once, twice = (count_words(["a film of the night"] * times) for times in (1, 2))
    np.testing.assert_allclose(*(embed(words, idf, vectors) for words in (once, twice)))


@pytest.mark.parametrize("text", ["", "这部电影很好看"])
def test_without_known_words_an_embedding_is_zero(tmp_path: Path, text: str) -> None:
    vectors = glove(tmp_path)
    idf = inverse_frequencies([count_words(["a film"])], vectors)
    np.testing.assert_array_equal(embed(count_words([text]), idf, vectors), np.zeros(3))


def test_datasets_that_share_words_are_nearer() -> None:
    dice = np.random.default_rng(0)

    def drawn(topic: str) -> WordCounts:
        return count_words([" ".join(f"{topic}{place}" for place in dice.integers(0, 100, 200))])

    films, more, games = drawn("film"), drawn("film"), drawn("game")
    vectors = random_vectors(" ".join(f"{topic}{place}" for topic in ("film", "game") for place in range(100)))
    idf = inverse_frequencies([films, more, games], vectors)
    first, second, third = (embed(words, idf, vectors) for words in (films, more, games))
    assert cosine(first, second) > 0.5 > cosine(first, third)


# --- sets of vectors from files ----------------------------------------------------------------


def test_a_file_of_gloves_form(tmp_path: Path) -> None:
    vectors = glove(tmp_path)
    for word, vector in MEANING.items():
        assert vector_of(vectors, word) == pytest.approx(vector)
    rows, counts = vectors.rows(count_words(["unheard zebra film film"]))
    assert (len(rows), counts.tolist()) == (1, [2])
    assert (np.diff(vectors.hashes.astype(np.int64)) > 0).all()
    assert vectors.matrix.dtype == np.float32


def test_a_damaged_file_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--vectors: .*glove.txt"):
        glove(tmp_path, "the 1 2 3\nfilm 1 two 3\n")
    assert not [path for path in tmp_path.glob("cache/vectors/*") if path.suffix != ".about"]


def test_the_second_time_the_arrays_are_read(tmp_path: Path) -> None:
    first = glove(tmp_path)
    (kept,) = (path.parent for path in tmp_path.glob(f"cache/vectors/*/{ARRAYS[0]}"))
    remove(kept)
    with keeping(kept) as aside:
        for name, array in zip(ARRAYS, (first.hashes, -first.matrix), strict=True):
            np.save(aside / name, array)
    second = glove(tmp_path)
    assert second.name == first.name
    assert vector_of(second, "film") == [-number for number in vector_of(first, "film")]


def test_damaged_arrays_are_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged number would be a number, too."""
    first = glove(tmp_path)
    (kept,) = tmp_path.glob(f"cache/vectors/*/{ARRAYS[1]}")
    content = kept.read_bytes()
    kept.write_bytes(content[:-3] + bytes([content[-3] ^ 4]) + content[-2:])
    with caplog.at_level("INFO", "autodistiller"):
        np.testing.assert_array_equal(glove(tmp_path).matrix, first.matrix)
    assert caplog.messages == ["The kept word vectors were damaged and are made anew."]
    assert kept.read_bytes() == content


def test_a_file_that_has_changed_is_another_set(tmp_path: Path) -> None:
    first, second = glove(tmp_path), glove(tmp_path, TEXT.replace("film 1", "film 5"))
    assert first.name.startswith("glove.txt (")
    assert first.name != second.name
    assert vector_of(first, "film")[0] == 1
    assert vector_of(second, "film")[0] == 5


def test_two_sets_give_embeddings_of_their_own(tmp_path: Path) -> None:
    words = count_words(["a bad film"])
    sets = load_vectors(GLOVE, tmp_path), glove(tmp_path)
    assert sets[0].name != sets[1].name
    found = [embed(words, inverse_frequencies([], vectors), vectors) for vectors in sets]
    assert [place.shape for place in found] == [(50,), (3,)]


def test_a_set_on_the_hub_that_is_here_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--org--glove"
    for path, content in ((f"snapshots/{COMMIT}/small.txt", TEXT), ("refs/main", COMMIT)):
        (repository / path).parent.mkdir(parents=True)
        (repository / path).write_text(content, "utf-8")
    vectors = load_vectors("org/glove:small.txt", tmp_path / "cache")
    assert vectors.name.startswith("small.txt (")
    assert vector_of(vectors, "film") == [1, 2, 3]


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="--vectors: could not be fetched from the hub; got 'org/glove:a.txt'"):
        load_vectors("org/glove:a.txt", tmp_path / "cache")


@pytest.mark.parametrize(
    "source", ["none.txt", "/none/vectors.txt", "org/glove", "org/glove:", "a/b/c:d", "./glove:a.txt", "my org/glove:a"]
)
def test_a_source_that_is_none_says_what_is_one(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError) as caught:
        load_vectors(source, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.place, problem.what) == ("--vectors", "no such file")
    assert "owner/repository:file of the hub" in problem.allowed
    assert "glove" in problem.allowed


# --- the set that comes with the project --------------------------------------------------------


def test_words_that_mean_alike_are_near(tmp_path: Path) -> None:
    vectors = load_vectors(GLOVE, tmp_path)
    assert vectors.name.startswith("glove.bin (")
    assert vectors.matrix.shape == (5050, 50)
    film, movie, tax = (np.array(vector_of(vectors, word)) for word in ("film", "movie", "tax"))
    assert cosine(film, movie) > 0.8 > 0.5 > cosine(film, tax)


@pytest.mark.shared
def test_it_is_the_set_of_the_text_file(shared: Path, tmp_path: Path) -> None:
    shipped, text = (load_vectors(source, tmp_path) for source in (GLOVE, str(shared / "glove" / FILE)))
    np.testing.assert_array_equal(shipped.hashes, text.hashes)
    np.testing.assert_array_equal(shipped.matrix, text.matrix)


def test_neighbours_on_real_texts(tmp_path: Path) -> None:
    """QNLI was made from SQuAD."""
    vectors = load_vectors(GLOVE, tmp_path)
    words = {name: dataset.words for name, dataset in shipped_datasets().items()}
    idf = inverse_frequencies(list(words.values()), vectors)
    places = {name: embed(counts, idf, vectors) for name, counts in words.items()}
    others = {name: cosine(place, places["qnli"]) for name, place in places.items() if name != "qnli"}
    assert max(others, key=lambda name: others[name]) == "squad"
