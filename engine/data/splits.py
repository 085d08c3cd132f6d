"""Which rows train, select (validation) and report (test): what becomes of a source's splits, and samples of rows.

Decided here: what selects does not report. Where a source has no validation set, a tenth of the training rows is held
out, at least 50 and at most 2,000; where it has no labelled test set either, another tenth; together never more than a
third. A source that brings its validation set alone keeps its rows as they are, and one that is too small for a test
set of ten rows holds out validation alone: then scores are of rows that also selected. Equal texts, and questions about
one context, are held out together (`engine.data.groups`), unless whole groups come to less than half of what is wanted
or half as much again, or to fewer than ten rows: then rows are held out one by one, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import InputError, Problem, counted, listed
from engine.base.mapped import batches_of, mapped_table
from engine.data.cells import PIECE, different, in_shares, is_missing
from engine.data.checks import normalise
from engine.data.groups import GROUPS, groups_of, hold_out, known_rows
from engine.data.label_sets import rarest, why_nothing
from engine.data.rows import Findings, RawSplit, Source
from engine.data.schema import Schema
from engine.data.soft import SoftLabels, with_soft_labels
from engine.data.task import TaskKind

if TYPE_CHECKING:
    from datasets import Dataset

LEAST, MOST = 50, 2_000
SKEWED = 0.8  # share of the largest class from which its accuracy is spoken of
FEWEST = 10  # rows of a test set that is worth holding out
ROLES = ("train", "validation", "test")
"""Of the rows that have labels."""
Parts = dict[str, dict[str, pa.Table]]
"""Role (`train`, `validation`, `test`, `unlabelled`) → name of a split → its rows in normal form."""


def at_most(rows: Dataset, limit: int, seed: int, kind: TaskKind) -> Dataset:
    """The rows, or a sample of them in which classes keep their shares."""
    return rows if len(rows) <= limit else rows.select(drawn(rows, limit, seed, kind))


def drawn(rows: Dataset, size: int, seed: int, kind: TaskKind) -> list[int]:
    """The places of `size` rows, ascending, in which classes keep their shares."""
    return sample(len(rows), size, seed, strata_of(rows.with_format("arrow")[:], kind))


def strata_of(rows: pa.Table, kind: TaskKind) -> np.ndarray | None:
    """The class of each row, which keeps its share in a sample: its label, or the rarest of several; None where a task
    has no such thing."""
    if kind == "multi_label":
        found = pc.max(pc.list_flatten(rows["label"])).as_py()
        return rarest(rows["label"], 1 + (-1 if found is None else found))
    return rows["label"].to_numpy() if kind == "classification" else None


def held_out_size(rows: int, sets: int = 1) -> int:
    """How many of `rows` rows are held out for each of so many sets.

    Example:
        >>> [held_out_size(rows) for rows in (3, 100, 3000, 100_000)]
        [1, 33, 300, 2000]
        >>> [held_out_size(rows, sets=2) for rows in (3, 100, 3000, 100_000)]
        [0, 16, 300, 2000]
    """
    return min(max(rows // 10, LEAST), MOST, rows // (3 * sets))


def sample(rows: int, size: int, seed: int, strata: Sequence[int] | np.ndarray | None = None) -> list[int]:
    """`size` of `rows` rows in ascending order, each class with its share and, if there is room, a row.

    Args:
        strata: Class of each row.

    Example:
        >>> len(sample(100, 10, seed=0)), 0 in sample(4, 2, seed=0, strata=[0, 1, 1, 1])
        (10, True)
    """
    from sklearn.utils import resample, shuffle

    classes = np.zeros(rows, int) if strata is None else np.asarray(strata)
    pool = mixed = shuffle(np.arange(rows), random_state=seed)
    names, firsts = np.unique(classes[mixed], return_index=True)
    taken: list[int] = []
    while size := min(size, len(pool)):
        drawn = resample(pool, replace=False, n_samples=size, stratify=classes[pool], random_state=seed)
        absent = ~np.isin(names, classes[[*taken, *drawn]])
        if size < len(names) - len(taken) or not absent.any():
            return sorted([*taken, *drawn.tolist()])
        taken += mixed[firsts[absent]].tolist()
        pool = pool[~np.isin(classes[pool], names[absent])]
        size -= int(absent.sum())
    return sorted(taken)


def training_split(source: Source) -> RawSplit:
    """The training rows: `train`, or the only split whose name begins so; an `InputError` unless there is one."""
    names = _named(source, "train")
    if len(names) == 1:
        return source.splits[names[0]]
    what = "several training splits; name one of them train" if names else "no training split"
    raise InputError.of(source.name, what, ", ".join(source.splits) or "nothing", ("train",))


def _named(source: Source, role: str) -> list[str]:
    """The splits of a role; of training, `train` alone where there is one."""
    names = [split for split in source.splits if split.split("_")[0] == role]
    return ["train"] if "train" in names else names


def divided(
    parts: Parts, schema: Schema, where: str, seed: int, limits: Mapping[str, int | None], notes: list[str]
) -> dict[str, pa.Table]:
    """Holds out what `parts` lack, and samples; `notes` say what became of each set.

    Args:
        parts: From `normalised`; changed in place.
        where: The place of the training rows.
        limits: Role → the most rows that each of its sets keeps.

    Returns:
        The sets with labels: training, then validation, then tests.

    Raises:
        InputError: Nothing can be learned from the rows.
    """
    _hold_out_what_is_missing(parts, schema, seed, notes)
    labelled = _labelled(parts)
    _check_targets(labelled, schema, where)
    notes += _remarks(labelled, schema)
    for role in ROLES:
        for split, rows in parts[role].items():
            parts[role][split] = _sampled(split, rows, schema, limits[role], seed, notes)
    labelled = _labelled(parts)
    notes += known_rows(labelled, schema.kind)
    return labelled


def _labelled(parts: Parts) -> dict[str, pa.Table]:
    return {split: rows for role in ROLES for split, rows in parts[role].items()}


def normalised(
    source: Source, schema: Schema, train: RawSplit, notes: list[str], soft: SoftLabels | None = None
) -> Parts:
    """The rows of every role in normal form, all of them; `notes` say what is not used.

    Args:
        soft: Soft labels that those of training have, and others may have.

    Raises:
        InputError: With every unusable row.
    """
    tests = _named(source, "test")
    labelled = [split for split in tests if _is_labelled(source.splits[split], schema)]
    names = {"validation": _named(source, "validation"), "test": labelled}
    names["unlabelled"] = [split for split in tests if split not in labelled]
    used = {*_named(source, "train"), *chain(*names.values())}
    if unused := [split for split in source.splits if split not in used]:
        notes.append(f"splits that are not used: {', '.join(unused)}")
    findings = Findings()

    def normal(split: RawSplit, *, labelled: bool = True) -> pa.Table:
        rows = normalise(split, schema, findings, notes, labelled=labelled, published=source.declared.published)
        return with_soft_labels(rows, split, schema, soft, findings, split is train) if soft and labelled else rows

    parts: Parts = {"train": {"train": normal(train)}}
    for role, splits in names.items():
        # A single set is called by its role, unless another one is.
        plain = len(splits) == 1 and role not in ("unlabelled", *names["unlabelled"])
        rows = {split: normal(source.splits[split], labelled=role != "unlabelled") for split in splits}
        parts[role] = {role if plain else split: table for split, table in rows.items()}
    findings.check()
    return parts


def check_test(source: Source, schema: Schema) -> None:
    """Raises an `InputError` where the rows that were named as test set have no labels."""
    split, column = source.splits["test"], schema.columns[schema.target]
    if not _is_labelled(split, schema):
        what = f"a test set needs labels, in column '{column}'"
        raise InputError.of("--test", what, f"{split.where}: {', '.join(split.names)}")


def _is_labelled(split: RawSplit, schema: Schema) -> bool:
    """Whether any row has a label; −1 is none where classes were declared, and in regression."""
    column = schema.columns[schema.target]
    unlabelled = (-1, "-1") if schema.fixed_labels or schema.kind == "regression" else ()
    return column in split.names and any(
        not is_missing(cell) and cell not in unlabelled and cell != [] for cell in different(split.table[column])
    )


def _hold_out_what_is_missing(parts: Parts, schema: Schema, seed: int, notes: list[str]) -> None:
    """Moves rows of training to the sets that are missing: to validation, and with it to the test set."""
    rows = len(parts["train"]["train"])
    missing = [role for role in ("test", "validation") if not parts[role]]
    if parts["validation"] or held_out_size(rows, 2) < FEWEST:
        missing = [role for role in missing if role != "test"]
    size = held_out_size(rows, max(len(missing), 1))
    train, left = parts["train"]["train"], np.arange(rows, dtype=np.int32)
    groups, strata = groups_of(train, schema.kind) if missing else np.empty(0), strata_of(train, schema.kind)
    for role in missing:
        of_left = None if strata is None else strata[left]
        held_out, manner = _drawn(groups[left], of_left, schema, size, seed)
        if not held_out.any():
            what = f"too few rows to hold out a {role} set"
            advice = f"Give a {role} set, or more rows."
            raise InputError.of("train", what, counted(rows, "row"), suggestion=advice)
        share = f"{100 * held_out.sum() / rows:.0f} % of the rows ({held_out.sum():,})"
        notes.append(f"no {role} set: {share} held out, {manner}seed {seed}")
        parts[role][role] = taken(train, left[held_out])
        left = left[~held_out]
    if missing:
        parts["train"]["train"] = taken(train, left)
    if not parts["test"]:
        first = next(iter(parts["validation"]))
        notes.append(f"no labelled test set: scores are of {first}, which also selects; --test names one")


def taken(rows: pa.Table, chosen: np.ndarray) -> pa.Table:
    """Some rows, by their numbers in ascending order."""
    starts = np.cumsum([0, *map(len, rows.to_batches(PIECE))])

    def of(batch: pa.RecordBatch, begin: int) -> pa.RecordBatch:
        here = slice(*np.searchsorted(chosen, (begin, begin + len(batch))))
        return batch.take(pa.array(chosen[here] - begin))

    return mapped_table(map(of, batches_of(rows, PIECE), starts.tolist()), rows.schema)


def _drawn(
    groups: np.ndarray, strata: np.ndarray | None, schema: Schema, size: int, seed: int
) -> tuple[np.ndarray, str]:
    """Which rows are held out, about `size`, and how they were drawn, in words."""
    manner = _manner(schema)
    if np.bincount(groups).max() == 1:  # each row is a group
        return hold_out(groups, size, seed, strata), manner
    for wanted in (size, 3 * size // 2):  # a few large groups may just miss what is needed
        held_out = hold_out(groups, wanted, seed, strata)
        if max(size // 2, min(size, FEWEST)) <= held_out.sum() <= 3 * size // 2:
            return held_out, f"{manner}{GROUPS[schema.kind].whole}, "
    return hold_out(np.arange(len(groups)), size, seed, strata), f"{manner}{GROUPS[schema.kind].split}, "


def _sampled(split: str, rows: pa.Table, schema: Schema, limit: int | None, seed: int, notes: list[str]) -> pa.Table:
    if limit is None or len(rows) <= limit:
        return rows
    notes.append(f"{split}: a sample of {limit:,} of {len(rows):,} rows, {_manner(schema)}seed {seed}")
    return taken(rows, np.array(sample(len(rows), limit, seed, strata_of(rows, schema.kind))))


def _manner(schema: Schema) -> str:
    by = {"classification": "stratified by label, ", "multi_label": "stratified by each row's rarest label, "}
    return by.get(schema.kind, "")


def _check_targets(parts: Mapping[str, pa.Table], schema: Schema, where: str) -> None:
    """Raises an `InputError` where nothing can be learned, or no score computed."""
    train = parts["train"]
    findings = Findings()
    if len(train) < 2:
        findings.add(Problem(where, "too few training rows", str(len(train)), ("at least 2",)))
    if schema.kind == "multi_label" and (what := why_nothing(train["label"])):
        findings.add(Problem(where, what))
    if schema.kind != "multi_label" and schema.labels and len(found := _labels_in(train, schema)) == 1:
        name = "tag" if schema.kind == "tagging" else "class"
        findings.add(Problem(where, f"only one {name} in training: nothing to learn", repr(schema.labels[found.pop()])))
    for split, rows in parts.items() if schema.kind == "regression" else ():
        if len(found := _labels_in(rows, schema)) == 1:
            got = f"{found.pop()} in {counted(len(rows), 'row')}"
            findings.add(Problem(split, "all targets are equal, so there is no correlation", got))
    findings.check()


def _labels_in(rows: pa.Table, schema: Schema) -> set[Any]:
    """The different labels, tags or numbers of a split."""
    column = rows[schema.target]
    return set(_flat(column).unique().to_pylist())


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Every label of a column, also where a row has several."""
    return pc.list_flatten(column) if pa.types.is_list(column.type) else column


