"""The record of a run as a row of the table of runs."""

from __future__ import annotations

from typing import Any

import pytest

from autodistill.history.results import row_of_result
from autodistill.history.table import COLUMNS, is_pipeline_column, runs_frame
from autodistill.recommend.space import pipelines
from engine.data.task import TASK_KINDS, TaskKind
from engine.pipeline import EMD, MIAlpha, Pipeline
from tests.records import made_record


def row(**more: Any) -> dict[str, Any]:
    """The row of a made-up record, which must be one."""
    found = row_of_result(made_record(**more))
    assert found is not None
    return found


def test_what_a_record_says_of_its_run() -> None:
    found = row(
        identity="abc",
        task="glue/SST-2",
        task_kind="classification",
        metric="accuracy",
        train_examples=123,
        teacher="bert",
        student="layers:3",
        teacher_layers=12,
        teacher_hidden_size=768,
        teacher_parameters=110_000_000,
        layers=3,
        hidden_size=384,
        parameters=20_000_000,
        seed=7,
        student_score=0.8,
        teacher_score=0.9,
        stage_seconds={"teacher": 50.0, "student": 12.5},
        pipeline=Pipeline(intermediate=MIAlpha(alpha=0.5), mapping=EMD()).model_dump(),
    )
    expected = {
        "dataset": "sst2",
        "task_kind": "classification",
        "metric": "accuracy",
        "n_train": 123,
        "teacher": "bert",
        "student": "layers:3",
        "teacher_layers": 12,
        "teacher_hidden_size": 768,
        "teacher_parameters": 110_000_000,
        "student_layers": 3,
        "student_hidden_size": 384,
        "student_parameters": 20_000_000,
        "seed": 7,
        "score": 0.8,
        "teacher_score": 0.9,
        "seconds": 12.5,
        "source": "run abc",
        "intermediate": "mi_alpha",
        "intermediate.alpha": 0.5,
        "mapping": "emd",
    }
    assert {name: found[name] for name in expected} == expected


def test_the_student_without_a_teacher_is_not_the_bi_lstm() -> None:
    assert "student_alone_score" not in row(student_alone_score=0.7)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_run_of_the_space_fits_the_table(kind: TaskKind) -> None:
    space = list(pipelines(kind))
    rows = [row(task_kind=kind, pipeline=pipeline.model_dump()) for pipeline in space]
    assert all(name in COLUMNS or is_pipeline_column(name) for found in rows for name in found)
    frame = runs_frame(rows, [""] * len(rows))
    assert frame.intermediate.tolist() == [pipeline.intermediate.kind for pipeline in space]
    assert (frame.student == "small").all()


@pytest.mark.parametrize(
    "more",
    [{"status": "failed", "reason": "the loss"}, {"status": "pruned"}, {"student_score": None}],
    ids=["failed", "pruned", "no score"],
)
def test_a_run_without_a_final_score_is_no_row(more: dict[str, Any]) -> None:
    assert row_of_result(made_record(**more)) is None


def test_scores_on_another_split_of_the_same_dataset_are_apart() -> None:
    first, second = (row(dataset_fingerprint=name) for name in "ab")
    assert first["dataset"] == second["dataset"]
    assert first["held_out"] != second["held_out"]


def test_a_teacher_that_is_no_better_than_nothing_leaves_the_ratio_open() -> None:
    assert runs_frame([row(teacher_score=0.0)], [""]).ratio.isna().all()
