"""Which rows belong together: those with equal texts, and the questions about one context.

Decided here: rows are equal where all their texts are, letter by letter, whatever their labels; a question belongs to
its context. A group is held out as a whole or not at all, because what was read in training flatters the score, and
where the source itself put one on both sides, a note counts its rows. Groups are made by hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.mapped import batches_of
from engine.data.cells import PIECE, values_of
from engine.data.task import KINDS, TaskKind


class Group(NamedTuple):
    """What the rows of a group have in common.

    Args:
        fields: The fields in which they agree; of these, those that a task has.
        whole: How a set was held out that splits no group, in a note.
        split: The same where groups had to be split.
        known: What is true of a held-out row whose group is in training too; of one, and of several.
    """

    fields: tuple[str, ...]
    whole: str
    split: str
    known: tuple[str, str]


CONTEXTS = Group(
    ("context",),
    "by context",
    "row by row (its contexts are too large to be held out whole)",
    ("has a context that training has too: its", "have a context that training has too: their"),
)
TEXTS = Group(
    (),
    "equal texts on one side",
    "row by row (too many texts are equal)",
    ("is also in training, word for word: its", "are also in training, word for word: their"),
)
GROUPS: Mapping[TaskKind, Group] = {
    kind: CONTEXTS if "context" in of_kind.fields else TEXTS._replace(fields=of_kind.fields)
    for kind, of_kind in KINDS.items()
}
"""Kind of task → what makes its groups."""


def groups_of(rows: pa.Table, kind: TaskKind) -> np.ndarray:
    """The number of each row's group, counted from 0 in the order of their first rows.

    Args:
        rows: In the normal form of the kind.

    Example:
        >>> groups_of(pa.table({"text": ["a", "b", "a"], "label": [0, 0, 1]}), "classification")
        array([0, 1, 0], dtype=int32)
    """
    hashes = _joined(_hashes(rows, GROUPS[kind].fields))
    _, firsts, groups = np.unique(hashes, return_index=True, return_inverse=True)
    numbers = np.empty(len(firsts), np.int32)
    numbers[np.argsort(firsts)] = np.arange(len(firsts))
    return numbers[groups]


def _hashes(rows: pa.Table, fields: Sequence[str]) -> Iterator[np.ndarray]:
    """A hash of those of some fields that each row has, int64, piece by piece."""
    fields = [field for field in fields if field in rows.column_names]
    for piece in batches_of(rows.select(fields), PIECE):
        texts = [pc.binary_join(of, "\0") if pa.types.is_list(of.type) else of for of in piece.columns]
        yield np.fromiter(map(hash, zip(*map(values_of, texts), strict=True)), np.int64, len(piece))


def _joined(pieces: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *pieces])


def hold_out(groups: np.ndarray, size: int, seed: int, strata: np.ndarray | None = None) -> np.ndarray:
    """Which rows are held out: whole groups, drawn at random, each class with its share.

    One group of a class after the other is taken where that brings what was taken nearer to the share of what was
    passed; so groups of one row give `size` rows. A class keeps one group, and one of more than twice `size` stays.

    Args:
        groups: Number of each row's group, 0 or more.
        size: How many rows, about; at most half of those whose class has another group.
        strata: Class of each row; a group has that of its last row.

    Returns:
        For each row whether it is held out.

    Example:
        >>> groups = np.arange(30) // 3
        >>> groups[hold_out(groups, 6, seed=0)].tolist()
        [0, 0, 0, 2, 2, 2]
    """
    random = np.random.default_rng(seed)
    counts = np.bincount(groups).astype(np.int32)
    classes = np.zeros(len(counts), np.int32)
    classes[groups] = 0 if strata is None else strata
    classes = random.permutation(classes.max() + 1).astype(np.int32)[classes]
    of_class = np.bincount(classes, counts > 0)  # groups
    movable = (counts > 0) & (counts <= 2 * size) & (of_class > 1)[classes]
    order = random.permutation(np.flatnonzero(movable).astype(np.int32))
    order = order[np.argsort(classes[order], kind="stable")]
    rows = int(counts[order].sum())
    size = min(size, rows // 2)
    taken = np.zeros(len(counts), dtype=bool)
    passed, share, held_out = 0, 0.0, 0.0
    for members in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1):
        left, most = of_class[classes[members]].max(initial=0), counts[members].max(initial=0) / 2
        held_out = min(max(held_out, share - most), share + most)  # a class makes up for others by a group at most
        for group, count in zip(members, map(int, counts[members]), strict=True):
            passed += count
            share = passed * size / rows
            if left > 1 and held_out + count / 2 <= share:
                taken[group], held_out, left = True, held_out + count, left - 1
    return taken[groups]


def known_rows(parts: Mapping[str, pa.Table], kind: TaskKind) -> Iterator[str]:
    """A note for each held-out set with rows that training has, too.

    Args:
        parts: The rows that train, under `train`, and the held-out sets.

    Example:
        >>> rows = pa.table({"text": ["a", "b", "c"], "label": [0, 0, 1]})
        >>> list(known_rows({"train": rows, "test": rows.slice(1)}, "classification"))
        ['2 of 2 test rows are also in training, word for word: their score flatters']
    """
    fields = GROUPS[kind].fields
    held_out = {split: _joined(_hashes(rows, fields)) for split, rows in parts.items() if split != "train"}
    groups = np.unique(_joined(held_out.values()))
    in_training = np.zeros(len(groups) + 1, dtype=bool)  # the last one stands for no group
    for hashes in _hashes(parts["train"], fields) if len(groups) else ():
        places = np.searchsorted(groups, hashes)
        in_training[places[groups[np.minimum(places, len(groups) - 1)] == hashes]] = True
    for split, hashes in held_out.items():
        if known := int(in_training[np.searchsorted(groups, hashes)].sum()):
            what = GROUPS[kind].known[known > 1]
            yield f"{known:,} of {len(hashes):,} {split} rows {what} score flatters"


def known_in(rows: pa.Table, others: Iterable[pa.Table], fields: Sequence[str]) -> np.ndarray:
    """Which rows agree with a row of other tables in those of some fields that they have.

    Example:
        >>> rows, others = pa.table({"text": ["a", "b"]}), [pa.table({"text": ["b"]}), pa.table({"text": ["c"]})]
        >>> known_in(rows, others, ("text",))
        array([False,  True])
    """
    known = pa.array(_joined(hashes for table in others for hashes in _hashes(table, fields)))
    found = (
        pc.is_in(pa.array(hashes), value_set=known).to_numpy(zero_copy_only=False) for hashes in _hashes(rows, fields)
    )
    return np.concatenate([np.zeros(0, bool), *found])
