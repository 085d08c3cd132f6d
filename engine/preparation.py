"""What the training of a student needs beside it: the objective, and examples with the teacher's view.

Both follow from the plan and the loaded models; nothing is trained and nothing is kept here.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import PreTrainedModel

from engine.augment.build import policy_for
from engine.augmented import Augmenter, Reader
from engine.batches import TrainingData
from engine.data.alignment import same_tokenizer
from engine.data.encoding import encode
from engine.data.task import Task
from engine.fine_tuning import Model
from engine.hardware import Machine, workers_for
from engine.models import accepted_inputs, depth_and_width, position_limit
from engine.objective import Objective, TeacherNeeds
from engine.plan import RunPlan
from engine.signals import OnlineSignals
from engine.teacher import Teacher


def objective_for(plan: RunPlan, teacher: Teacher, student: PreTrainedModel) -> Objective:
    """Equation 1 for these two models."""
    layers, width = depth_and_width(student.config)
    teacher_layers, teacher_width = depth_and_width(teacher.model.config)
    torch.manual_seed(plan.seed)  # of projections and critics
    return Objective(
        plan.pipeline,
        plan.task.kind,
        student_layers=layers,
        student_width=width,
        teacher_layers=teacher_layers,
        teacher_width=teacher_width,
    )


def online_data(
    plan: RunPlan,
    teacher: Teacher,
    student: Model,
    objective: Objective,
    machine: Machine,
    whole: Task | None = None,
) -> TrainingData:
    """Training examples for student and teacher, and what augments them; the teacher runs along.

    Args:
        whole: Where the plan's task is a sample, the task that it is of: operators learn from all its texts.
    """
    task, training = plan.task, plan.pipeline.training
    model, tokenizer = student
    length = training.max_length or 0
    examples = encode(task.train, task, tokenizer, length, training.window_overlap)
    other, limit = None, length
    if not same_tokenizer(tokenizer, teacher.tokenizer):
        # The same text may take more tokens here; what the teacher does not see has no partner.
        limit = min(position_limit(teacher.model.config) or 2 * length, 2 * length)
        other = encode(task.train, task, teacher.tokenizer, limit, None, examples.windows)
    signals = OnlineSignals(teacher.model, task.kind, other or examples, objective.needs, machine.accelerator)
    data = TrainingData(examples, accepted_inputs(model), signals, other, objective.aligned)
    policy = policy_for(plan.pipeline.augmentation, whole or task, machine)
    if policy is None:
        return data
    augmenter = Augmenter(
        task=task,
        policy=policy,
        copies=plan.pipeline.augmentation.copies,
        examples=examples,
        student=Reader(tokenizer, length),
        teacher=None if other is None else Reader(teacher.tokenizer, limit),
        accepted=data.accepted,
        teacher_accepted=accepted_inputs(teacher.model),
        aligned=objective.aligned,
        workers=0 if policy.on_device else workers_for(machine),
    )
    logits_only = TeacherNeeds(layers=(), tokens="all")
    return replace(data, augmenter=augmenter, online=replace(signals, needs=logits_only))
