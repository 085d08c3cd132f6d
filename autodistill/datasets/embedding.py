"""Where a dataset lies among others: the mean of its words' vectors, weighted by TF-IDF.

Decided here: GloVe's most frequent words, which come with the project, unless another set is named. Vectors of two
sets are never compared: an embedding is made from the counts of words when it is needed, with one set, and with the
inverse document frequencies of the datasets that may be known at that moment.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodistill.datasets.words import WordCounts, word_hashes
from engine.base.cache import keeping, kept, recalled
from engine.base.errors import InputError
from engine.base.files import hash_of_files
from engine.base.progress import Reporter, SilentReporter
from engine.base.text import expanded
from engine.data.vectors import FORMS, read_vectors
from meta_data import GLOVE as SHIPPED

GLOVE = "glove"
ARRAYS, LAYOUT = ("hashes.npy", "matrix.npy"), 2
"""What is kept of vectors that were read."""
HUB_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class WordVectors:
    """A named set: hashes of the words, ascending, uint32 (W,), and their vectors, float32 (W, D)."""

    name: str
    hashes: np.ndarray
    matrix: np.ndarray

    def rows(self, words: WordCounts) -> tuple[np.ndarray, np.ndarray]:
        """The rows of those words that have a vector, and how often each of them occurs."""
        _, rows, places = np.intersect1d(self.hashes, words.hashes, assume_unique=True, return_indices=True)
        return rows, words.counts[places]


def inverse_frequencies(datasets: Sequence[WordCounts], vectors: WordVectors) -> np.ndarray:
    """The inverse document frequency of each word of a set, over datasets (W,).

    Equation:
        IDF_w = log((1 + N) / (1 + N_w))   (Distiller, section 3.4), N datasets of which N_w have the word.
    """
    having = np.zeros(len(vectors.hashes))
    for words in datasets:
        having[vectors.rows(words)[0]] += 1
    return np.log((1 + len(datasets)) / (1 + having))


def embed(words: WordCounts, idf: np.ndarray, vectors: WordVectors) -> np.ndarray:
    """The embedding of a dataset, float64 (D,); zeros where no word has a vector.

    Equation:
        v_s = (1/|s|) Σ_w IDF_w · v_w over the words of the dataset   (Distiller, section 3.4)
    """
    rows, counts = vectors.rows(words)
    return (counts * idf[rows]) @ vectors.matrix[rows].astype(np.float64) / max(words.total, 1)


def load_vectors(
    source: str,
    cache: Path,
    reporter: Reporter = SilentReporter(),  # noqa: B008 - without a state
) -> WordVectors:
    """The word vectors of `glove`, a file in one of `FORMS`, or `owner/repository:file` on the hub.

    Args:
        cache: Folder where they are kept, so that they load in a moment.
        reporter: Is told where that is damaged.

    Raises:
        InputError: There is no such file, or it cannot be read.
    """
    path = SHIPPED if source == GLOVE else expanded(source)
    if not path.is_file():
        path = _from_hub(source)
    digest = hash_of_files([path])
    folder = kept(cache, "vectors", digest, LAYOUT)
    found = recalled(folder, reporter, lambda at: [np.load(at / name, allow_pickle=False) for name in ARRAYS])
    if found is None:
        read = read_vectors(path, "--vectors")
        hashes, first = np.unique(word_hashes(read.index_to_key), return_index=True)
        found = [hashes, read.vectors[first]]
        with keeping(folder) as aside:
            for name, array in zip(ARRAYS, found, strict=True):
                np.save(aside / name, array)
    return WordVectors(f"{path.name} ({digest[:8]})", *found)


def _from_hub(source: str) -> Path:
    repository, _, file = source.partition(":")
    if not file or not HUB_REPOSITORY.fullmatch(repository):
        allowed = (GLOVE, *FORMS, "owner/repository:file of the hub")
        raise InputError.of("--vectors", "no such file", repr(source), allowed)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        what = "could not be fetched from the hub"
        raise InputError.of("--vectors", what, repr(source), (), f"{error}".splitlines()[0]) from error
