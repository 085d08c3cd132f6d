"""How often each word occurs in a dataset.

Decided here: what a word is, and that it is kept as a 32-bit hash. So the counts of a dataset hold no text, and any
set of word vectors can be applied to them later.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

WORD = re.compile(r"\w+(?:['’-]\w+)*")
MOST_WORDS, SHIPPED_WORDS = 20_000, 5_000
"""Words kept of a dataset, the most frequent ones: in a store, and in tables that are passed on."""


@dataclass(frozen=True)
class WordCounts:
    """Hashes of words, ascending, uint32 (W,); their occurrences, int64 (W,); `total` counts words not kept too."""

    hashes: np.ndarray
    counts: np.ndarray
    total: int

    @classmethod
    def of(cls, parts: Mapping[str, np.ndarray], prefix: str = "") -> WordCounts:
        """From the arrays of an npz file, named `prefix` and the field."""
        hashes, counts, total = (parts[prefix + part] for part in ("hashes", "counts", "total"))
        return cls(hashes, counts.astype(np.int64), int(total))

    def parts(self, prefix: str = "") -> dict[str, np.ndarray]:
        """The arrays that `of` reads, in few bytes."""
        least = np.min_scalar_type(self.counts.max(initial=0))
        found = {"hashes": self.hashes, "counts": self.counts.astype(least), "total": np.array(self.total, np.int64)}
        return {prefix + name: part for name, part in found.items()}


def word_hashes(words: Iterable[str]) -> np.ndarray:
    """The hash of each word, uint32 (W,)."""
    from sklearn.utils import murmurhash3_32  # takes most of a second

    return np.fromiter((murmurhash3_32(word, positive=True) for word in words), dtype=np.uint32)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case.

    Example:
        >>> words_of("It doesn't work!")
        ['it', "doesn't", 'work']
    """
    return WORD.findall(text.lower())


def count_words(texts: Iterable[str], most: int = MOST_WORDS) -> WordCounts:
    """Counts the words of texts.

    Example:
        >>> count_words(["a b a"]).counts.sum()
        np.int64(3)
    """
    counted = Counter(chain.from_iterable(map(words_of, texts)))
    kept = counted.most_common(most)
    hashes, rows = np.unique(word_hashes(word for word, _ in kept), return_inverse=True)
    counts = np.bincount(rows, weights=[count for _, count in kept], minlength=len(hashes))
    return WordCounts(hashes, counts.astype(np.int64), counted.total())
