"""Words that mean nearly the same, from what is on this machine.

Decided here: WordNet is read through nltk, from nltk's own folders or from Debian's `wordnet-base`, which leaves out
two files that nltk wants. Where a file of word vectors is named, a word's nearest neighbours serve instead.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base.errors import InputError
from engine.base.files import hash_of_files
from engine.base.text import expanded
from engine.data.vectors import read_vectors

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

Synonyms = Callable[[str], Sequence[str]]  # word in lower case → others of nearly its meaning, possibly none

PLACE = "augmentation.random.synonyms"
DEBIAN = Path("/usr/share/wordnet")
NEIGHBOURS = 5
LEAST_COSINE = 0.6  # ours, not tuned
WORDNET, NONE, AUTO = "wordnet", "none", "auto"
LEXNAMES = "\n".join(f"{number:02d}\tfile{number}\t0" for number in range(45))
"""WordNet's list of lexicographer files (lexnames(5WN)), which Debian leaves out; nothing here reads the names."""


def load_synonyms(source: str) -> Synonyms | None:
    """Synonyms from a source as `engine.pipeline.Random` names it; None where there are none.

    Raises:
        InputError: WordNet is asked for and not on this machine, or a file holds no vectors.
    """
    if source == NONE:
        return None
    if source not in (AUTO, WORDNET):
        return neighbours(read_vectors(expanded(source), PLACE))
    folder = wordnet_folder()
    if folder is None and source == WORDNET:
        hint = "Install it, for instance with `python -m nltk.downloader wordnet`."
        raise InputError.of(PLACE, "WordNet is not on this machine", source, (NONE, "a file of vectors"), hint)
    return wordnet(folder) if folder else None


def synonyms_hash(source: str) -> str:
    """Hash of the files behind a source of synonyms, `none` where there are none."""
    if source not in (AUTO, WORDNET, NONE):
        return hash_of_files([expanded(source)])
    folder = None if source == NONE else wordnet_folder()
    return NONE if folder is None else hash_of_files(list(folder.glob("data.*")))


def wordnet_folder() -> Path | None:
    """Where WordNet's files lie; None where they do not."""
    import nltk

    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        with suppress(LookupError):
            return Path(str(nltk.data.find(name)))
    return DEBIAN if (DEBIAN / "data.noun").is_file() else None


def wordnet(folder: Path) -> Synonyms:
    """Lemmas that share a meaning with a word, the most usual meaning first."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))  # nltk reads from no other folders

    class Reader(WordNetCorpusReader):
        def __init__(self) -> None:
            self._owner = os.getpid()
            super().__init__(str(folder), None)

        def _data_file(self, part: str) -> Any:
            if self._owner != os.getpid():  # forked: the place in an open file would be shared
                self._data_file_map: dict[str, Any] = {}
                self._owner = os.getpid()
            return super()._data_file(part)

        def open(self, file: str) -> Any:
            missing = file == "lexnames" and not (folder / file).exists()
            return StringIO(LEXNAMES) if missing else super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """Serves other languages only, and would want index.sense."""

        def __del__(self) -> None:
            for file in getattr(self, "_data_file_map", {}).values():
                file.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other languages are not there
        reader = Reader()

    @cache
    def synonyms(word: str) -> tuple[str, ...]:
        lemmas = dict.fromkeys(name for synset in reader.synsets(word) for name in synset.lemma_names())
        return tuple(name for name in lemmas if name.isalpha() and name.lower() != word)

    return synonyms


def neighbours(vectors: KeyedVectors) -> Synonyms:
    """The nearest words by cosine."""
    vectors.fill_norms()
    vectors.norms[vectors.norms == 0] = 1  # a zero vector is near none

    @cache
    def synonyms(word: str) -> tuple[str, ...]:
        nearest = vectors.most_similar(word, topn=NEIGHBOURS) if word in vectors else ()
        return tuple(
            other for other, cosine in nearest if cosine >= LEAST_COSINE and other.isalpha() and other.lower() != word
        )

    return synonyms
