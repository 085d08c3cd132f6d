"""From what a run measured to its record: scores, ratio, warnings in words, sizes, speeds, versions."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from transformers import PreTrainedModel

from engine.base import DISTRIBUTION, version_of
from engine.base.files import folder_written_atomically
from engine.base.machine import device_name, peak_memory_mb
from engine.data.metrics import Scores
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, timing
from engine.evaluation.scores import clearly_better, trivial_scores
from engine.models.load import parameter_count, save_model, size_mb
from engine.models.start import Model
from engine.run.folder import Run, RunFolder
from engine.run.result import RunResult, distillation_ratio
from engine.run.teacher import Teacher
from engine.tokens.alignment import same_tokenizer
from engine.tokens.examples import Encoded
from engine.training.batches import TrainingData
from engine.training.state import LoopState

LIBRARIES = (DISTRIBUTION, "torch", "transformers", "datasets", "accelerate", "numpy")


def score_facts(task: Task, scores: dict[str, Scores]) -> dict[str, Any]:
    """The figures of a record that follow from the scores of `teacher`, `student`, `student_alone`, as far as known."""
    first, metric = next(iter(task.validation)), task.metric
    found = {who: sets[first][metric] for who, sets in scores.items()}
    teacher, student = found.get("teacher"), found.get("student")
    trivial = trivial_scores(task, task.validation[first]).get(metric)
    return {
        "scores": scores,
        "teacher_score": teacher,
        "student_score": student,
        "student_alone_score": found.get("student_alone"),
        "distillation_ratio": None if teacher is None or student is None else distillation_ratio(student, teacher),
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


def training_facts(run: Run, data: TrainingData, state: LoopState, examples: int) -> dict[str, Any]:
    """The figures of a record that follow from the training of students, which saw so many examples together."""
    assert data.signals is not None
    source = data.signals.source
    augmented = examples * data.augmenter.copies if data.augmenter else 0
    return {
        "teacher_examples": run.passed + examples * (source == "online") + augmented,
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
    return {name: version_of(name) or "not installed" for name in LIBRARIES}


def sizes(model: PreTrainedModel, prefix: str = "") -> dict[str, Any]:
    """Parameters and bytes of a model, as the record names them."""
    return {f"{prefix}parameters": parameter_count(model), f"{prefix}size_mb": size_mb(model)}


def speeds(run: Run, teacher: Teacher, student: Model, held_out: Mapping[str, Encoded]) -> dict[str, Any]:
    """Saves the student; latency and throughput of it and of the teacher."""
    if not run.machine.main:
        return {}
    device, task = run.machine.device, run.plan.task
    first = next(iter(held_out))
    seen = {first: held_out[first]}
    if not same_tokenizer(student[1], teacher.tokenizer):
        only_first = replace(task, validation={first: task.validation[first]})
        seen = encode_held_out(only_first, teacher.tokenizer, run.plan.pipeline.training)
    _save(student, run.folder)
    facts: dict[str, Any] = {}
    for prefix, model, encoded in (("", student[0], held_out[first]), ("teacher_", teacher.model, seen[first])):
        latency, throughput = timing(model, encoded, task.kind, device)
        facts |= {f"{prefix}latency_ms": latency, f"{prefix}throughput": throughput}
    return facts


def _save(student: Model, folder: RunFolder) -> None:
    """Puts the student's files into the run's folder, each of them whole."""
    with folder_written_atomically(folder.work / "saved") as aside:
        save_model(*student, aside)
    for path in (folder.work / "saved").iterdir():
        path.replace(folder.path / path.name)


def record_of(run: Run, **facts: Any) -> RunResult:
    """The record of the run, as far as it came."""
    plan, machine, seconds = run.plan, run.machine, run.stage_seconds
    return RunResult(
        identity=plan.identity,
        task=plan.task.name,
        task_kind=plan.task.kind,
        dataset_fingerprint=plan.task.fingerprint,
        dataset_hub=plan.task.hub,
        labels=list(plan.task.labels),
        train_examples=len(plan.task.train),
        teacher=plan.teacher_name,
        student=plan.student_name,
        pipeline=plan.pipeline.model_dump(mode="json"),
        seed=plan.seed,
        metric=plan.task.metric,
        layers=plan.student.layers,
        hidden_size=plan.student.width,
        teacher_layers=plan.teacher.start.layers,
        teacher_hidden_size=plan.teacher.start.width,
        seconds=sum(seconds.values()),
        stage_seconds=seconds,
        finished_at=now(),
        peak_memory_mb=peak_memory_mb(machine.device),
        device=device_name(machine.device),
        precision=plan.precision,
        versions=versions(),
        **facts,
    )
