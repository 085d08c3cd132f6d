"""Made-up records of runs, and what two records of the same run must have in common."""

from __future__ import annotations

from typing import Any

from autodistill.search.beliefs import Prior
from engine.run.result import RunResult

TIMES = {
    "seconds",
    "stage_seconds",
    "finished_at",
    "epoch_seconds",
    "examples_per_second",
    "peak_memory_mb",
    "latency_ms",
    "teacher_latency_ms",
    "throughput",
    "teacher_throughput",
    "waiting_share",
}
"""Fields that depend on the machine and its mood."""


def lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the fields that may differ."""
    return {key: value for key, value in record.items() if key not in TIMES}


def made_record(identity: str = "a", **more: Any) -> RunResult:
    """The record of a run that nobody made."""
    known = {
        "status": "ok",
        "identity": identity,
        "task": "toy",
        "task_kind": "classification",
        "dataset_fingerprint": "f",
        "labels": ["no", "yes"],
        "train_examples": 10,
        "teacher": "large",
        "student": "small",
        "pipeline": {"intermediate": {"kind": "none"}},
        "seed": 0,
        "metric": "accuracy",
        "student_score": 0.8,
        "teacher_score": 0.9,
    }
    return RunResult.model_validate(known | more)


def made_prior() -> Prior:
    """What some past curves could have taught a search: fixed, where the project's own changes with its runs."""
    return Prior(
        course=(-15.8, -14.2, -5.0, -1.1, 0.0),
        dispersion=(0.1, 1.0, 1.5, 1.2, 1.0),
        spread=0.015,
        alike={"intermediate": 0.2, "mapping": 0.1, "prediction": 0.1, "augmentation": 0.1, "student": 50.0},
        shared=100.0,
        own=1.0,
        noise=0.05,
        lengths=(1.0, 0.8, 0.5),
    )


def made_row(**more: Any) -> dict[str, Any]:
    """A row of the table of runs, in the project's layout."""
    known = {
        "dataset": "toy",
        "task_kind": "classification",
        "metric": "accuracy",
        "n_train": 10,
        "teacher": "large",
        "student": "small",
        "score": 0.8,
        "teacher_score": 0.9,
        "intermediate": "mse",
        "mapping": "skip",
    }
    return known | more
