"""Samples of rows: the held-out set where a source has none, and smaller sets on request.

Decided here: a tenth of the rows is held out, at least 50 and at most 2,000, but never more than a third;
classes keep their shares, and a class with one row keeps it in training; questions about one context stay
together, because the same paragraph on both sides would flatter the score.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

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
    strata: Sequence[int] | np.ndarray | None,
    groups: Sequence[Hashable] | np.ndarray | None,
    rows: int,
    seed: int,
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
    rows: int,
    size: int,
    seed: int,
    strata: Sequence[int] | np.ndarray | None = None,
    *,
    keep_one: bool = False,
) -> list[int]:
    """`size` of `rows` rows in ascending order, each class with its share.

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

    generator = np.random.default_rng(seed)
    if strata is None:
        return sorted(generator.permutation(rows)[:size].tolist())
    _, members, counts = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    taken = [
        generator.permutation(np.flatnonzero(members == index))[:share]
        for index, share in enumerate(_shares(counts, size, keep_one))
    ]
    return sorted(np.concatenate(taken).tolist())


def _shares(counts: np.ndarray, size: int, keep_one: bool) -> list[int]:
    """How many rows of each class: largest remainders, and one of each class while there is room."""
    import numpy as np

    highest = counts - 1 if keep_one else counts
    lowest = np.minimum(highest, 0 if keep_one or size < len(counts) else 1)
    quota = counts * (size / counts.sum())
    shares = np.clip(np.floor(quota).astype(int), lowest, highest)
    while shares.sum() != size:
        lacking = shares.sum() < size
        movable = shares < highest if lacking else shares > lowest
        if not movable.any():
            break
        gap = np.where(movable, quota - shares if lacking else shares - quota, -np.inf)
        shares[int(np.argmax(gap))] += 1 if lacking else -1
    return shares.tolist()


def _whole_groups(groups: Sequence[Hashable] | np.ndarray, size: int, seed: int) -> list[int]:
    """Rows of groups drawn at random, as many as fit into `size` rows; none where each is larger."""
    import numpy as np

    members: dict[Any, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    drawn = list(members.values())
    taken: list[int] = []
    for index in np.random.default_rng(seed).permutation(len(drawn)):
        if len(taken) + len(drawn[index]) <= size:
            taken += drawn[index]
    return sorted(taken)
