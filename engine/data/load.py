"""`load_task`: from whatever the user named to a checked `Task`.

Decided here: the order of the work (read, infer, check, split, sample) and the fingerprint. Everything is checked
before anything is thrown away, so a damaged row is named even where a sample would have missed it. What takes a
moment to import is imported when data is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.base.errors import InputError, Problem
from engine.data.metrics import choose_metrics
from engine.data.task import Task, TaskKind

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from engine.data.sources import Data


def load_task(
    data: Data,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    kind: TaskKind | None = None,
    metric: str | None = None,
    seed: int = 0,
    max_train: int | None = None,
    max_validation: int | None = None,
    name: str | None = None,
) -> Task:
    """Reads a dataset, infers what it is, checks every row, and brings it into normal form.

    Args:
        data: `demo`, a hub name, a file (CSV, TSV, JSON lines, JSON, Parquet), a folder with `train.*`, a DataFrame,
            a Dataset, or a mapping of split names to one of these two.
        text: Column of the text; of the words in tagging, of the question in question answering.
        text_pair: Column of the second text; of the context in question answering.
        label: Column of the label; of the tags or the answers.
        kind: The kind of task.
        metric: The score that counts.
        seed: Of the held-out split and of the samples.
        max_train: Rows of training at most, drawn with the shares of the classes.
        max_validation: The same for each validation set.
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
    from engine.data.schema import infer
    from engine.data.sources import read_source
    from engine.data.splits import divided, training_split

    sizes = (("--max-train", max_train, 2), ("--max-validation", max_validation, 1))
    small = [(option, str(limit), least) for option, limit, least in sizes if limit is not None and limit < least]
    if small:
        raise InputError([Problem(option, "too few rows", got, (f"at least {least}",)) for option, got, least in small])
    source = read_source(data)
    train = training_split(source)
    roles = {"text": text, "text_pair": text_pair, "label": label}
    schema = infer(train, source.declared, {role: column for role, column in roles.items() if column is not None}, kind)
    notes = [*source.notes, *schema.notes]
    declared, place = metric, "--metric"
    if metric is None and source.declared.kind in (None, schema.kind):
        declared, place = source.declared.metric, f"{source.declared.place}: metric"
    metrics = choose_metrics(schema.kind, schema.labels, declared, place)
    parts, tests = divided(source, schema, train, seed, (max_train, max_validation), notes)
    identity = fingerprint(schema.kind, schema.labels, metrics[0], parts)
    sets = {split: _dataset(rows, f"{identity}-{split}") for split, rows in {**parts, **tests}.items()}
    return Task(
        name=name or source.name,
        kind=schema.kind,
        pair="text_pair" in schema.columns,
        labels=schema.labels,
        metric=metrics[0],
        metrics=metrics,
        train=sets["train"],
        validation={split: sets[split] for split in parts if split != "train"},
        test={split: sets[split] for split in tests},
        columns=dict(schema.columns),
        notes=tuple(notes),
        fingerprint=identity,
        hub=source.hub,
    )


def identified(task: Task) -> Task:
    """A task with its fingerprint, also where it was made by hand and has none."""
    if task.fingerprint:
        return task
    parts = {split: rows.with_format("arrow")[:] for split, rows in {"train": task.train, **task.validation}.items()}
    return replace(task, fingerprint=fingerprint(task.kind, task.labels, task.metric, parts))


def fingerprint(kind: TaskKind, labels: Sequence[str], metric: str, parts: Mapping[str, pa.Table]) -> str:
    """A short hash of what a task is made of, wherever its files lie."""
    from engine.data.cells import pieces, values_of

    total = hashlib.sha256(json.dumps([kind, labels, metric]).encode())
    for split, rows in parts.items():
        for field in sorted(rows.column_names):
            total.update(f"{json.dumps([split, field])[:-1]}, [".encode())
            for number, piece in enumerate(pieces(rows[field])):
                total.update((", " * (number > 0) + json.dumps(values_of(piece))[1:-1]).encode())
            total.update(b"]]")
    return total.hexdigest()[:16]


def _dataset(rows: pa.Table, fingerprint: str) -> Dataset:
    from datasets import Dataset
    from datasets.table import InMemoryTable

    return Dataset(InMemoryTable(rows), fingerprint=fingerprint)
