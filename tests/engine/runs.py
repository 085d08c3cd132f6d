"""Whole runs on toy tasks, which several test modules start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import Pipeline, distill
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.run.result import RunResult
from tests.records import lasting
from tests.toys import toy_task

TEACHER = "scratch:layers=2,hidden=64,heads=2"
TUNING = FineTuning(epochs=6, batch_size=8, learning_rate=1e-3)
TRAINING = {"epochs": 6, "batch_size": 8, "learning_rate": 1e-3}
CRITIC = {"kind": "transformer", "width": 16, "layers": 1, "feed_forward": 32, "heads": 2}
MI_ALPHA = {"kind": "mi_alpha", "critic": CRITIC}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "single": ("layers:1", {"intermediate": MI_ALPHA, "mapping": {"kind": "last"}}),
    "pair": ("scratch:layers=2,hidden=48,heads=2", {"intermediate": {"kind": "mse"}}),
    "regression": ("layers:1", {"intermediate": {"kind": "pkd"}, "prediction": {"kind": "mse"}}),
    "tagging": ("scratch:layers=1,hidden=64,heads=2", {"intermediate": MI_ALPHA, "mapping": {"kind": "emd"}}),
    "question_answering": (
        "scratch:layers=2,hidden=64,heads=2",
        {"intermediate": {"kind": "cos"}, "mapping": {"kind": "emd"}, "prediction": {"kind": "kl", "temperature": 2.0}},
    ),
    "multi_label": ("layers:1", {"intermediate": {"kind": "mse"}, "prediction": {"kind": "kl", "temperature": 2.0}}),
}
"""Task → student, and components that together take every way through the engine."""
LEARNED = {
    "single": 0.75,
    "pair": 0.85,
    "regression": 0.6,
    "tagging": 0.9,
    "question_answering": 0.8,
    "multi_label": 0.9,
}
"""Scores that nothing but the words of the text can give; the trivial ones are below 0.6."""
STUDENT = ("model.safetensors", "tokenizer.json", "config.json", "pipeline.toml")


@dataclass
class Finished:
    """A run that is over."""

    task: Task
    result: RunResult
    folder: Path
    stages: dict[str, int]


def again(run: Finished, options: RunOptions, out: Path, ear: Any = None, **changes: Any) -> RunResult:
    student = changes.pop("student", run.result.student)
    pipeline = changes.pop("pipeline", run.result.pipeline)
    fine_tuning = changes.pop("fine_tuning", TUNING)
    return distill(
        run.task,
        teacher=TEACHER,
        student=student,
        pipeline=Pipeline.model_validate(pipeline),
        out=out,
        options=options,
        fine_tuning=fine_tuning,
        reporter=ear,
        **changes,
    )


def small(options: RunOptions, out: Path, **changes: Any) -> RunResult:
    """A run on few rows, where nothing has to be learned."""
    usual = {
        "data": toy_task("single", rows=24, held_out=8),
        "teacher": "scratch:layers=2,hidden=16,heads=2",
        "student": "scratch:layers=1,hidden=8,heads=1",
        "pipeline": {"training": TRAINING | {"epochs": 1}},
        "fine_tuning": FineTuning(epochs=1, learning_rate=1e-3),
    }
    return distill(**(usual | changes), options=options, out=out)


def assert_same_end(folder: Path, whole: Path) -> None:
    """Two folders hold the same finished run: its record, the student bit for bit, and no other files."""
    ended, expected = RunResult.read(folder), RunResult.read(whole)
    assert lasting(ended.model_dump()) == lasting(expected.model_dump())
    for file in STUDENT:
        assert (folder / file).read_bytes() == (whole / file).read_bytes()
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
