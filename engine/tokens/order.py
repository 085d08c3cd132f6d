"""Which examples form a batch.

Decided here: batches of similar length, because padding costs as much as text. Training batches
are random all the same: examples are sorted only within random buckets of `BUCKET` batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

BUCKET = 50  # batches that are sorted by length together


@dataclass(frozen=True, eq=False)
class Batches(Sequence[np.ndarray]):
    """Batches of ids, cut when they are asked for: an epoch of millions of examples is two arrays.

    Args:
        ids: (n,) int32, each batch behind the other.
        size: Ids of a batch; the last one of `ids` may be smaller.
        turns: The batches in their order, by their number within `ids`.
    """

    ids: np.ndarray
    size: int
    turns: np.ndarray

    def __len__(self) -> int:
        return len(self.turns)

    @overload
    def __getitem__(self, index: int | np.integer) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> Batches: ...

    def __getitem__(self, index: int | np.integer | slice) -> np.ndarray | Batches:
        if isinstance(index, slice):
            return Batches(self.ids, self.size, self.turns[index])
        begin = int(self.turns[index]) * self.size
        return self.ids[begin : begin + self.size]


def step_batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> Batches:
    """The batches of one training epoch as ids; the same for the same seed and epoch. One batch may be smaller.

    Example:
        >>> batches = step_batches(np.array([3, 9, 3, 9]), size=2, seed=0, epoch=0)
        >>> sorted(sorted(batch.tolist()) for batch in batches)
        [[0, 2], [1, 3]]
    """
    generator = np.random.default_rng([seed, epoch])
    ids = np.arange(len(lengths), dtype=np.int32)
    generator.shuffle(ids)
    for begin in range(0, len(ids), BUCKET * size):
        bucket = ids[begin : begin + BUCKET * size]
        bucket[:] = bucket[np.argsort(lengths[bucket], kind="stable")]
    return Batches(ids, size, generator.permutation(math.ceil(len(ids) / size)))


def sorted_batches(lengths: np.ndarray, size: int) -> Batches:
    """Batches for evaluation: the longest first, so that a lack of memory shows at once.

    Example:
        >>> [batch.tolist() for batch in sorted_batches(np.array([3, 9, 5]), size=2)]
        [[1, 2], [0]]
    """
    ids = np.argsort(-lengths, kind="stable").astype(np.int32)
    return Batches(ids, size, np.arange(math.ceil(len(ids) / size)))
