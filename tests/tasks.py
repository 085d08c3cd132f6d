"""Tasks for tests, made by hand or read from ../shared/datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from engine.data.task import Task, TaskKind

METRICS: dict[TaskKind, tuple[str, ...]] = {
    "classification": ("accuracy", "f1_macro"),
    "regression": ("spearman", "pearson"),
    "tagging": ("accuracy",),
    "question_answering": ("squad_f1", "exact_match"),
    "multi_label": ("f1_micro", "f1_macro", "subset_accuracy"),
}


def make_task(
    kind: TaskKind,
    rows: list[dict[str, Any]],
    validation: list[dict[str, Any]] | None = None,
    labels: tuple[str, ...] = (),
    metrics: tuple[str, ...] | None = None,
    name: str = "made",
) -> Task:
    """A task in normal form; without `validation`, `rows` are the held-out set as well."""
    metrics = metrics or METRICS[kind]
    train = Dataset.from_list(rows)
    held_out = train if validation is None else Dataset.from_list(validation)
    pair = "text_pair" in train.column_names
    return Task(name, kind, pair, labels, metrics[0], metrics, train, {"validation": held_out})


def shared_task(folder: Path, limit: int | None = None, metrics: tuple[str, ...] | None = None) -> Task:
    """One of the folders of ../shared/datasets."""
    about = json.loads((folder / "dataset.json").read_text())
    labels = tuple(about["label_names"] or ())
    splits = []
    for split in ("train", "validation"):
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()[:limit]]
        if about["task"] == "tagging":
            rows = [row | {"tags": [labels.index(tag) for tag in row["tags"]]} for row in rows]
        splits.append([{"id": str(index), **row} for index, row in enumerate(rows)])
    return make_task(about["task"], *splits, labels=labels, metrics=metrics, name=folder.name)
