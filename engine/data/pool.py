"""The pool: further training texts without labels, which the teacher labels and the student learns from beside the
labelled rows.

Decided here: the pool has the text columns of the training rows, and a label column in it is not read. Texts that are
held out leave it (in question answering those whose context is), for what was read in training flatters the score; so
do texts that training has with a label. A row of the pool has an empty target, which nothing may read: `LABELLED` tells
it from the others (`Task.learned`). The pool lies in files, as all rows do, and is part of the task's fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import InputError, counted
from engine.base.mapped import batches_of, mapped_table
from engine.data.cells import PIECE
from engine.data.checks import ANSWERS, WHOLE, normalise
from engine.data.groups import GROUPS, known_in
from engine.data.rows import Findings, RawSplit, Source
from engine.data.soft import SoftLabels, with_soft_labels
from engine.data.sources import read_source
from engine.data.splits import Parts, sample, taken
from engine.data.task import KINDS, TaskKind

if TYPE_CHECKING:
    from engine.data.schema import Schema
    from engine.data.sources import Data

PLACE = "--unlabelled"
NAMES = ("unlabelled", "unlabeled", "unsupervised")
"""What a split of such texts is called."""
NO_ANSWER: dict[str, list[object]] = {"text": [], "answer_start": []}


def pool_rows(
    data: Data | None,
    schema: Schema,
    parts: Parts,
    limit: int | None,
    seed: int,
    notes: list[str],
    soft: SoftLabels | None = None,
) -> pa.Table | None:
    """The texts of a pool in normal form, of which `notes` say what became of them; None where there is none.

    Args:
        data: As `load_task` takes it.
        schema: Of the training rows.
        parts: The rows that train, under `train`, and those that are held out.
        limit: The most texts that are kept, drawn by the seed.
        soft: Soft labels that each of them has, where no model teaches.

    Raises:
        InputError: With every unusable row; or no text is left.
    """
    if data is None:
        return None
    source = read_source(data)
    split, findings = _split(source), Findings()
    rows = normalise(split, schema, findings, notes, labelled=False, published=source.declared.published)
    if soft is not None:
        rows = with_soft_labels(rows, split, schema, soft, findings, needed=True)
    findings.check()
    rows = _unknown(rows, schema.kind, parts, notes)
    if not len(rows):
        raise InputError.of(PLACE, "no text is left: all are held out, or in training", split.where)
    if limit is not None and len(rows) > limit:
        notes.append(f"unlabelled: a sample of {limit:,} of {len(rows):,} texts, seed {seed}")
        rows = taken(rows, np.array(sample(len(rows), limit, seed)))
    column = schema.columns[schema.target]
    ignored = f"; column '{column}' is not read" if column in split.names else ""
    by_whom = "for the teacher to label" if soft is None else f"labelled by their {soft.words}"
    notes.append(f"unlabelled: {counted(len(rows), 'text')} of {split.where}, {by_whom}{ignored}")
    return rows


def _unknown(rows: pa.Table, kind: TaskKind, parts: Parts, notes: list[str]) -> pa.Table:
    """The texts that are not held out, and not in training; a note counts the others."""
    fields, group = KINDS[kind].fields, GROUPS[kind].fields
    held_out = [table for role, sets in parts.items() if role != "train" for table in sets.values()]
    why_held_out = "held out, word for word" if group == fields else f"whose {' and '.join(group)} is held out"
    for why, others, by in (
        (why_held_out, held_out, group),
        ("in training with a label", list(parts["train"].values()), fields),
    ):
        known = known_in(rows, others, by)
        if known.any():
            notes.append(f"unlabelled: {counted(int(known.sum()), 'text')} left out ({why})")
            rows = taken(rows, np.flatnonzero(~known))
    return rows


def _split(source: Source) -> RawSplit:
    """The texts of a source: its only split, or that which is called so, or that of training."""
    splits = {split.split("_")[0].lower(): split for split in reversed(list(source.splits))}
    for name in (*NAMES, "train", *list(splits)[: len(source.splits) == 1]):
        if name in splits:
            return source.splits[splits[name]]
    allowed = (NAMES[0], "train")
    raise InputError.of(PLACE, "several splits, and none of them is called so", ", ".join(source.splits), allowed)


def with_targets(rows: pa.Table, kind: TaskKind) -> pa.Table:
    """The rows of a pool, each with an empty target."""
    schema = rows.schema.append(pa.field(KINDS[kind].target, NOTHING[kind].type))

    def complete() -> Iterator[pa.RecordBatch]:
        for piece in batches_of(rows, PIECE):
            yield pa.record_batch([*piece.columns, NOTHING[kind].of(piece)], schema=schema)

    return mapped_table(complete(), schema)


def _no_tags(piece: pa.RecordBatch) -> pa.Array:
    """A tag for each word, as where words have some: it says where a tag would stand."""
    ends = np.cumsum([0, *pc.list_value_length(piece["tokens"]).to_pylist()])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(np.zeros(ends[-1], np.int64)))


class Nothing(NamedTuple):
    """The target of rows without a label: its type, and those of some rows."""

    type: pa.DataType
    of: Callable[[pa.RecordBatch], pa.Array]


NOTHING: Mapping[TaskKind, Nothing] = {
    "classification": Nothing(pa.int64(), lambda piece: pa.array(np.zeros(len(piece), np.int64))),
    "regression": Nothing(pa.float64(), lambda piece: pa.array(np.zeros(len(piece)))),
    "tagging": Nothing(WHOLE, _no_tags),
    "question_answering": Nothing(ANSWERS, lambda piece: pa.array([NO_ANSWER] * len(piece), ANSWERS)),
    "multi_label": Nothing(WHOLE, lambda piece: pa.array([[]] * len(piece), WHOLE)),
}
