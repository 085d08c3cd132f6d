"""From what a run measured to its record: scores, ratio, warnings in words, sizes, speeds, versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from engine.base import DISTRIBUTION, version_of
from engine.base.files import folder_written_atomically, write_text
from engine.base.machine import device_name, peak_memory_mb
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, timing
from engine.evaluation.intervals import Measured, Measures, lead_intervals, ratio_interval, scores_of
from engine.evaluation.scores import agreement, of_classes, trivial_score
from engine.models.load import parameter_count, save_model, size_mb
from engine.models.start import Model
from engine.run.folder import Run
from engine.run.plan import RunPlan
from engine.run.result import RunResult, distillation_ratio
from engine.run.teacher import Teacher
from engine.tokens.alignment import same_tokenizer
from engine.tokens.examples import Encoded, cut_in_words
from engine.training.batches import TrainingData
from engine.training.state import LoopState

MANY_CLASSES = 200  # a confusion matrix of more is larger than all else together
FEW = 0.02  # share of the training texts that may be cut without a warning
LIBRARIES = (DISTRIBUTION, "torch", "transformers", "datasets", "accelerate", "numpy")


def score_facts(task: Task, measures: Mapping[str, Measures]) -> dict[str, Any]:
    """The figures of a record that follow from what each role (`RunResult.scores`) reached, as far as known.

    They are of `task.split`, or of the set that selects, where a student that pauses knows no other one.
    """
    metric, selects = task.metric, next(iter(task.validation))
    split = task.split if task.split in measures.get("student", measures.get("teacher", task.held_out)) else selects
    rows = task.held_out[split]
    of_split = {role: sets[split] for role, sets in measures.items() if split in sets}
    found = {role: measured.scores[metric] for role, measured in of_split.items()}
    return {
        "scores": {role: scores_of(sets) for role, sets in measures.items()},
        "intervals": {role: {name: each.intervals for name, each in sets.items()} for role, sets in measures.items()},
        "split": split,
        "selected_on": selects,
        "teacher_score": found.get("teacher"),
        "student_score": found.get("student"),
        "student_alone_score": found.get("student_alone"),
        "trivial_score": trivial_score(task, rows),
        "calibration_error": {
            role: each.calibration_error for role, each in of_split.items() if each.calibration_error is not None
        },
        "null_thresholds": {
            role: each.null_threshold for role, each in of_split.items() if each.null_threshold is not None
        },
        **_class_facts(task, rows, of_split.get("student")),
        **_pair_facts(task, rows, of_split),
    }


def _class_facts(task: Task, rows: Dataset, student: Measured | None) -> dict[str, Any]:
    """Each class, or label, and the matrix of classes unless they are too many, where the answers are known."""
    if task.kind not in ("classification", "multi_label") or student is None or not student.answers:
        return {}
    classes, confusion = of_classes(task, rows, student.answers)
    return {"classes": classes, "confusion": confusion if len(classes) <= MANY_CLASSES else []}


def _pair_facts(task: Task, rows: Dataset, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """The student beside each other role, with intervals; of a known record, which holds no answers, they stay."""
    if "student" not in measured:
        return {"distillation_ratio": None}
    others = dict(measured)
    student, teacher = others.pop("student"), measured.get("teacher")
    ratio = None if teacher is None else distillation_ratio(*(each.scores[task.metric] for each in (student, teacher)))
    known: dict[str, Any] = {"distillation_ratio": ratio}
    if not student.answers:
        return known
    if teacher is not None and teacher.answers:
        known["agreement"] = agreement(task, student.answers, teacher.answers)
    if teacher is not None and ratio is not None:
        known["ratio_interval"] = ratio_interval(task, rows, student, teacher)
    return known | {"lead_intervals": lead_intervals(task, rows, student, others)}


def measures_of(result: RunResult) -> dict[str, Measures]:
    """Role → what a record says of it: all but the answers."""

    def measured(role: str, split: str, scores: dict[str, float]) -> Measured:
        error = result.calibration_error.get(role) if split == result.split else None
        threshold = result.null_thresholds.get(role)
        bounds = result.intervals.get(role, {}).get(split, {})
        return Measured(scores, bounds, calibration_error=error, null_threshold=threshold)

    return {
        role: {split: measured(role, split, scores) for split, scores in sets.items()}
        for role, sets in result.scores.items()
    }


def write_answers(path: Path, task: Task, measures: Mapping[str, Measures]) -> None:
    """Writes what teacher and student answered on the set that is reported, row by row, without the rows."""
    of_split = {role: measures[role] for role in ("teacher", "student") if task.split in measures.get(role, {})}
    known = {role: sets[task.split].answers for role, sets in of_split.items()}
    write_text(path, json.dumps({"fingerprint": task.fingerprint, "split": task.split, "answers": known}) + "\n")


def cut_warnings(examples: Encoded, plan: RunPlan) -> list[str]:
    """What of the training texts was not read, in words, where it is more than a few."""
    few = examples.cut <= FEW * len(examples)
    length = plan.pipeline.training.max_length or 0
    return [] if few else cut_in_words(examples, plan.task, length, plan.most_tokens, plan.asks)


def training_facts(run: Run, data: TrainingData, state: LoopState, states: Sequence[LoopState]) -> dict[str, Any]:
    """The figures of a record that follow from the training of its student, and of all that were tried."""
    assert data.signals is not None
    source = data.signals.source
    online = sum(each.examples for each in states) if source == "online" else 0
    return {
        "teacher_examples": run.passed + online + sum(each.answered for each in states),
        "signals": source,
        "best_epoch": state.best_epoch,
        "history": state.history,
        "epoch_seconds": state.epoch_seconds,
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


def speeds(run: Run, teacher: Teacher | None, student: Model, held_out: Mapping[str, Encoded]) -> dict[str, Any]:
    """Saves the student; latency and throughput of it and of the teacher."""
    if not run.machine.main:
        return {}
    first = next(iter(held_out))
    _save(student, run)
    own = timing(student[0], held_out[first], run.plan.task.kind, run.machine.device)
    names = ("latency_ms", "throughput")
    if teacher is None:
        return dict(zip(names, own, strict=True))
    known = teacher.key, run.machine.device, torch.get_num_threads()
    if known not in _of_teachers:
        seen = held_out[first] if same_tokenizer(student[1], teacher.tokenizer) else _seen_by(teacher, run, first)
        _of_teachers[known] = timing(teacher.model, seen, run.plan.task.kind, run.machine.device)
    speeds = {"": own, "teacher_": _of_teachers[known]}
    return {f"{role}{name}": value for role, found in speeds.items() for name, value in zip(names, found, strict=True)}


_of_teachers: dict[tuple[str, torch.device, int], tuple[float, float]] = {}
"""Key of a teacher, device and threads → latency and throughput, which runs in one process measure once."""


def _seen_by(teacher: Teacher, run: Run, split: str) -> Encoded:
    """A held-out set through the teacher's tokenizer."""
    task = run.plan.task
    alone = replace(task, validation={split: task.validation[split]}, test={})
    return encode_held_out(alone, teacher.tokenizer, run.plan.pipeline.training)[split]


