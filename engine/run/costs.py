"""What runs will cost on this machine, measured on a few steps of each by the code that trains.

Nothing is learned and nothing is written: the student's weights are thrown away.
"""

import gc
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, logits_of, timing
from engine.models.forward import faster_attention
from engine.models.start import Model, begin
from engine.run.plan import RunPlan
from engine.run.prepare import objective_for, online_data
from engine.run.record import sizes
from engine.run.result import RunCosts
from engine.run.teacher import Teacher
from engine.training.batches import StepPlan, steps_in_epoch
from engine.training.loop import Stage, Trainee, optimise
from engine.training.optimiser import optimizer_for

STEPS = 2  # steps that are timed after a first one that is not
SLOW_SECONDS = 5.0  # a first step that takes longer is the measurement
HELD_OUT = 64  # held-out examples on which evaluation is timed


def measure_costs(
    plans: Mapping[str, RunPlan], teacher: Teacher, machine: Machine, student: Model | None = None
) -> RunCosts:
    """Takes a few steps of each plan.

    Args:
        plans: By name; all of one dataset, teacher, student and training.
        student: In place of the plans' one; it is changed.
    """
    whole = next(iter(plans.values()))
    task, rows = _sample(whole), len(whole.task.train)
    if student is None:
        student = begin(whole.student, task, whole.seed, machine, (teacher.model, teacher.tokenizer))
    (name, held_out), *_ = encode_held_out(task, student[1], whole.pipeline.training).items()
    latency, throughput = timing(student[0], held_out, task.kind, machine.device)
    started = _now(machine)
    logits_of(student[0], held_out, task.kind, machine.accelerator)
    evaluation = _now(machine) - started
    step_seconds, signal_seconds = {}, []
    machine.reporter.start("costs", len(plans), unit="kinds of step")
    gc.freeze()  # every plan frees its memory, and need not look through the libraries' objects for it
    for key, plan in plans.items():
        seconds = _timed_steps(replace(plan, task=task), plan.task, teacher, student, machine)
        step_seconds[key], of_one_example, examples = seconds
        signal_seconds.append(of_one_example)
        machine.reporter.advance("costs")
    gc.unfreeze()
    machine.reporter.finish("costs")
    windows = examples / len(task.train)  # of question answering; else 1
    return RunCosts(
        **sizes(student[0]),
        **sizes(teacher.model, "teacher_"),
        latency_ms=latency,
        throughput=throughput,
        step_seconds=step_seconds,
        steps_per_epoch=steps_in_epoch(round(rows * windows), whole.pipeline.training),
        signal_seconds=median(signal_seconds) * rows * windows,
        evaluation_seconds=evaluation * len(whole.task.validation[name]) / len(task.validation[name]),
    )


def _timed_steps(
    plan: RunPlan, whole: Task, teacher: Teacher, student: Model, machine: Machine
) -> tuple[float, float, int]:
    """The first steps of a training, as the loop takes them.

    Returns:
        Seconds of a step, seconds of the teacher on an example, examples of an epoch.
    """
    model, accelerator, training = student[0], machine.accelerator, plan.pipeline.training
    objective = objective_for(plan, teacher, model)
    data = online_data(plan, teacher, student, objective, machine, whole)
    stage = Stage("costs", Path(), plan.task, model, objective, data, training, plan.seed, {})
    optimizer = optimizer_for(model, objective, training)
    trainee, optimizer = accelerator.prepare(Trainee(model, objective, plan.task.kind), optimizer)
    attention = faster_attention(model, machine.device)
    trainee.train()
    steps = StepPlan(data, training, plan.seed, accelerator.process_index, accelerator.num_processes, 0)
    taught: list[float] = []
    trained: list[float] = []
    for number in range(min(STEPS + 1, len(steps))):
        started = _now(machine)
        batches = steps[number]
        prepared = _now(machine) - started
        originals = [batch for batch in batches if not batch.augmented]
        for batch in originals:
            data.view(batch)
        seen = _now(machine)
        optimise(batches, stage, trainee, optimizer, accelerator)
        teaching, both = seen - started - prepared, _now(machine) - seen + prepared
        taught.append(teaching / sum(len(batch.labels) for batch in originals))
        trained.append(max(both - teaching, 0.0))
        if both > SLOW_SECONDS:
            break
    model.set_attn_implementation(attention)
    accelerator.free_memory(trainee, optimizer)
    timed = slice(1 if len(trained) > 1 else 0, None)
    return median(trained[timed]), median(taught[timed]), len(data)


def _sample(plan: RunPlan) -> Task:
    """As many training rows as the steps take, and some held-out ones."""
    training, random = plan.pipeline.training, np.random.default_rng(0)
    enough = (STEPS + 1) * training.batch_size * training.gradient_accumulation
    train = plan.task.train
    name, held_out = next(iter(plan.task.validation.items()))
    rows = np.sort(random.permutation(len(train))[:enough])
    return replace(
        plan.task,
        train=train.select(rows),
        validation={name: held_out.select(range(min(len(held_out), HELD_OUT)))},
        test={},
        fingerprint=hash_of(plan.task.fingerprint, "a sample"),  # nothing of it may be kept for the whole
    )


def _now(machine: Machine) -> float:
    """The time at which everything that the device was given is done."""
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
    return time.perf_counter()
