"""`load_task`: from whatever the user named to a checked `Task`.

Decided here: the order of the work (read, infer, check, split, sample), what becomes of a source's splits,
and the fingerprint. Everything is checked before anything is thrown away, so a damaged row is named even
where a sample would have missed it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.base.errors import InputError, Problem
from engine.data.cells import different, is_missing, pieces, values_of
from engine.data.checks import normalise
from engine.data.metrics import choose_metrics
from engine.data.rows import Declared, Findings, RawSplit, Source
from engine.data.schema import Schema, Wanted, infer
from engine.data.sources import read_source
from engine.data.splits import hold_out, sample
from engine.data.task import Task, TaskKind

if TYPE_CHECKING:
    import numpy as np
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
        data: `demo`, a hub name, a file (CSV, TSV, JSON lines, JSON, Parquet), a folder with `train.*`, a
            DataFrame, a Dataset, or a mapping of split names to one of these two.
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
    _check_sizes(max_train, max_validation)
    source = read_source(data)
    train, notes = _training_split(source)
    schema = infer(train, source.declared, Wanted(text, text_pair, label, kind))
    notes += schema.notes
    roles = _roles(source, schema, notes)
    metrics = _metrics(schema, source.declared, metric)
    parts, tests = _normalised(source, schema, train, roles, notes)
    parts = _with_validation(parts, schema, seed, notes)
    _check_targets(parts, schema, train.where)
    notes += _remarks(parts, schema)
    for split, limit in {split: max_train if split == "train" else max_validation for split in parts}.items():
        parts[split] = _sampled(split, parts[split], schema, limit, seed, notes)
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
    )


def identified(task: Task) -> Task:
    """A task with its fingerprint, also where it was made by hand and has none."""
    if task.fingerprint:
        return task
    parts = {split: rows.with_format("arrow")[:] for split, rows in {"train": task.train, **task.validation}.items()}
    return replace(task, fingerprint=fingerprint(task.kind, task.labels, task.metric, parts))


def fingerprint(kind: TaskKind, labels: Sequence[str], metric: str, parts: Mapping[str, pa.Table]) -> str:
    """A short hash of what a task is made of, wherever its files lie."""
    total = hashlib.sha256(json.dumps([kind, labels, metric]).encode())
    for split, rows in parts.items():
        for field in sorted(rows.column_names):
            total.update(f"{json.dumps([split, field])[:-1]}, [".encode())
            for number, piece in enumerate(pieces(rows[field])):
                total.update((", " * (number > 0) + json.dumps(values_of(piece))[1:-1]).encode())
            total.update(b"]]")
    return total.hexdigest()[:16]


def _check_sizes(max_train: int | None, max_validation: int | None) -> None:
    findings = Findings()
    for option, limit, least in (("--max-train", max_train, 2), ("--max-validation", max_validation, 1)):
        if limit is not None and limit < least:
            findings.add(Problem(option, "too few rows", str(limit), (f"at least {least}",)))
    findings.check()


# --- splits ----------------------------------------------------------------------------------------


def _training_split(source: Source) -> tuple[RawSplit, list[str]]:
    """The training rows: `train`, or the only split whose name begins so."""
    notes = list(source.notes)
    names = [split for split in source.splits if split.split("_")[0] == "train"]
    if "train" in names or len(names) == 1:
        return source.splits["train" if "train" in names else names[0]], notes
    what = "several training splits; name one of them train" if names else "no training split"
    raise InputError.of(source.name, what, ", ".join(source.splits) or "nothing", ("train",))


def _roles(source: Source, schema: Schema, notes: list[str]) -> dict[str, str]:
    """Split → `validation` or `test`; the others are named in a note."""
    named: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for split in source.splits:
        named.setdefault(split.split("_")[0], []).append(split)
    training = ["train"] if "train" in named["train"] else named["train"]
    labelled = [split for split in named["test"] if _is_labelled(source.splits[split], schema)]
    validation = named["validation"] or labelled
    if labelled and validation is labelled:
        notes.append(f"no validation set: the labelled split {' and '.join(labelled)} is used as one")
    else:
        rest = "rows for predictions; its labels are not used"
        notes += [f"{split}: {len(source.splits[split]):,} {rest}" for split in labelled]
    tests = [split for split in named["test"] if split not in validation]
    if unused := [split for split in source.splits if split not in (*training, *validation, *tests)]:
        notes.append(f"splits that are not used: {', '.join(unused)}")
    return {**dict.fromkeys(validation, "validation"), **dict.fromkeys(tests, "test")}


def _is_labelled(split: RawSplit, schema: Schema) -> bool:
    column = schema.columns[schema.target]
    unlabelled = (-1, "-1") if schema.fixed_labels or schema.kind == "regression" else ()
    return column in split.names and any(
        not is_missing(cell) and cell not in unlabelled and cell != [] for cell in different(split.table[column])
    )


def _normalised(
    source: Source, schema: Schema, train: RawSplit, roles: Mapping[str, str], notes: list[str]
) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """The rows of training and validation, and those of the tests; every problem of all of them at once."""
    findings = Findings()
    published = source.declared.published
    several = sum(role == "validation" for role in roles.values()) > 1
    rows = {"train": normalise(train, schema, findings, published=published, notes=notes)}
    tests = {}
    for split, role in roles.items():
        is_test, raw = role == "test", source.splits[split]
        part = normalise(raw, schema, findings, labelled=not is_test, published=published, notes=notes)
        if is_test:
            tests[split] = part
        else:
            rows[split if several or split.startswith("test") else "validation"] = part
    findings.check()
    return rows, tests


def _with_validation(parts: dict[str, pa.Table], schema: Schema, seed: int, notes: list[str]) -> dict[str, pa.Table]:
    """The same rows, a part of training held out where there is no validation set."""
    if len(parts) > 1:
        return parts
    train = parts["train"]
    groups = None
    if "context" in train.column_names:
        groups = train["context"].dictionary_encode().combine_chunks().indices.to_numpy()
    chosen = hold_out(_strata(train, schema), groups, len(train), seed)
    if not chosen:
        what = "too few rows to hold out a validation set"
        advice = "Give a validation set, or more rows."
        raise InputError.of("train", what, f"{len(train)} rows", suggestion=advice)
    manner = "stratified by label, " if schema.kind == "classification" else ""
    manner = "by context, " if groups is not None else manner
    share = f"{100 * len(chosen) / len(train):.0f} % of the rows ({len(chosen):,})"
    notes.append(f"no validation set: {share} held out, {manner}seed {seed}")
    return {"train": _taken(train, chosen, others=True), "validation": _taken(train, chosen)}


def _sampled(split: str, rows: pa.Table, schema: Schema, limit: int | None, seed: int, notes: list[str]) -> pa.Table:
    if limit is None or len(rows) <= limit:
        return rows
    manner = "stratified by label, " if schema.kind == "classification" else ""
    notes.append(f"{split}: a sample of {limit:,} of {len(rows):,} rows, {manner}seed {seed}")
    return _taken(rows, sample(len(rows), limit, seed, _strata(rows, schema)))


def _strata(rows: pa.Table, schema: Schema) -> np.ndarray | None:
    return rows["label"].to_numpy() if schema.kind == "classification" else None


def _taken(rows: pa.Table, chosen: Sequence[int], *, others: bool = False) -> pa.Table:
    """The chosen rows in their order, or all the `others`."""
    import numpy as np

    wanted = np.full(len(rows), others)
    wanted[chosen] = not others
    return rows.filter(wanted)


# --- the whole -------------------------------------------------------------------------------------


def _metrics(schema: Schema, declared: Declared, metric: str | None) -> tuple[str, ...]:
    if metric is None and declared.kind in (None, schema.kind):
        return choose_metrics(schema.kind, schema.labels, declared.metric, f"{declared.place}: metric")
    return choose_metrics(schema.kind, schema.labels, metric)


def _check_targets(parts: Mapping[str, pa.Table], schema: Schema, where: str) -> None:
    """Raises where nothing can be learned, or no score computed."""
    train = parts["train"]
    findings = Findings()
    if len(train) < 2:
        findings.add(Problem(where, "too few training rows", str(len(train)), ("at least 2",)))
    if schema.labels and len(found := _labels_in(train, schema)) == 1:
        name = "tag" if schema.kind == "tagging" else "class"
        got = repr(schema.labels[found.pop()])
        findings.add(Problem(where, f"only one {name} in training: nothing to learn", got))
    if schema.kind == "regression":
        for split, rows in parts.items():
            if len(found := _labels_in(rows, schema)) == 1:
                got = f"{found.pop()} in each of {len(rows):,} rows"
                findings.add(Problem(split, "all targets are equal, so there is no correlation", got))
    findings.check()


def _labels_in(rows: pa.Table, schema: Schema) -> set[Any]:
    """The different labels, tags or numbers of a split."""
    import pyarrow.compute as pc

    column = rows[schema.target]
    return set((pc.list_flatten(column) if schema.kind == "tagging" else column).unique().to_pylist())


def _remarks(parts: Mapping[str, pa.Table], schema: Schema) -> list[str]:
    """What is unusual about the labels, but not wrong."""
    if schema.kind != "classification":
        return []
    names = ", ".join(schema.labels[:10]) + (", …" if len(schema.labels) > 10 else "")
    remarks = [f"{len(schema.labels)} classes: {names}"]
    for split, rows in parts.items():
        found = _labels_in(rows, schema)
        absent = [name for index, name in enumerate(schema.labels) if index not in found]
        if split == "train" and absent:
            remarks.append(f"classes without a training row: {', '.join(absent)}")
        elif len(found) == 1:
            remarks.append(f"{split} has one class only, {schema.labels[found.pop()]}: its score says little")
    return remarks


def _dataset(rows: pa.Table, fingerprint: str) -> Dataset:
    from datasets import Dataset
    from datasets.table import InMemoryTable

    return Dataset(InMemoryTable(rows), fingerprint=fingerprint)
