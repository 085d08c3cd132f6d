"""Rows of different lengths: one flat array with offsets, in the smallest type that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.base.mapped import AROUND, count_read, mapped_array, smallest

Ids = Sequence[int] | np.ndarray
NO_LABEL = -100  # fills labels where there is none; what torch's cross-entropy ignores


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths in one flat array.

    Example:
        >>> rows = Ragged.of(np.array([5, 6, 7]), np.array([1, 2]))
        >>> rows.padded([1, 0], fill=-1).tolist()
        [[6, 7], [5, -1]]
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, lengths: np.ndarray) -> Ragged:
        """Flat values are kept in the smallest integer type that holds them."""
        return cls(values.astype(smallest(values)), offsets_of(lengths))

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int32 values in each row."""
        return np.diff(self.offsets).astype(np.int32)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.values[self.offsets[index] : self.offsets[index + 1]].astype(np.int64)

    def padded(self, ids: Ids, width: int | None = None, fill: int = 0) -> np.ndarray:
        """(B, width) int64: some rows side by side, cut or filled up to `width` (their longest)."""
        ids = np.asarray(ids, dtype=np.int64)
        starts = self.offsets[ids][:, None]
        lengths = self.offsets[ids + 1][:, None] - starts
        column = np.arange(lengths.max(initial=0) if width is None else width)
        out = np.full((len(ids), len(column)), fill, dtype=np.int64)
        inside = column < lengths
        out[inside] = self.values[(starts + column)[inside]]
        count_read(len(ids) * AROUND)
        return out


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(n + 1,) int64: where each row begins, one behind the other, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, dtype=np.int64, out=offsets[1:])
    return mapped_array(offsets)
