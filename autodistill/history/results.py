"""The record of a run of this project as a row of the table of runs."""

from __future__ import annotations

from typing import Any

from autodistill.history.table import dataset_name, flat
from engine.run.result import RunResult


def row_of_result(result: RunResult) -> dict[str, Any] | None:
    """The run in our layout; None for one that failed or was stopped early, which has no final score."""
    if result.status != "ok" or result.student_score is None:
        return None
    return {
        "dataset": dataset_name(result.task),
        "task_kind": result.task_kind,
        "metric": result.metric,
        "held_out": f"validation of {result.dataset_fingerprint}",
        "n_train": result.train_examples,
        "teacher": result.teacher,
        "student": result.student,
        "teacher_layers": result.teacher_layers,
        "teacher_hidden_size": result.teacher_hidden_size,
        "teacher_parameters": result.teacher_parameters,
        "student_layers": result.layers,
        "student_hidden_size": result.hidden_size,
        "student_parameters": result.parameters,
        "seed": result.seed,
        "score": result.student_score,
        "teacher_score": result.teacher_score,
        "seconds": result.stage_seconds.get("student"),
        "source": f"run {result.identity}",
        **flat(result.pipeline),
    }
