"""The layout of the table of runs that Distiller's authors published beside their code.

Its known faults are said, not mended: rows are taken as given, but for exact repeats of a row.
"""

import math
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from autodistill.datasets.descriptors import Share, dataset_name
from autodistill.datasets.known import shipped_datasets
from autodistill.history.table import Runs, checked_row, runs_frame
from engine.base.errors import counted
from engine.base.spec import Count, Name, Score, TableRow
from engine.data.rows import Findings
from meta_data import ARCHITECTURES

MODELS = {
    "TinyBERT4": "TinyBERT_4",
    "TinyBERT6": "TinyBERT_6",
    "Roberta-large": "RoBERTa_LARGE",
    "ELECTRA-large": "ELECTRA_LARGE",
}
"""Names in the table → names in architectures.csv, where they differ."""
FAR_OFF = 0.005
"""Difference of two scores of one teacher that rounding cannot explain."""
OPERATORS = {"contextual": "contextual", "backtranslation": "back_translation", "random": "random"}
Place = Annotated[int, Field(ge=0)]


class AuthorsRow(TableRow):
    """One run; scores are 0 to 1, the Bi-LSTM's 0 to 100."""

    Model: Name
    Teacher: Name
    intermediate_loss_type: Name
    alpha: Share
    intermediate_strategy: Name
    kd_loss_type: Name
    mixup: bool
    repeated_aug: Count
    aug_p: Share
    examples: Annotated[int, Field(ge=1, alias="#example")]
    score: Score
    task: Name
    ratio: float
    baseline_score: Annotated[float, Field(ge=-100, le=100)]
    contextual: Place
    backtranslation: Place
    random: Place


def runs_of_authors(cells: Mapping[str, Mapping[str, Any]], path: Path) -> Runs:
    """The table in our layout, with its faults as notes.

    Args:
        cells: By the row's place.
        path: The authors' other tables may lie beside it.

    Raises:
        InputError: With every damaged row and its column.
    """
    findings = Findings()
    once: dict[AuthorsRow, str] = {}
    for place, given in cells.items():
        if row := checked_row(AuthorsRow, given, place, findings):
            once.setdefault(row, place)
    findings.check()
    notes = _faults(list(once), path)
    if repeats := len(cells) - len(once):
        notes.insert(0, f"{counted(repeats, 'row')} left out that repeat another one exactly")
    frame = runs_frame([_in_our_layout(row) for row in once], list(once.values()))
    return Runs(frame, tuple(f"{path.name}: {note}" for note in notes))


def _in_our_layout(row: AuthorsRow) -> dict[str, Any]:
    """The run; the teacher's score is the one that the printed ratio implies."""
    name = dataset_name(row.task)
    teacher, student = (MODELS.get(model, model) for model in (row.Teacher, row.Model))
    objective = "mi_alpha" if row.intermediate_loss_type == "mi" else row.intermediate_loss_type
    return {
        "dataset": name,
        "task_kind": task_kind(name),
        "metric": "not stated",
        "n_train": row.examples,
        "teacher": teacher,
        "student": student,
        **sizes(teacher=teacher, student=student),
        "intermediate": objective,
        "intermediate.alpha": row.alpha if objective == "mi_alpha" else None,
        "mapping": row.intermediate_strategy,
        "prediction": row.kd_loss_type,
        "team": "single",
        **_augmentation(row),
        "score": row.score,
        "teacher_score": row.score / row.ratio if row.ratio else None,
        "ratio": row.ratio,
        "bilstm_score": row.baseline_score / 100,
        "source": "the authors' runs",
    }


def task_kind(dataset: str) -> str:
    """The kind of task of a dataset that the project knows; others are taken for classification."""
    known = shipped_datasets().get(dataset)
    return known.descriptors.task_kind if known else "classification"


@cache
def _architectures() -> dict[Any, dict[Any, Any]]:
    models = pd.read_csv(ARCHITECTURES).set_index("model")
    models["parameters"] = models.parameters_millions * 1_000_000
    return models[["layers", "hidden_size", "parameters"]].to_dict("index")


def sizes(**models: str) -> dict[str, int]:
    """Layers, width and parameters of models that the paper describes, as columns of their roles.

    Example:
        >>> sizes(student="TinyBERT_4")["student_layers"]
        4
    """
    known = {role: _architectures().get(model, {}) for role, model in models.items()}
    return {f"{role}_{size}": number for role, facts in known.items() for size, number in facts.items()}


def _augmentation(row: AuthorsRow) -> dict[str, Any]:
    """The stack of operators in their order; mixup is the last one."""
    places = {ours: place for theirs, ours in OPERATORS.items() if (place := getattr(row, theirs))}
    stack = sorted(places, key=places.__getitem__) + ["mixup"] * row.mixup
    knobs = {"augmentation.strength": row.aug_p, "augmentation.copies": row.repeated_aug} if places else {}
    order = {f"augmentation.{operator}": position for position, operator in enumerate(stack, start=1)}
    return {"augmentation": "+".join(stack) or "none", **order, **knobs}


def _faults(rows: Sequence[AuthorsRow], path: Path) -> list[str]:
    """What is wrong with the table, counted."""
    same_pipeline = Counter(row.model_dump_json(exclude={"score", "ratio"}) for row in rows)
    marked = [file.name for file in sorted(path.parent.glob("*.csv")) if file.read_bytes()[:3] == BOM_UTF8]
    strange = _other_teacher(rows, path.with_name("teacher_baseline.csv"))
    counts = {
        "ratios are above 1": sum(row.ratio > 1 for row in rows),
        "scores are 0 or below": sum(row.score <= 0 for row in rows),
        "rows imply a teacher score half a point or more off teacher_baseline.csv": strange,
        "configurations are repeated, without a seed": sum(count > 1 for count in same_pipeline.values()),
    }
    counted = [f"{count} {what}" for what, count in counts.items() if count]
    marks = [f"a byte order mark begins {', '.join(marked)}"] if marked else []
    return [*counted, "two scales: scores are 0 to 1, the Bi-LSTM's 0 to 100", *marks]


def _other_teacher(rows: Sequence[AuthorsRow], table: Path) -> int:
    """Rows whose ratio does not go with the table of teachers, where there is one."""
    if not table.is_file():
        return 0
    teachers = pd.read_csv(table, encoding="utf-8-sig").set_index(["task", "model"]).score / 100
    differences = (row.score / row.ratio - teachers.get((row.task, row.Teacher), math.nan) for row in rows if row.ratio)
    return sum(abs(difference) > FAR_OFF for difference in differences)
