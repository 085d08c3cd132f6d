"""Samples of rows: the held-out set where a source has none, and smaller sets on request.

Decided here: a tenth of the rows is held out, at least 50 and at most 2,000, but never more than a third;
classes keep their shares, and a class with one row keeps it in training; questions about one context stay
together, because the same paragraph on both sides would flatter the score. scikit-learn draws the rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEAST, MOST = 50, 2_000


def held_out_size(rows: int) -> int:
    """How many of `rows` rows are held out.

    Example:
        >>> [held_out_size(rows) for rows in (3, 100, 3000, 100_000)]
        [1, 33, 300, 2000]
    """
    return min(max(rows // 10, LEAST), MOST, rows // 3)


def hold_out(
    strata: Sequence[int] | np.ndarray | None, groups: Sequence[Hashable] | np.ndarray | None, rows: int, seed: int
) -> list[int]:
    """The rows of the held-out set, in ascending order.

    Args:
        strata: Class of each row, whose shares are kept.
        groups: What each row belongs to; rows of one group stay together.
        rows: How many rows there are.
        seed: Of the choice.
    """
    size = held_out_size(rows)
    together = _whole_groups(groups, size, seed) if groups is not None else []
    return together or sample(rows, size, seed, strata, keep_one=True)


def sample(
    rows: int, size: int, seed: int, strata: Sequence[int] | np.ndarray | None = None, *, keep_one: bool = False
) -> list[int]:
    """`size` of `rows` rows in ascending order, each class with its share and, if there is room, a row.

    Args:
        rows: How many rows there are.
        size: How many are taken.
        seed: Of the choice.
        strata: Class of each row.
        keep_one: Whether one row of each class is left behind, even if the sample becomes smaller.

    Example:
        >>> len(sample(100, 10, seed=0)), sample(4, 2, seed=0, strata=[0, 1, 1, 1], keep_one=True)[0] > 0
        (10, True)
    """
    import numpy as np
    from sklearn.utils import resample, shuffle

    classes = np.zeros(rows, int) if strata is None else np.asarray(strata)
    mixed = shuffle(np.arange(rows), random_state=seed)
    names, firsts = np.unique(classes[mixed], return_index=True)
    pool = np.delete(mixed, firsts) if keep_one and strata is not None else mixed
    taken: list[int] = []
    while size := min(size, len(pool)):
        drawn = resample(pool, replace=False, n_samples=size, stratify=classes[pool], random_state=seed)
        absent = ~np.isin(names, classes[[*taken, *drawn]])
        if keep_one or size < len(names) - len(taken) or not absent.any():
            return sorted([*taken, *drawn.tolist()])
        taken += mixed[firsts[absent]].tolist()
        pool = pool[~np.isin(classes[pool], names[absent])]
        size -= int(absent.sum())
    return sorted(taken)


def _whole_groups(groups: Sequence[Hashable] | np.ndarray, size: int, seed: int) -> list[int]:
    """Rows of groups drawn at random, as many as fit into `size` rows; none where each is larger."""
    import numpy as np
    from sklearn.utils import shuffle

    _, members, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    drawn = shuffle(np.flatnonzero(counts <= size), random_state=seed)
    drawn = drawn[np.cumsum(counts[drawn]) <= size]
    return np.flatnonzero(np.isin(members, drawn)).tolist()