def _shares(parts: Mapping[str, pa.Table], schema: Schema) -> str:
    column = parts["train"][schema.target]
    counts = np.bincount(_flat(column).to_numpy(), minlength=len(schema.labels)).tolist()
    rows = len(column) if schema.kind == "multi_label" else None
    return in_shares(dict(zip(schema.labels, counts, strict=True)), rows=rows)


def _remarks(parts: Mapping[str, pa.Table], schema: Schema) -> list[str]:
    """The labels with their shares in training, and what is unusual about them, but not wrong."""
    if not schema.labels:
        return []
    number = len(schema.labels)
    named = {"tagging": f"{number} tags", "multi_label": counted(number, "label")}.get(schema.kind, f"{number} classes")
    notes = [f"{named}: {_shares(parts, schema)}"]
    if schema.kind == "multi_label":
        notes += _remarks_on_sets(parts, schema)
    if schema.kind != "classification":
        return notes
    shares = np.bincount(parts["train"]["label"].to_numpy(), minlength=len(schema.labels)) / len(parts["train"])
    if shares.max() >= SKEWED:
        what = f"always answering {schema.labels[shares.argmax()]} has an accuracy of about {shares.max():.2f}"
        notes.append(f"{what}; --metric f1_macro or balanced_accuracy lets every class count alike")
    for split, rows in parts.items():
        found = _labels_in(rows, schema)
        absent = [name for index, name in enumerate(schema.labels) if index not in found]
        if split == "train" and absent:
            notes.append(f"classes without a training row: {', '.join(absent)}")
        elif len(found) == 1:
            notes.append(f"{split} has one class only, {schema.labels[found.pop()]}: its score says little")
    return notes


def _remarks_on_sets(parts: Mapping[str, pa.Table], schema: Schema) -> list[str]:
    """How many labels a row has, and which labels no row has."""
    sizes = pc.list_value_length(parts["train"]["label"]).to_numpy()
    found = _labels_in(parts["train"], schema)
    absent = [name for index, name in enumerate(schema.labels) if index not in found]
    none = int((sizes == 0).sum())
    notes = [f"{sizes.mean():.2g} labels a row; {none:,} of {counted(len(sizes), 'training row')} have none"]
    return notes + [f"labels without a training row: {listed(absent)}"] * bool(absent)
