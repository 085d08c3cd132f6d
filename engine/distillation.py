"""`distill`: one run from a dataset and two model names to a student and its record.

The order is the promise: everything that can be known to be wrong is said before anything is
loaded or trained; each stage leaves something that a later process can go on from; the record is
written last, whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from engine.base.errors import InputError, RunError
from engine.base.files import folder_written_atomically, hash_of, write_text
from engine.base.machine import Machine, device_name, machine_for, peak_memory_mb
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.load import identified, load_task
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, timing
from engine.models.load import (
    parameter_count,
    save_model,
    size_mb,
)
from engine.pipeline import Pipeline
from engine.pipeline.read import dump_pipeline, load_pipeline
from engine.run.card import write_card
from engine.run.fine_tuning import Model, baseline_scores
from engine.run.folder import RunFolder
from engine.run.plan import RunPlan, check_batch, plan_run
from engine.run.record import Watch, now, score_facts, training_facts, versions
from engine.run.result import RunResult, Scores, in_words
from engine.run.student import make_student
from engine.run.teacher import Teacher, load_start, prepare_teacher
from engine.team.search import write_history
from engine.team.teach import teach
from engine.tokens.alignment import same_tokenizer
from engine.tokens.examples import Encoded
from engine.training.loop import best_scores


def distill(
    data: Any,
    *,
    teacher: str,
    student: str,
    pipeline: Pipeline | str | Path | Mapping[str, Any] = "mi_alpha",
    out: str | Path,
    seed: int = 0,
    with_baseline: bool = False,
    until_epoch: int | None = None,
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    reporter: Reporter | None = None,
    **columns: Any,
) -> RunResult:
    """Distils a student for a dataset and writes it with its record into a folder.

    Args:
        data: A hub name, a file, a folder, `demo`, a DataFrame, a `datasets` object, or a `Task`.
        teacher: A hub name, a folder or `scratch:layers=L,hidden=H`.
        student: The same, or `layers:K` for K layers of the teacher.
        pipeline: A `Pipeline`, a preset's name, a file or a mapping.
        out: Folder of the run. The same run started again there goes on where it stopped.
        seed: Of the student's start, the order of examples and dropout.
        with_baseline: Whether the student is also fine-tuned without a teacher, to compare.
        until_epoch: The epoch after which the student's training pauses. Its schedule stays that of all
            epochs, so the same call with a later epoch, or none, goes on as if it had never paused.
        fine_tuning: How a teacher that is not fine-tuned yet becomes one.
        options: Device, precision, caches.
        columns: `text`, `text_pair`, `label`, `kind`, `metric`, `max_train`, `max_validation`
            of `engine.data.load_task`.

    Returns:
        The record of the run, which is also in `out/result.json`. Where the training pauses, its status
        is `pruned`: it holds the figures so far, and no student is saved yet.

    Raises:
        InputError: The input cannot be used; nothing was trained.
        RunError: The run failed on its way, such as by a loss that is not finite.
    """
    if until_epoch is not None and until_epoch < 1:
        raise InputError.of("until_epoch", "out of range", until_epoch, ("at least 1",))
    chosen = load_pipeline(pipeline)
    machine = machine_for(options, reporter)
    task = identified(data) if isinstance(data, Task) else load_task(data, **columns)
    for note in task.notes:
        machine.reporter.message(note)
    plan = plan_run(
        task, chosen, teacher, student, seed=seed, fine_tuning=fine_tuning, precision=machine.precision
    )
    check_batch(plan.pipeline, machine.accelerator.num_processes)
    with machine.accelerator.main_process_first():  # one empties the folder, where that was asked for
        folder = RunFolder(out, plan.identity, options.overwrite)
    known = folder.finished() or folder.paused(until_epoch)
    if known and not _lacks(known, with_baseline):
        over = known.status == "ok"
        if machine.main and over:
            folder.tidy()
        state = "is finished" if over else f"pauses after epoch {len(known.history)}"
        machine.reporter.message(f"This run {state}: its result is in {folder.path}.")
        return known
    if not machine.main:
        return _execute(plan, folder, machine, with_baseline, until_epoch)
    with folder.locked():
        try:
            return _execute(plan, folder, machine, with_baseline, until_epoch)
        except torch.OutOfMemoryError as error:
            what = "the memory does not suffice; a smaller training.batch_size with more "
            raise RunError(f"{what}training.gradient_accumulation takes less") from error
        except RunError as error:
            if known is None:
                folder.close(_record(plan, folder, machine, status="failed", reason=str(error)))
            raise


def _execute(
    plan: RunPlan, folder: RunFolder, machine: Machine, with_baseline: bool, until_epoch: int | None
) -> RunResult:
    """The stages of a run, in order."""
    if known := folder.finished():  # perhaps by another process, just before the lock was ours
        return _with_baseline(known, plan, folder, machine) if _lacks(known, with_baseline) else known
    task, training = plan.task, plan.pipeline.training
    watch = Watch(folder, keep=machine.main)
    teacher = prepare_teacher(plan.teacher, task, training, machine)
    watch.lap("teacher")
    scores = {"teacher": teacher.scores}
    if with_baseline:
        scores["baseline"] = _baseline(plan, machine)
        watch.lap("baseline")

    taught = teach(plan, teacher, folder, watch, until_epoch, machine)
    stage, state = taught.stage, taught.state
    scores["student"] = best_scores(stage, state, machine)
    machine.reporter.message(f"student: {in_words(scores['student'])}")

    facts = score_facts(task, scores) | _sizes(stage.student) | _sizes(teacher.model, "teacher_")
    facts |= training_facts(state, stage.data, taught.passed, taught.examples) | {"team": taught.team}
    if stage.paused(state):
        return _pause(_record(plan, folder, machine, status="pruned", **facts), folder, machine)
    facts |= _speeds(plan, folder, teacher, (stage.student, taught.tokenizer), stage.held_out, machine)
    if taught.team and taught.found and machine.main:
        write_history(folder.path / "theta.csv", taught.found, taught.team.members)
    watch.lap("measuring")
    return _finish(_record(plan, folder, machine, status="ok", **facts), plan, folder, machine)


def _lacks(known: RunResult, with_baseline: bool) -> bool:
    """Whether a finished run is asked for a baseline that it does not have."""
    return with_baseline and known.baseline_score is None


def _with_baseline(known: RunResult, plan: RunPlan, folder: RunFolder, machine: Machine) -> RunResult:
    """A finished run with the student without a teacher beside it; nothing else is done again."""
    watch = Watch(folder, keep=machine.main)
    scores = known.scores | {"baseline": _baseline(plan, machine)}
    watch.lap("baseline")
    stages = known.stage_seconds | watch.laps
    times = {"stage_seconds": stages, "seconds": sum(stages.values()), "finished_at": now()}
    result = RunResult.model_validate(known.model_dump() | score_facts(plan.task, scores) | times)
    return _finish(result, plan, folder, machine)


def _pause(result: RunResult, folder: RunFolder, machine: Machine) -> RunResult:
    """Writes the record so far beside the work, which stays."""
    if machine.main:
        folder.write(result)
    return machine.agreed(result)


def _finish(result: RunResult, plan: RunPlan, folder: RunFolder, machine: Machine) -> RunResult:
    """Writes what lies beside the student, the record last."""
    if machine.main:
        write_text(folder.path / "pipeline.toml", dump_pipeline(plan.pipeline, "toml"))
        write_card(folder.path, result, plan.task)
        folder.close(result)
    return machine.agreed(result)


def _baseline(plan: RunPlan, machine: Machine) -> Scores:
    """Scores of the student without a teacher: fine-tuned on gold labels, as long and as fast.

    A student of `layers:K` starts from the teacher as it was named, before it was fine-tuned here:
    what the teacher has learned of the task is what the baseline goes without.
    """
    task, training = plan.task, plan.pipeline.training
    named = load_start(plan.teacher, task, machine)
    start = make_student(plan.student, named, task, plan.seed)
    start_of = (
        plan.student.identity,
        plan.teacher.identity,
        plan.teacher.fine_tune,
        plan.teacher.fine_tuning.seed,
    )
    key = hash_of(task.fingerprint, *start_of, training.model_dump_json(), plan.seed, plan.precision)
    scores = baseline_scores(start, task, training, plan.seed, key, machine)
    machine.reporter.message(f"student without a teacher: {in_words(scores)}")
    return scores


def _sizes(model: PreTrainedModel, prefix: str = "") -> dict[str, Any]:
    """Parameters and bytes of a model, as the record names them."""
    return {f"{prefix}parameters": parameter_count(model), f"{prefix}size_mb": size_mb(model)}


def _speeds(
    plan: RunPlan,
    folder: RunFolder,
    teacher: Teacher,
    student: Model,
    held_out: Mapping[str, Encoded],
    machine: Machine,
) -> dict[str, Any]:
    """Saves the student; latency and throughput of it and of the teacher."""
    if not machine.main:
        return {}
    device, task = machine.device, plan.task
    first = next(iter(held_out))
    seen = {first: held_out[first]}
    if not same_tokenizer(student[1], teacher.tokenizer):
        only_first = replace(task, validation={first: task.validation[first]})
        seen = encode_held_out(only_first, teacher.tokenizer, plan.pipeline.training)
    _save(student, folder)
    facts: dict[str, Any] = {}
    for prefix, model, encoded in (
        ("", student[0], held_out[first]),
        ("teacher_", teacher.model, seen[first]),
    ):
        latency, throughput = timing(model, encoded, task.kind, device)
        facts |= {f"{prefix}latency_ms": latency, f"{prefix}throughput": throughput}
    return facts


def _save(student: Model, folder: RunFolder) -> None:
    """Puts the student's files into the run's folder, each of them whole."""
    with folder_written_atomically(folder.work / "saved") as aside:
        save_model(*student, aside)
    for path in (folder.work / "saved").iterdir():
        path.replace(folder.path / path.name)


def _record(plan: RunPlan, folder: RunFolder, machine: Machine, **facts: Any) -> RunResult:
    """The record of the run, as far as it came."""
    laps = folder.recall("stage_seconds", {})
    teacher_layers, teacher_hidden_size = plan.teacher.depth_and_width()
    return RunResult(
        identity=plan.identity,
        task=plan.task.name,
        task_kind=plan.task.kind,
        dataset_fingerprint=plan.task.fingerprint,
        labels=list(plan.task.labels),
        train_examples=len(plan.task.train),
        teacher=plan.teacher_name,
        student=plan.student_name,
        pipeline=plan.pipeline.model_dump(mode="json"),
        seed=plan.seed,
        metric=plan.task.metric,
        layers=plan.student.layers,
        hidden_size=plan.student.width,
        teacher_layers=teacher_layers,
        teacher_hidden_size=teacher_hidden_size,
        seconds=sum(laps.values()),
        stage_seconds=laps,
        finished_at=now(),
        peak_memory_mb=peak_memory_mb(machine.device),
        device=device_name(machine.device),
        precision=plan.precision,
        versions=versions(),
        **facts,
    )
