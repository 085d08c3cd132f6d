"""Where a dataset lies among others: the mean of its words' vectors, weighted by TF-IDF.

Decided here: which sets of word vectors there are. Vectors of two sets are never compared: an embedding
is made from the counts of words when it is needed, with one set, and with the inverse document
frequencies of the datasets that may be known at that moment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.datasets.words import WordCounts, word_hashes
from engine.base.errors import InputError
from engine.base.files import hash_of_files, written_atomically
from engine.data.vectors import read_vectors

HASHED = "hashed"
HASHED_WIDTH, HASHED_BUCKETS = 50, 4096
HUB_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class WordVectors:
    """A set of word vectors.

    Args:
        name: Of the set, with a hash of its file.
        hashes: Of the words, ascending, uint32 (W,); None: every word has a vector, by its hash.
        matrix: Vectors, float32 (W, D).
    """

    name: str
    hashes: np.ndarray | None
    matrix: np.ndarray

    def known(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which words have a vector, bool (W,), and the rows of their vectors."""
        if self.hashes is None:
            return np.ones(len(hashes), dtype=bool), hashes % len(self.matrix)
        rows = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        found = self.hashes[rows] == hashes
        return found, rows[found]


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many datasets each word occurs.

    Args:
        hashes: Of the words, ascending, uint32 (W,).
        datasets_with: Datasets that contain each (W,).
        datasets: Datasets in all.
    """

    hashes: np.ndarray
    datasets_with: np.ndarray
    datasets: int

    @classmethod
    def of(cls, collections: Sequence[WordCounts]) -> DocumentFrequencies:
        """Counts over datasets."""
        hashes = [counts.hashes for counts in collections]
        everything = np.concatenate(hashes) if hashes else np.array([], dtype=np.uint32)
        words, datasets_with = np.unique(everything, return_counts=True)
        return cls(words, datasets_with, len(collections))

    def idf(self, hashes: np.ndarray) -> np.ndarray:
        """Inverse document frequency of words.

        Equation:
            IDF_w = log((1 + N) / (1 + N_w))   (Distiller, section 3.4)
        """
        datasets_with = pd.Series(self.datasets_with, self.hashes).reindex(hashes, fill_value=0)
        return np.log((1 + self.datasets) / (1 + datasets_with.to_numpy()))


def embed(words: WordCounts, frequencies: DocumentFrequencies, vectors: WordVectors) -> np.ndarray:
    """The embedding of a dataset.

    Equation:
        v_s = (1/|s|) Σ_w IDF_w · v_w over the words of the dataset   (Distiller, section 3.4)

    Shapes:
        Returns: float64 (D,); zeros where no word has a vector.
    """
    found, rows = vectors.known(words.hashes)
    weights = words.counts[found] * frequencies.idf(words.hashes[found])
    return weights @ vectors.matrix[rows].astype(np.float64) / max(words.total, 1)


def coverage(words: WordCounts, vectors: WordVectors) -> float:
    """Share of the dataset's words, by occurrence, that have a vector."""
    found, _ = vectors.known(words.hashes)
    return float(words.counts[found].sum() / max(words.total, 1))


# --- sets of vectors -------------------------------------------------------------------------------


def hashed_vectors() -> WordVectors:
    """Random vectors, the same everywhere: embeddings with them are random projections of TF-IDF bags.

    Two datasets are near each other where they share words; that two words mean alike is not known.
    """
    matrix = np.random.default_rng(0).standard_normal((HASHED_BUCKETS, HASHED_WIDTH)).astype(np.float32)
    return WordVectors(HASHED, None, matrix / math.sqrt(HASHED_WIDTH))


def load_vectors(source: str, cache: Path) -> WordVectors:
    """Word vectors from a text file of GloVe's form, from the hub, or hashed ones.

    Args:
        source: `hashed`, a file, or `owner/repository:file` on the hub.
        cache: Folder for the parsed form, which loads in a moment.

    Raises:
        InputError: There is no such file, or it holds no vectors.
    """
    if source == HASHED:
        return hashed_vectors()
    path = Path(source).expanduser()
    if not path.is_file():
        path = _from_hub(source)
    digest = hash_of_files([path])
    kept = cache / "vectors" / f"{digest}.npz"
    if not kept.is_file():
        words, matrix = read_vectors(path, "--vectors")
        hashes, first = np.unique(word_hashes(words), return_index=True)
        with written_atomically(kept) as aside, aside.open("wb") as file:
            np.savez(file, hashes=hashes, matrix=matrix[first])
    with np.load(kept, allow_pickle=False) as parts:
        return WordVectors(f"{path.name} ({digest[:8]})", parts["hashes"], parts["matrix"])


def _from_hub(source: str) -> Path:
    repository, _, file = source.partition(":")
    if not file or not HUB_REPOSITORY.fullmatch(repository):
        allowed = ("a text file of GloVe's form", "owner/repository:file of the hub", HASHED)
        raise InputError.of("--vectors", "no such file", repr(source), allowed)

    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        what = "could not be fetched from the hub"
        raise InputError.of("--vectors", what, repr(source), (), f"{error}".splitlines()[0]) from error
