"""The layout of figures as a paper prints them: 0 to 100, one row a figure (meta_data/published.csv)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from autodistill.history.table import Count, Name, TableRow, dataset_name
from meta_data import ARCHITECTURES, DATASETS

Percent = Annotated[float, Field(ge=-100, le=100)]

HELD_OUT_OF_ONE = {"MNLI-m": "mnli", "MNLI-mm": "mnli", "SQuAD v1.1": "squad"}
"""Names of held-out sets whose dataset has another name."""

COMPONENT_COLUMNS = {
    "intermediate_objective": "intermediate",
    "alpha": "intermediate.alpha",
    "critic": "intermediate.critic",
    "layer_mapping": "mapping",
    "prediction_loss": "prediction",
    "augmentation": "augmentation",
}


class PublishedRow(TableRow):
    """One printed figure; the columns are those of the datasheet."""

    table: int
    dataset: Name
    split: Name
    metric: Name
    teacher: Name
    student: Name
    intermediate_objective: str | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    layer_mapping: str | None = None
    prediction_loss: str | None = None
    augmentation: str | None = None
    critic: str | None = None
    score: Percent
    teacher_score: Percent
    n_train: Count
    note: str | None = None


def convert(row: PublishedRow) -> dict[str, Any] | None:
    """The figure in our layout; None for a student without a teacher, which is no distillation."""
    if row.teacher == "none":
        return None
    name = HELD_OUT_OF_ONE.get(row.dataset) or dataset_name(row.dataset)
    operators = [] if row.augmentation in (None, "none") else row.augmentation.split("+")
    return {
        "dataset": name,
        "task_kind": task_kind(name),
        "metric": row.metric,
        "held_out": f"{row.split} of {row.dataset}" if row.dataset in HELD_OUT_OF_ONE else row.split,
        "n_train": row.n_train,
        "teacher": row.teacher,
        "student": row.student,
        **sizes("teacher", row.teacher),
        **sizes("student", row.student),
        **{ours: getattr(row, theirs) for theirs, ours in COMPONENT_COLUMNS.items()},
        "team": "single",
        **{f"augmentation.{operator}": place for place, operator in enumerate(operators, start=1)},
        "score": row.score / 100,
        "teacher_score": row.teacher_score / 100,
        "source": f"published, table {row.table}",
    }


def faults(rows: Sequence[PublishedRow], path: Path) -> list[str]:
    """What is wrong with the table as a table of runs."""
    without = sum(row.teacher == "none" for row in rows)
    return [f"{without} figures of students without a teacher are left out"] if without else []


@cache
def _architectures() -> pd.DataFrame:
    return pd.read_csv(ARCHITECTURES).set_index("model")


@cache
def _known_datasets() -> pd.DataFrame:
    return pd.read_csv(DATASETS).set_index("dataset")


def task_kind(dataset: str) -> str:
    """The kind of task of a dataset that the project knows; others are taken for classification."""
    known = _known_datasets().task_kind
    return known.get(dataset, "classification")


def sizes(role: str, model: str) -> dict[str, int | None]:
    """Layers, width and parameters of a model that the paper describes, as columns of `role`.

    Example:
        >>> sizes("student", "TinyBERT_4")["student_layers"]
        4
    """
    table = _architectures()
    if model not in table.index:
        return {}
    facts = table.loc[model].to_dict()
    return {
        f"{role}_layers": int(facts["layers"]),
        f"{role}_hidden_size": int(facts["hidden_size"]),
        f"{role}_parameters": int(facts["parameters_millions"]) * 1_000_000,
    }
