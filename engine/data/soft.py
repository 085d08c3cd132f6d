"""Soft labels that come with the data: what an API, a large language model or an own ensemble says of each row.

Decided here: they stand in a column for each label, `<prefix><label>`, or in one list column called like the prefix,
in the order of the labels; of a regression in one column of numbers. Every row that trains has them, and no label is
missing. Probabilities become logits, their logarithms, which give the same distribution again; less than `LEAST`
counts as that. Where a text may have several labels each probability is by itself, and becomes the logarithm of its
odds. A held-out set has them wholly, and then they are scored as a teacher is, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.base.errors import InputError, Problem, listed
from engine.base.mapped import mapped_table
from engine.data.cells import numbers, values_of
from engine.data.rows import Findings, RawSplit
from engine.data.task import KINDS, SOFT

if TYPE_CHECKING:
    from engine.data.schema import Schema

LEAST = 1e-7
NEAR = 0.01
"""How far probabilities may be from a sum of 1, for they are often rounded."""
TYPE = pa.list_(pa.float64())


@dataclass(frozen=True)
class SoftLabels:
    """Where they stand, and what they are."""

    prefix: str
    probabilities: bool = False

    @property
    def option(self) -> str:
        """What named them."""
        return "--teacher-probabilities" if self.probabilities else "--teacher-logits"

    @property
    def words(self) -> str:
        """What they are called in place of a teacher."""
        return f"{'probabilities' if self.probabilities else 'logits'} {self.prefix}*"

    def columns_in(self, split: RawSplit) -> list[str]:
        """Every column whose name begins with the prefix."""
        return [name for name in split.names if name.startswith(self.prefix)]

    def without(self, split: RawSplit) -> RawSplit:
        """The split without them, for those who look for texts and labels."""
        return replace(split, table=split.table.drop_columns(self.columns_in(split)))


def soft_labels(logits: str | None, probabilities: str | None) -> SoftLabels | None:
    """Those that were asked for; None where none were.

    Raises:
        InputError: Both were named.
    """
    if logits is not None and probabilities is not None:
        raise InputError.of("--teacher-logits", "only one of both can be", f"--teacher-probabilities {probabilities}")
    if logits is None and probabilities is None:
        return None
    return SoftLabels(logits or probabilities or "", probabilities is not None)


def check_kind(soft: SoftLabels, schema: Schema) -> None:
    """Raises an `InputError` where this kind of task has no such labels."""
    named = schema.kind.replace("_", " ")
    if KINDS[schema.kind].per_token:
        what = "in this kind of task the teacher answers for each token, and tokens are a model's"
        raise InputError.of(soft.option, what, named, ("classification", "multi_label", "regression"))
    if schema.kind == "regression" and soft.probabilities:
        raise InputError.of(soft.option, "a regression has no classes", named, ("--teacher-logits",))


def with_soft_labels(
    rows: pa.Table, split: RawSplit, schema: Schema, soft: SoftLabels, findings: Findings, needed: bool
) -> pa.Table:
    """Rows in normal form with the field `SOFT`; as they are where the split has no such column and `needed` is false.

    Args:
        findings: Receives every column that is missing or too much, and every row that is wrong.
    """
    there = soft.columns_in(split)
    if not len(rows) or not (there or needed):
        return rows
    whole = schema.kind == "regression" or there == [soft.prefix]
    wanted = [soft.prefix] if whole else [soft.prefix + label for label in schema.labels]
    for column in wanted:
        if column not in there:
            findings.add(Problem(split.where, f"no column '{column}', which {soft.option} needs", listed(split.names)))
    for column in there:
        if column not in wanted:
            findings.add(Problem(split.where, f"column '{column}' is of no label", soft.option, schema.labels))
    if set(wanted) != set(there):
        return rows
    width = len(schema.labels) or 1
    several = KINDS[schema.kind].independent
    found = mapped_table(_read(split, wanted, width, soft, findings, several), pa.schema({SOFT: TYPE}))
    return rows.append_column(SOFT, found[SOFT])


def _read(
    split: RawSplit, columns: Sequence[str], width: int, soft: SoftLabels, findings: Findings, several: bool
) -> Iterator[pa.RecordBatch]:
    for start, cells in split.pieces(*columns):
        values = _in_lists(cells[0], width) if len(cells) < width or _nested(cells[0]) else _side_by_side(cells)
        for row in np.flatnonzero(~np.isfinite(values).all(1)):
            got = ", ".join(str(each[int(row)].as_py()) for each in cells)
            findings.row(split, start + int(row), f"a soft label must be {width} finite numbers", got)
        if soft.probabilities:
            wrong = (values > 1).any(1) if several else abs(values.sum(1) - 1) > NEAR  # NaN is neither
            for row in np.flatnonzero((values < 0).any(1) | wrong):
                got = ", ".join(f"{value:g}" for value in values[row])
                what = f"probabilities must be from 0 to 1{'' if several else ', and sum to 1'}"
                findings.row(split, start + int(row), what, got)
            values = np.log(np.maximum(values, LEAST)) - several * np.log(np.maximum(1 - values, LEAST))
        ends = np.arange(0, values.size + 1, width, dtype=np.int32)
        yield pa.record_batch([pa.ListArray.from_arrays(ends, values.ravel())], schema=pa.schema({SOFT: TYPE}))


def _nested(cells: pa.Array) -> bool:
    return bool(pa.types.is_nested(cells.type))


def _side_by_side(cells: Sequence[pa.Array]) -> np.ndarray:
    """(n, C) of C columns; NaN where there is no number."""
    return np.stack([numbers(each).to_numpy(zero_copy_only=False) for each in cells], axis=1).astype(np.float64)


def _in_lists(cells: pa.Array, width: int) -> np.ndarray:
    """(n, C) of a column of lists; NaN where a list has another length, or no numbers."""
    return np.array([_row(value, width) for value in values_of(cells)], np.float64)


def _row(value: Any, width: int) -> list[float]:
    fits = isinstance(value, list) and len(value) == width
    if not fits or any(isinstance(each, bool) or not isinstance(each, int | float) for each in value):
        return [np.nan] * width
    return [float(each) for each in value]
