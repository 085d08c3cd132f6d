"""`load_task`: from whatever the user named to a checked `Task`.

Decided here: the order of the work (read, infer, check, split, sample), and what identifies a task and the dataset
that it was made of. Everything is checked before anything is thrown away, so a damaged row is named even where a
sample would have missed it. What takes a moment to import is imported when data is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.base.checks import check_seed
from engine.base.errors import InputError, Problem
from engine.data.metrics import choose_metrics, positive_class, with_parts
from engine.data.own_metric import ASKED, Function, is_own, name_of, version_of
from engine.data.task import SOFT, Task, TaskKind

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from engine.data.rows import RawSplit, Source
    from engine.data.schema import Schema
    from engine.data.soft import SoftLabels
    from engine.data.sources import Data
    from engine.data.splits import Parts


def load_task(
    data: Data,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    kind: TaskKind | None = None,
    metric: str | Function | None = None,
    positive: str | None = None,
    test: Data | None = None,
    unlabelled: Data | None = None,
    teacher_logits: str | None = None,
    teacher_probabilities: str | None = None,
    seed: int = 0,
    max_train: int | None = None,
    max_validation: int | None = None,
    max_test: int | None = None,
    max_unlabelled: int | None = None,
    name: str | None = None,
) -> Task:
    """Reads a dataset, infers what it is, checks every row, and brings it into normal form.

    Args:
        data: `demo`, a hub name, a file (CSV, TSV, JSON lines, JSON, Parquet), a folder with `train.*`, a DataFrame,
            a Dataset, or a mapping of split names to one of these two.
        text: Column of the text; of the words in tagging, of the question in question answering.
        text_pair: Column of the second text; of the context in question answering.
        label: Column of the label; of the tags or the answers; several columns of 0 and 1, each a label, as `a,b,c`.
        kind: The kind of task.
        metric: The score that counts; also a function of your own (`engine.data.own_metric`), or its name as
            `metrics.py:cost`.
        positive: Of two classes the one that F1 is of; the rarer one where none is named.
        test: Labelled rows that report the score and select nothing, in place of the source's test sets: whatever
            `data` may be, with the same columns.
        unlabelled: Further training texts, which the teacher labels: whatever `data` may be, with the same text
            columns; of several splits that which is called so, or that of training.
        teacher_logits: Prefix of the columns that hold the soft labels of each row, which teach in place of a model
            (`engine.data.soft`).
        teacher_probabilities: The same where they are probabilities.
        seed: Of the held-out splits and of the samples.
        max_train: Rows of training at most, drawn with the shares of the classes.
        max_validation: The same for each validation set.
        max_test: The same for each test set.
        max_unlabelled: Texts of `unlabelled` at most, drawn at random.
        name: Name of the task instead of the source's.

    Raises:
        InputError: With every problem that was found, each with its file and line or split and row.

    Example:
        >>> import pandas
        >>> rows = pandas.DataFrame({"review": ["good", "bad", "fine", "poor"], "stars": [5, 1, 4, 2]})
        >>> task = load_task({"train": rows, "validation": rows})
        >>> task.kind, task.labels, task.columns
        ('classification', ('1', '2', '4', '5'), {'text': 'review', 'label': 'stars'})
    """
    from engine.data.pool import pool_rows
    from engine.data.soft import soft_labels
    from engine.data.splits import check_test, divided, normalised, training_split

    limits = {"train": max_train, "validation": max_validation, "test": max_test, "unlabelled": max_unlabelled}
    _check_numbers(seed, limits, unlabelled is not None)
    source = _read(data, test, label)
    train = training_split(source)
    soft = soft_labels(teacher_logits, teacher_probabilities)
    schema = _schema(train, source, {"text": text, "text_pair": text_pair, "label": label}, kind, soft)
    if test is not None:
        check_test(source, schema)
    notes = [*source.notes, *schema.notes]
    metrics = _metrics(source, schema, None if metric is None else name_of(metric))
    parts = normalised(source, schema, train, notes, soft)
    every_row = parts["train"]["train"]  # before a sample or a split, which could turn two classes of like size around
    labelled = divided(parts, schema, train.where, seed, limits, notes)
    if schema.kind == "question_answering" and any(map(_lacks_answers, _tables(parts))):
        metrics = with_parts(metrics)
    found = _positive(schema, every_row, positive, source.declared.published, notes)
    pool = pool_rows(unlabelled, schema, parts, max_unlabelled, seed, notes, soft)
    identity = fingerprint(schema.kind, schema.labels, metrics[0], labelled, found)
    task = Task(
        name=name or source.name,
        kind=schema.kind,
        pair="text_pair" in schema.columns,
        labels=schema.labels,
        metric=metrics[0],
        metrics=metrics,
        **_sets(parts, identity),
        columns=dict(schema.columns),
        notes=tuple(notes),
        fingerprint=identity,
        held_out_fingerprint=_held_out(schema.kind, schema.labels, parts["test"] or parts["validation"]),
        source=source_of(schema.kind, schema.labels, every_row),
        positive=found,
        hub=source.hub,
        soft_labels="" if soft is None else soft.words,
    )
    return task if pool is None else with_pool(task, pool)


def _read(data: Data, test: Data | None, label: str | None) -> Source:
    """The splits, with a test set that was named beside them, and with lists in place of columns of 0 and 1."""
    from engine.data.label_columns import gathered
    from engine.data.sources import read_source, with_test

    source = read_source(data)
    return gathered(source if test is None else with_test(source, test), label)


def _schema(
    train: RawSplit, source: Source, roles: Mapping[str, str | None], kind: TaskKind | None, soft: SoftLabels | None
) -> Schema:
    """What the columns are, those of soft labels left out."""
    from engine.data.schema import infer
    from engine.data.soft import check_kind

    named = {role: column for role, column in roles.items() if column is not None}
    if soft is None:
        return infer(train, source.declared, named, kind)
    schema = infer(soft.without(train), source.declared, named, kind)
    check_kind(soft, schema)
    return schema


def _metrics(source: Source, schema: Schema, wanted: str | None) -> tuple[str, ...]:
    """The scores of the task: first the one that was asked for, or that the source declares."""
    declared, place = wanted, ASKED
    if wanted is None and source.declared.kind in (None, schema.kind):
        declared, place = source.declared.metric, f"{source.declared.place}: metric"
    return choose_metrics(schema.kind, schema.labels, declared, place)


def _positive(schema: Schema, train: pa.Table, wanted: str | None, published: bool, notes: list[str]) -> int:
    """The class that F1 is of, which a note names."""
    import numpy as np

    if schema.kind != "classification":
        if wanted is not None:
            raise InputError.of("--positive", "only one of two classes can be positive", schema.kind)
        return 1
    counts = np.bincount(train["label"].to_numpy(), minlength=len(schema.labels)).tolist()
    found, why = positive_class(schema.labels, counts, wanted, published)
    if len(schema.labels) == 2:
        notes.append(f"f1 is of the class {schema.labels[found]} ({why})")
    return found


def _check_numbers(seed: int, limits: Mapping[str, int | None], has_pool: bool) -> None:
    """Raises an `InputError` where a role could keep too few rows, or nothing can be drawn with the seed."""
    check_seed(seed)
    least = {"train": 2}
    problems = [
        Problem(f"--max-{role}", "too few rows", str(limit), (f"at least {least.get(role, 1)}",))
        for role, limit in limits.items()
        if limit is not None and limit < least.get(role, 1)
    ]
    if limits["unlabelled"] is not None and not has_pool:
        what, hint = "there are no unlabelled texts to draw from", "Name them with --unlabelled."
        problems.append(Problem("--max-unlabelled", what, str(limits["unlabelled"]), (), hint))
    if problems:
        raise InputError(problems)


def identified(task: Task) -> Task:
    """A task with its fingerprint and source, also where it was made by hand and has none."""
    if task.fingerprint:
        return task
    parts = {split: rows.with_format("arrow")[:] for split, rows in {"train": task.train, **task.held_out}.items()}
    found = fingerprint(task.kind, task.labels, task.metric, parts, task.positive)
    source = task.source or source_of(task.kind, task.labels, parts["train"])
    held_out = _held_out(task.kind, task.labels, {task.split: parts[task.split]})
    return _of_both(replace(task, fingerprint=found, held_out_fingerprint=held_out, source=source))


def with_pool(task: Task, rows: pa.Table) -> Task:
    """The task with a pool (`engine.data.pool`), and the fingerprint that it has then.

    Args:
        rows: The texts in normal form, without targets.
    """
    from engine.data.pool import with_targets

    task = identified(task.labelled)
    return _of_both(replace(task, pool=_dataset(with_targets(rows, task.kind), f"{task.fingerprint}-pool")))


def _of_both(task: Task) -> Task:
    """A task with the fingerprint of its labelled rows, as one with that of its pool, too, where it has one."""
    if task.pool is None:
        return task
    both = [task.fingerprint, _hash([], {"unlabelled": task.pool.with_format("arrow")[:]})]
    return replace(task, fingerprint=_hash(both, {}), labelled_fingerprint=task.fingerprint)


def fingerprint(
    kind: TaskKind, labels: Sequence[str], metric: str, parts: Mapping[str, pa.Table], positive: int = 1
) -> str:
    """A short hash of what a task is made of, wherever its files lie; that of earlier versions, which knew but
    `positive` 1."""
    metric = f"{metric.rpartition(':')[2]} {version_of(metric)}" if is_own(metric) else metric
    return _hash([kind, labels, metric, *[positive] * (positive != 1)], parts)


def source_of(kind: TaskKind, labels: Sequence[str], train: pa.Table) -> str:
    """A short hash of the training rows as they came: what is held out, sampled and measured does not change it."""
    return _hash([kind, labels], {"train": _without_soft_labels(train)})


def _held_out(kind: TaskKind, labels: Sequence[str], sets: Mapping[str, pa.Table]) -> str:
    """A short hash of the set that is reported, the first of these."""
    split, rows = next(iter(sets.items()))
    return _hash([kind, labels], {split: _without_soft_labels(rows)})


def _without_soft_labels(rows: pa.Table) -> pa.Table:
    return rows.select([name for name in rows.column_names if name != SOFT])


def _hash(schema: Sequence[Any], parts: Mapping[str, pa.Table]) -> str:
    from engine.data.cells import pieces, values_of

    total = hashlib.sha256(json.dumps(schema).encode())
    for split, rows in parts.items():
        for field in sorted(rows.column_names):
            total.update(f"{json.dumps([split, field])[:-1]}, [".encode())
            for number, piece in enumerate(pieces(rows[field])):
                total.update((", " * (number > 0) + json.dumps(values_of(piece))[1:-1]).encode())
            total.update(b"]]")
    return total.hexdigest()[:16]


def _tables(parts: Parts) -> Iterator[pa.Table]:
    """The labelled rows of every role."""
    return (rows for role, sets in parts.items() if role != "unlabelled" for rows in sets.values())


def _lacks_answers(rows: pa.Table) -> bool:
    """Whether a question has no answer."""
    import pyarrow.compute as pc

    texts = pc.struct_field(rows["answers"], "text")
    return bool(pc.any(pc.equal(pc.list_value_length(texts), 0)).as_py())


def _sets(parts: Parts, identity: str) -> dict[str, Any]:
    """The rows of a task by its fields."""
    sets = {
        role: {split: _dataset(rows, f"{identity}-{role}-{split}") for split, rows in of_role.items()}
        for role, of_role in parts.items()
    }
    return {**sets, "train": sets["train"]["train"]}


def _dataset(rows: pa.Table, fingerprint: str) -> Dataset:
    from datasets import Dataset
    from datasets.table import InMemoryTable

    return Dataset(InMemoryTable(rows), fingerprint=fingerprint)
