"""Which column is what, and which kind of task that makes.

Decided here: lists of words with lists of tags are tagging; question, context and answers are question
answering; decimal labels are regression, whole numbers with more than 50 different values in more than
half of the rows too, everything else is classification. What the user names goes before what the source
declares, and that before what is inferred; every inference is said in a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.base.errors import InputError, Problem, unknown_name
from engine.data.cells import different, is_missing, label_of, missing, numbers, pieces
from engine.data.columns import (
    FIELDS,
    IDENTIFIERS,
    LABELS,
    MANY_LABELS,
    PAIRS,
    TEXTS,
    ColumnField,
    few_or_numbers,
    is_text,
    looks,
    mean_length,
)
from engine.data.rows import Declared, Findings, RawSplit
from engine.data.task import KINDS, TASK_KINDS, TaskKind


@dataclass(frozen=True)
class Wanted:
    """What the user said: columns by their role, and the kind of task."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    kind: TaskKind | None = None


@dataclass(frozen=True)
class Schema:
    """How raw rows become normal ones.

    Args:
        kind: The kind of task.
        columns: Field of the normal form → column.
        labels: Class or tag names in the order of their indices.
        fixed_labels: Whether `labels` were declared, so that whole numbers are their indices.
        notes: What was inferred.
    """

    kind: TaskKind
    columns: Mapping[str, str]
    labels: tuple[str, ...] = ()
    fixed_labels: bool = False
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The field that is predicted."""
        return KINDS[self.kind].target


# --- inference -------------------------------------------------------------------------------------


def infer(train: RawSplit, declared: Declared, wanted: Wanted) -> Schema:
    """The schema of a source, from its training rows.

    Raises:
        InputError: A named column or kind does not exist, or something cannot be told.
    """
    _check(train, declared, wanted)
    notes: list[str] = []
    kind = wanted.kind or declared.kind or _kind_of_lists(train, wanted)
    if kind is not None and kind in FIELDS:
        columns = _list_columns(train, kind, declared, wanted, notes)
    else:
        columns = _text_columns(train, kind, declared, wanted, notes)
    reason = declared.place if declared.kind and not wanted.kind else ""
    if kind is None:
        kind, reason = _kind_of_labels(train, columns["label"])
    elif not (wanted.kind or reason):
        reason = " and ".join(f"'{column}'" for column in columns.values())
    if reason:
        notes.insert(0, f"task: {kind.replace('_', ' ')} ({reason})")
    unused = [column for column in train.names if column not in (*columns.values(), "id", "idx")]
    if unused:
        notes.append(f"columns that are not used: {', '.join(unused)}")
    if kind in ("regression", "question_answering"):
        return Schema(kind, columns, notes=tuple(notes))
    return _with_labels(train, Schema(kind, columns, notes=tuple(notes)), declared)


def _check(train: RawSplit, declared: Declared, wanted: Wanted) -> None:
    """Raises what can be known before anything is inferred."""
    if not len(train):
        raise InputError.of(train.where, "no rows")
    findings = Findings()
    for column in declared.columns.values():
        if column not in train.names:
            what = f"{declared.place} has a column '{column}', and it is not here"
            findings.add(Problem(train.where, what, ", ".join(train.names)))
    for option in ("text", "text_pair", "label"):
        column = getattr(wanted, option)
        if column is not None and column not in train.names:
            place = f"--{option.replace('_', '-')}"
            findings.add(unknown_name(place, f"{train.where} has no such column", column, train.names))
    if wanted.kind is not None and wanted.kind not in TASK_KINDS:
        findings.add(unknown_name("--task", "unknown kind of task", wanted.kind, TASK_KINDS))
    if wanted.kind == "tagging" and wanted.text_pair is not None:
        findings.add(Problem("--text-pair", "tagging has one list of words", repr(wanted.text_pair)))
    named = [name for name in (wanted.text, wanted.text_pair, wanted.label) if name is not None]
    for name in sorted({name for name in named if named.count(name) > 1}):
        findings.add(Problem("--text, --text-pair and --label", "one column has two roles", repr(name)))
    findings.check()


def _kind_of_lists(train: RawSplit, wanted: Wanted) -> TaskKind | None:
    """Tagging or question answering, where columns of the right name and form are there."""
    for kind, fields in FIELDS.items():
        columns = KINDS[kind].columns
        named = {field: getattr(wanted, role) for role, field in columns.items() if getattr(wanted, role)}
        if all(
            looks(train, named[name], spec.fits) if name in named else _candidates(train, spec)
            for name, spec in fields.items()
        ):
            return kind
    return None


def _by_name(columns: Iterable[str]) -> dict[str, str]:
    """Columns by their names in small letters; the first one of a name counts."""
    return {column.lower(): column for column in reversed(list(columns))}


def _candidates(train: RawSplit, spec: ColumnField) -> list[str]:
    by_name = _by_name(train.names)
    found = (by_name[name] for name in spec.names if name in by_name)
    return [column for column in found if looks(train, column, spec.fits)]


def _list_columns(
    train: RawSplit, kind: TaskKind, declared: Declared, wanted: Wanted, notes: list[str]
) -> dict[str, str]:
    """The columns of tagging and question answering."""
    named = {field: getattr(wanted, role) for role, field in KINDS[kind].columns.items()}
    columns: dict[str, str] = {}
    findings = Findings()
    for field, spec in FIELDS[kind].items():
        if given := named.get(field) or declared.columns.get(field):
            columns[field] = given
            continue
        free = [column for column in train.names if column not in (*columns.values(), *named.values())]
        found = [column for column in _candidates(train, spec) if column in free]
        found = found or [column for column in free if looks(train, column, spec.fits)]
        if not found:
            roles = KINDS[kind].columns.items()
            option = next(role for role, name in roles if name == field).replace("_", "-")
            advice = f"Name the column with --{option}."
            what = f"no column for {field} ({spec.what})"
            findings.add(Problem(train.where, what, ", ".join(train.names), suggestion=advice))
            continue
        columns[field] = found[0]
        notes.append(_chosen(field, found[0], found[1:]))
    findings.check()
    return columns


def _chosen(field: str, column: str, others: Sequence[str], why: str = "") -> str:
    also = f"; also possible: {', '.join(others)}" if others else ""
    return f"{field}: column '{column}'{why}{also}"


def _text_columns(
    train: RawSplit, kind: TaskKind | None, declared: Declared, wanted: Wanted, notes: list[str]
) -> dict[str, str]:
    """The columns of classification and regression."""
    given = {name: getattr(wanted, name) or declared.columns.get(name) for name in ("text", "text_pair", "label")}
    if wanted.text and not wanted.text_pair:
        given["text_pair"] = None
    label_notes: list[str] = []
    label = given["label"] or _label_by_name(train, [given["text"], given["text_pair"]], label_notes)
    texts = [
        column
        for column in train.names
        if column not in (label, given["text_pair"])
        and not IDENTIFIERS.fullmatch(column)
        and looks(train, column, is_text)
    ]
    columns: dict[str, str] = {}
    if given["text"]:
        columns = {name: column for name, column in given.items() if column and name != "label"}
    elif given["text_pair"]:
        columns = {**_texts_by_name(train, texts, (), notes), "text_pair": given["text_pair"]}
    else:
        columns = _texts_by_name(train, texts, PAIRS, notes)
    label = label or _label_by_values(train, list(columns.values()), label_notes)
    notes += label_notes
    return {**columns, "label": label}


def _texts_by_name(
    train: RawSplit, texts: Sequence[str], pairs: Sequence[tuple[str, str]], notes: list[str]
) -> dict[str, str]:
    """One text column or two: well-known names first, then the column with the longest texts."""
    by_name = _by_name(texts)
    for first, second in pairs:
        if first in by_name and second in by_name:
            found = {"text": by_name[first], "text_pair": by_name[second]}
            notes.append(f"two texts: columns '{found['text']}' and '{found['text_pair']}'")
            return found
    named = [by_name[name] for name in TEXTS if name in by_name]
    if not texts:
        raise InputError.of(
            train.where, "no column holds texts", ", ".join(train.names), suggestion="Name it with --text."
        )
    if named:
        notes.append(_chosen("text", named[0], named[1:]))
        return {"text": named[0]}
    longest = sorted(texts, key=lambda column: -mean_length(train, column))
    others = [column for column in longest[1:] if mean_length(train, column) > 20]
    notes.append(_chosen("text", longest[0], others, ", the longest one" if len(texts) > 1 else ""))
    return {"text": longest[0]}


def _label_by_name(train: RawSplit, taken: Sequence[str | None], notes: list[str]) -> str | None:
    by_name = _by_name(column for column in train.names if column not in taken)
    found = [by_name[name] for name in LABELS if name in by_name]
    found = [column for column in found if column.lower() in LABELS[:2] or few_or_numbers(train, column)]
    if not found:
        return None
    notes.append(_chosen("label", found[0], found[1:]))
    return found[0]


def _label_by_values(train: RawSplit, taken: Sequence[str], notes: list[str]) -> str:
    """The last column that could hold labels, by its values alone."""
    columns = [column for column in train.names if column not in taken]
    found = [c for c in columns if not IDENTIFIERS.fullmatch(c) and few_or_numbers(train, c)]
    if not found:
        advice = "Name it with --label."
        got = f"columns {', '.join(train.names)}"
        raise InputError.of(train.where, "cannot tell which column holds the labels", got, suggestion=advice)
    notes.append(_chosen("label", found[-1], found[:-1], ", the last one that can hold labels"))
    return found[-1]


# --- labels ----------------------------------------------------------------------------------------


def _kind_of_labels(train: RawSplit, column: str) -> tuple[TaskKind, str]:
    """Classification or regression, and why."""
    import numpy as np

    if column in train.class_names:
        return "classification", "the source names its classes"
    count, found = 0, []
    for piece in pieces(train.table[column]):
        present = ~missing(piece)
        count += int(present.sum())
        found.append(numbers(piece.filter(present)).drop_null().to_numpy())
    values = np.concatenate([np.empty(0), *found])
    if 10 * len(values) < 9 * count or not count:
        return "classification", "labels are words"
    if not (np.isfinite(values) & (values == np.floor(values))).all():
        return "regression", "labels are decimal numbers"
    distinct = len(np.unique(values))
    if distinct > MANY_LABELS and 2 * distinct > len(values):
        return "regression", f"labels are whole numbers with {distinct:,} different values"
    return "classification", f"labels are whole numbers with {distinct:,} different values"


def _with_labels(train: RawSplit, schema: Schema, declared: Declared) -> Schema:
    """The same schema with the names of the classes or tags."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = schema.columns[schema.target]
    known = declared.labels or train.class_names.get(column, ())
    if known:
        return replace(schema, labels=known, fixed_labels=True)
    cells = train.table[column]
    if schema.kind == "tagging" and pa.types.is_list(cells.type):
        labels = class_names(different(pc.list_flatten(cells)))
    elif schema.kind == "tagging":
        labels = class_names(tag for tags in different(cells) if isinstance(tags, list) for tag in tags)
    else:
        labels = class_names(different(cells))
    if schema.kind == "classification" and len(labels) > max(MANY_LABELS, len(train) // 2):
        got = f"{len(labels):,} different values in {len(train):,} rows"
        advice = "Name another column with --label, or say --task regression for numbers."
        place = f"{train.where}: column '{column}'"
        raise InputError.of(place, "too many different labels to be classes", got, suggestion=advice)
    return replace(schema, labels=labels)


def class_names(values: Iterable[Any]) -> tuple[str, ...]:
    """The different labels in the order of their numbers, or of the alphabet; missing ones do not count.

    Example:
        >>> class_names([10, 9, None, 9]), class_names(["b", "a", "b"])
        (('9', '10'), ('a', 'b'))
    """
    names = {label_of(value) for value in values if not (is_missing(value) or isinstance(value, list | dict))}
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
