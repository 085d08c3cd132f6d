"""Which examples form a batch.

Decided here: batches of similar length, because padding costs as much as text. Training batches
are random all the same: examples are sorted only within random buckets of `BUCKET` batches.
"""

import numpy as np

BUCKET = 50  # batches that are sorted by length together


def step_batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one training epoch as ids; the same for the same seed and epoch. One batch may be smaller.

    Example:
        >>> batches = step_batches(np.array([3, 9, 3, 9]), size=2, seed=0, epoch=0)
        >>> sorted(sorted(batch.tolist()) for batch in batches)
        [[0, 2], [1, 3]]
    """
    generator = np.random.default_rng([seed, epoch])
    batches: list[np.ndarray] = []
    for bucket in _cut(generator.permutation(len(lengths)), BUCKET * size):
        batches += _cut(bucket[np.argsort(lengths[bucket], kind="stable")], size)
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Batches for evaluation: the longest first, so that a lack of memory shows at once.

    Example:
        >>> [batch.tolist() for batch in sorted_batches(np.array([3, 9, 5]), size=2)]
        [[1, 2], [0]]
    """
    return _cut(np.argsort(-lengths, kind="stable"), size)


def _cut(ids: np.ndarray, size: int) -> list[np.ndarray]:
    return [ids[begin : begin + size] for begin in range(0, len(ids), size)]