def _save(student: Model, run: Run) -> None:
    """Puts the student's files into the run's folder, each of them whole."""
    folder, length = run.folder, run.plan.pipeline.training.max_length
    with folder_written_atomically(folder.work / "saved") as aside:
        save_model(*student, aside, length)
    files = list((folder.work / "saved").iterdir())
    folder.owns(*(path.name for path in files))
    for path in files:
        path.replace(folder.path / path.name)


def record_of(run: Run, **facts: Any) -> RunResult:
    """The record of the run, as far as it came."""
    plan, machine, seconds = run.plan, run.machine, run.stage_seconds
    return RunResult(
        identity=plan.identity,
        task=plan.task.name,
        task_kind=plan.task.kind,
        dataset_fingerprint=plan.task.fingerprint,
        held_out_fingerprint=plan.task.held_out_fingerprint,
        dataset_source=plan.task.source,
        dataset_hub=plan.task.hub,
        labels=list(plan.task.labels),
        columns=dict(plan.task.columns),
        train_examples=len(plan.task.train),
        unlabelled_examples=plan.task.examples - len(plan.task.train),
        teacher=plan.teacher_name,
        student=plan.student_name,
        pipeline=plan.pipeline.model_dump(mode="json"),
        seed=plan.seed,
        metric=plan.task.metric,
        positive=plan.task.positive_label,
        layers=plan.student.layers,
        hidden_size=plan.student.width,
        teacher_layers=plan.teacher.start.layers if plan.teacher else None,
        teacher_hidden_size=plan.teacher.start.width if plan.teacher else None,
        seconds=sum(seconds.values()),
        stage_seconds=seconds,
        finished_at=now(),
        peak_memory_mb=peak_memory_mb(machine.device),
        device=device_name(machine.device),
        precision=plan.precision,
        versions=versions(),
        **facts,
    )
