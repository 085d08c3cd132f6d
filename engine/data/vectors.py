"""Word vectors from a file, read by gensim.

Decided here: GloVe's text form and word2vec's two forms are read, told apart by how a file begins. gensim's own form
is a pickle, which may run code, and is refused. gensim reads on where a file is damaged (one number serves as a whole
vector, and nothing is said of what stands behind the last word), so its words are counted before.
"""

from __future__ import annotations

import mmap
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.base.errors import InputError

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

FORMS = ("GloVe's text", "word2vec's text", "word2vec's binary form")
BEGINNING = 65_536
"""Bytes that tell the form."""
HEADER = re.compile(rb"(\d+)[ \t]+(\d+)[ \t\r]*(?:\n|\Z)")
"""The first line of word2vec's forms: how many words, and how many numbers each has."""
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text has. The binary form's numbers hold some, but a tiny file's may not, and it is taken for text."""
REFUSED = {
    b"\x80": "a pickle, which may run code when it is loaded, is never read",
    b"PK": "a packed file must be unpacked first",
    b"\x1f\x8b": "a packed file must be unpacked first",
}
"""How a file begins → why it is refused."""


def read_vectors(path: Path, place: str) -> KeyedVectors:
    """The word vectors of a file; of a word that stands twice the first one counts.

    Args:
        path: In one of `FORMS`.
        place: What names the file, for messages.

    Raises:
        InputError: There is no such file, it has another form, or it is damaged.
    """
    from gensim.models import KeyedVectors  # takes a moment

    binary, header = _form(path, place)
    _check_words(path, place, binary, header)
    vectors = None
    with warnings.catch_warnings(), suppress(OSError, ValueError):
        warnings.simplefilter("ignore", ResourceWarning)  # without a header gensim leaves the file open
        vectors = KeyedVectors.load_word2vec_format(
            str(path.absolute()), binary=binary, no_header=header is None, unicode_errors="replace"
        )
    if vectors is None:
        what = "no word vectors: a word and its numbers, separated by spaces, in each line"
        raise InputError.of(place, what, repr(str(path)), FORMS)
    finite = np.isfinite(vectors.vectors).all(axis=1)
    if not finite.all():
        what = f"the vector of {vectors.index_to_key[finite.argmin()]!r} has numbers that are not finite"
        raise InputError.of(place, what, repr(str(path)))
    return vectors


def _form(path: Path, place: str) -> tuple[bool, tuple[int, int] | None]:
    """Whether a file is binary, and the numbers of words and dimensions that its first line names."""
    if not path.is_file():
        raise InputError.of(place, "no such file", repr(str(path)))
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
    named = HEADER.match(beginning)
    binary = CONTROL.search(beginning) is not None
    if binary and not named:
        reasons = (why for sign, why in REFUSED.items() if beginning.startswith(sign))
        what = next(reasons, "neither text nor word2vec's binary form")
        raise InputError.of(place, f"no word vectors: {what}", repr(str(path)), FORMS)
    return binary, (int(named[1]), int(named[2])) if named else None


def _check_words(path: Path, place: str, binary: bool, header: tuple[int, int] | None) -> None:
    """Refuses a file without vectors, with more or fewer than it says, or with vectors of several lengths."""
    lengths = _binary_lengths(path, header[1]) if binary and header else _text_lengths(path, header)
    length, got = header[1] if header else max(lengths[:1], default=0), repr(str(path))
    if not lengths or not length:
        raise InputError.of(place, "no word vectors in it", got, FORMS)
    if header and len(lengths) != header[0]:
        what = "not as many word vectors as its first line says"
        raise InputError.of(place, what, f"{len(lengths):,} in {got}", (f"{header[0]:,}",))
    unit, first = ("word", 1) if binary else ("line", 2 if header else 1)
    for number, found in enumerate(lengths, start=first):
        if found != length:
            what = f"vectors of different lengths: {length} numbers at first, {found} in {unit} {number}"
            raise InputError.of(place, what, got)


def _text_lengths(path: Path, header: tuple[int, int] | None) -> list[int]:
    """How many numbers stand behind each word, as gensim cuts lines."""
    with path.open("rb") as file:
        return [line.rstrip().count(b" ") for line in file][header is not None :]


def _binary_lengths(path: Path, length: int) -> list[int]:
    """The length of each vector that is there in full; 0 stands for what is left over."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        words, at = 0, data.find(b"\n") + 1
        while (blank := data.find(b" ", at)) >= 0:
            words, at = words + 1, blank + 1 + 4 * length
        return [length] * (words - (at > len(data))) + [0] * bool(data[at:].strip())
