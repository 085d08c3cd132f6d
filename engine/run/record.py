"""From what a run found to its record: scores, ratio, warnings in words, versions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.base import DISTRIBUTION
from engine.data.metrics import Scores
from engine.data.task import Task
from engine.evaluation.scores import clearly_better, trivial_scores
from engine.run.folder import RunFolder
from engine.run.result import distillation_ratio
from engine.training.batches import TrainingData
from engine.training.state import LoopState

LIBRARIES = (DISTRIBUTION, "torch", "transformers", "datasets", "accelerate", "numpy")


def score_facts(task: Task, scores: dict[str, Scores]) -> dict[str, Any]:
    """The figures of a record that follow from the scores.

    Args:
        scores: `teacher`, `student`, `student_alone` → held-out set → metric → score, as far as known.
    """
    first, metric = next(iter(task.validation)), task.metric
    found = {who: sets[first][metric] for who, sets in scores.items()}
    teacher, student = found.get("teacher"), found.get("student")
    trivial = trivial_scores(task, task.validation[first]).get(metric)
    return {
        "scores": scores,
        "teacher_score": teacher,
        "student_score": student,
        "student_alone_score": found.get("student_alone"),
        "distillation_ratio": None
        if teacher is None or student is None
        else distillation_ratio(student, teacher),
        "trivial_score": trivial,
        "warnings": _warnings(task, teacher, trivial),
    }


def _warnings(task: Task, teacher: float | None, trivial: float | None) -> list[str]:
    """What makes the ratio mean little, in words."""
    if teacher is None:
        return []
    named = f"The teacher's {task.metric} is {teacher:.3f}"
    if teacher <= 0:
        return [f"{named}, not above 0: the distillation ratio is undefined."]
    rows = next(iter(task.validation.values()))
    if trivial is None or clearly_better(task, rows, teacher, trivial):
        return []
    what = "always giving the commonest answer"
    return [f"{named}, not clearly above {what} ({trivial:.3f}): the distillation ratio means little here."]


def training_facts(state: LoopState, data: TrainingData, passed: int, examples: int) -> dict[str, Any]:
    """The figures of a record that follow from the student's training.

    Args:
        passed: Examples that this run passed through its teachers before the student's training.
        examples: What students have seen, repetitions counted.
    """
    assert data.signals is not None
    source = data.signals.source
    augmented = examples * data.augmenter.copies if data.augmenter else 0
    return {
        "teacher_examples": passed + examples * (source == "online") + augmented,
        "signals": source,
        "best_epoch": state.best_epoch,
        "history": state.history,
        "examples_per_second": state.examples / state.seconds,
        "waiting_share": state.waited / state.seconds,
    }


def now() -> str:
    """The time in UTC as ISO 8601 writes it, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of the libraries that decide a result."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class Watch:
    """Time of the stages of a run, kept in its folder so that a resumed run adds to it."""

    def __init__(self, folder: RunFolder, keep: bool):
        self._folder, self._keep, self._last = folder, keep, time.monotonic()

    def lap(self, stage: str) -> None:
        """The stage that began at the last lap is over."""
        now = time.monotonic()
        laps = self.laps
        laps[stage] = laps.get(stage, 0.0) + now - self._last
        self._last = now
        if self._keep:
            self._folder.remember(stage_seconds=laps)

    @property
    def laps(self) -> dict[str, float]:
        """Stage → seconds, over all processes that worked on the run."""
        return dict(self._folder.recall("stage_seconds", {}))
