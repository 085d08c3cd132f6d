"""What runs will cost on this machine, measured on a few steps by the code that trains (`engine.run.rehearsal`).

Nothing is learned and nothing is written: the student's weights are thrown away.
"""

import gc
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, logits_of, timing
from engine.models.start import Model, begin
from engine.run.plan import RunPlan
from engine.run.record import sizes
from engine.run.rehearsal import Rehearsal
from engine.run.result import RunCosts
from engine.run.teacher import Teacher
from engine.run.timing import now
from engine.run.untrained import training_seconds
from engine.tokens.order import BUCKET
from engine.training.batches import steps_in_epoch

HELD_OUT = 64  # held-out examples on which evaluation is timed


def measure_costs(
    plans: Mapping[str, RunPlan], teacher: Teacher, machine: Machine, student: Model | None = None
) -> RunCosts:
    """What the steps of each plan will take, and everything beside them.

    Args:
        plans: By name; all of one dataset, teacher, student and training.
        student: In place of the plans' one; it is changed.
    """
    whole = next(iter(plans.values()))
    task, rows = _sample(whole), whole.task.examples
    if student is None:
        student = begin(whole.student, task, whole.seed, machine, (teacher.model, teacher.tokenizer))
    (name, held_out), *_ = encode_held_out(task, student[1], whole.pipeline.training).items()
    latency, throughput = timing(student[0], held_out, task.kind, machine.device)
    started = now(machine)
    logits_of(student[0], held_out, task.kind, machine.accelerator)
    evaluation = now(machine) - started
    machine.reporter.start("costs", len(plans), unit="kinds of step")
    gc.freeze()  # every kind of step frees its memory, and need not look through the libraries' objects for it
    rehearsal, step_seconds = Rehearsal(whole, task, teacher, student, machine), {}
    for key, plan in plans.items():
        step_seconds[key] = rehearsal.seconds(plan)
        machine.reporter.advance("costs")
    learned = any(plan.pipeline.augmentation.trains_first for plan in plans.values())
    language_model = training_seconds(task, whole.task, machine) if learned else 0.0
    gc.unfreeze()
    machine.reporter.finish("costs")
    windows = len(rehearsal.data) / task.examples  # of question answering; else 1
    return RunCosts(
        **sizes(student[0]),
        **sizes(teacher.model, "teacher_"),
        latency_ms=latency,
        throughput=throughput,
        step_seconds=step_seconds,
        steps_per_epoch=steps_in_epoch(round(rows * windows), whole.pipeline.training),
        signal_seconds=rehearsal.plain.teaching * rows * windows,
        language_model_seconds=language_model,
        evaluation_seconds=evaluation * len(whole.task.validation[name]) / len(task.validation[name]),
    )


def _sample(plan: RunPlan) -> Task:
    """As many training rows as are sorted by length together, as many of the pool, and some held-out ones."""
    training, random = plan.pipeline.training, np.random.default_rng(0)
    enough = BUCKET * training.batch_size * training.gradient_accumulation
    name, held_out = next(iter(plan.task.validation.items()))
    sets = {"train": plan.task.train, "pool": plan.task.pool}
    rows = {role: each.select(np.sort(random.permutation(len(each))[:enough])) for role, each in sets.items() if each}
    return replace(
        plan.task,
        **rows,
        validation={name: held_out.select(range(min(len(held_out), HELD_OUT)))},
        test={},
        fingerprint=hash_of(plan.task.fingerprint, "a sample"),  # nothing of it may be kept for the whole
    )
