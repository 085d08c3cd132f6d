"""Files of word vectors: the three forms, and damage that gensim would read over."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.data.vectors import read_vectors

MEANING = {"the": [0.1, -0.2, 0.3], "film": [1.0, 2.0, 3.0], "bad": [-1.0, -2.0, -3.0]}
GLOVE = "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in MEANING.items()).encode()


def binary(words: dict[str, list[float]] = MEANING, header: str = "3 3", end: bytes = b"") -> bytes:
    """Word2vec's binary form; `end` stands behind each vector, as a line end in files of the C tool."""
    entries = (f"{w} ".encode() + struct.pack(f"<{len(v)}f", *v) + end for w, v in words.items())
    return f"{header}\n".encode() + b"".join(entries)


def written(folder: Path, content: bytes, name: str = "vectors.txt") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def refusal(path: Path) -> str:
    """Why a file is refused, with its folder left out."""
    with pytest.raises(InputError) as caught:
        read_vectors(path, "--vectors")
    (problem,) = caught.value.problems
    assert problem.place == "--vectors"
    assert path.name in problem.got
    return str(problem).replace(f"{path.parent}/", "")


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.bin", "vectors"])
@pytest.mark.parametrize(
    "content",
    [
        GLOVE,
        b"3 3\n" + GLOVE,
        GLOVE.removesuffix(b"\n"),
        GLOVE.replace(b"\n", b"\r\n"),
        b"3 3\r\n" + GLOVE.replace(b"\n", b"\r\n"),
        GLOVE + b"film 7 8 9\n",
        GLOVE + b"caf\xe9 1 1 1\n",
        binary(),
        binary(end=b"\n"),
        binary(MEANING | {"word": [0.0, 0.0, 0.0]}, "4 3"),
    ],
    ids=[
        *("GloVe", "word2vec", "no last line end", "Windows", "word2vec, Windows", "a word twice", "Latin-1"),
        *("binary", "binary of the C tool", "a vector of zeros"),
    ],
)
def test_every_form_is_known_by_its_beginning(tmp_path: Path, content: bytes, name: str) -> None:
    vectors = read_vectors(written(tmp_path, content, name), "--vectors")
    for word, vector in MEANING.items():
        assert vectors[word].tolist() == pytest.approx(vector)
    assert vectors.vectors.dtype == np.float32
    assert "zebra" not in vectors


def test_a_large_binary_file_is_known_as_one(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).standard_normal((20_000, 50)).astype(np.float32)
    words = {f"word{place}": vector.tolist() for place, vector in enumerate(drawn)}
    vectors = read_vectors(written(tmp_path, binary(words, "20000 50")), "--vectors")
    np.testing.assert_array_equal(vectors.vectors, drawn)


# --- what is refused ---------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.txt") == "--vectors: no such file; got 'none.txt'"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"0 3\n", b"3 0\nthe\nfilm\nbad\n"])
def test_no_vectors_in_it(tmp_path: Path, content: bytes) -> None:
    assert "no word vectors in it; got 'vectors.txt'" in refusal(written(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"2 3\n" + GLOVE,
        b"9 3\n" + GLOVE,
        binary(header="2 3"),
        binary(header="9 3"),
        binary()[:-1],
        binary(header="3 2"),
    ],
    ids=["more lines", "fewer lines", "more in binary", "fewer in binary", "cut off", "longer vectors"],
)
def test_not_as_many_as_the_first_line_says(tmp_path: Path, content: bytes) -> None:
    said = refusal(written(tmp_path, content))
    assert "not as many word vectors as its first line says; got " in said
    assert said.endswith(f"allowed: {content.split()[0].decode()}")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"the 1 2 3\nfilm 1 2\n", "3 numbers at first, 2 in line 2"),
        (b"the 1 2 3\nfilm 1\n", "3 numbers at first, 1 in line 2"),
        (b"the 1 2 3\nfilm 1 2 3 4\n", "3 numbers at first, 4 in line 2"),
        (b"2 3\nthe 1\nfilm 1\n", "3 numbers at first, 1 in line 2"),
        (binary(header="3 4"), "4 numbers at first, 0 in word 3"),
        (b"the 1 2 3\n\nfilm 1 2 3\n", "3 numbers at first, 0 in line 2"),
        (b". . 1 2 3\nthe 1 2 3\n", "4 numbers at first, 3 in line 2"),
    ],
    ids=[
        "a number missing",
        "one number only",
        "a number too many",
        "header",
        "binary",
        "blank line",
        "a blank in a word",
    ],
)
def test_vectors_of_different_lengths(tmp_path: Path, content: bytes, what: str) -> None:
    assert f"vectors of different lengths: {what}" in refusal(written(tmp_path, content))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite(tmp_path: Path, number: str) -> None:
    as_text = f"the 1 2 3\nfilm 1 {number} 3\n".encode()
    as_numbers = binary(MEANING | {"film": [1.0, float(number), 3.0]})
    for content in (as_text, as_numbers):
        assert "the vector of 'film' has numbers that are not finite" in refusal(written(tmp_path, content))


@pytest.mark.parametrize(
    "content", [b"just words\nin lines\n", b'{"no": "vectors"}\n', b"the 1 2 3\nfilm 1 two 3\n", b"the 1,2 2,3\n"]
)
def test_words_where_numbers_should_be(tmp_path: Path, content: bytes) -> None:
    said = refusal(written(tmp_path, content))
    assert "no word vectors: a word and its numbers, separated by spaces, in each line" in said


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(3)
    vectors.add_vectors(list(MEANING), list(MEANING.values()))
    vectors.save(str(tmp_path / "vectors.kv"))
    assert "may run code when it is loaded" in refusal(tmp_path / "vectors.kv")


class Harmful:
    """What runs code when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(written(tmp_path, pickle.dumps(Harmful(), protocol)))
    assert not Path("harm").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(GLOVE), "a packed file must be unpacked first"),
        (b"PK\x03\x04" + bytes(30), "a packed file must be unpacked first"),
        (b"\x93NUMPY\x01\x00" + bytes(64), "neither text nor word2vec's binary form"),
        (bytes(range(256)) * 8, "neither text nor word2vec's binary form"),
    ],
    ids=["gzip", "zip", "numpy", "other"],
)
def test_another_form(tmp_path: Path, content: bytes, what: str) -> None:
    said = refusal(written(tmp_path, content))
    assert what in said
    assert "GloVe's text, word2vec's text, word2vec's binary form" in said


def test_text_under_the_name_of_a_packed_file(tmp_path: Path) -> None:
    """gensim unpacks by the name."""
    assert "no word vectors" in refusal(written(tmp_path, GLOVE, "vectors.gz"))
