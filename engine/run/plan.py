"""Everything about a run that is settled, and checked, before the first weight is loaded."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property

from transformers import PretrainedConfig

from engine.base.errors import InputError, Problem
from engine.base.files import hash_of
from engine.base.hub import place_of
from engine.base.options import FineTuning
from engine.data.task import Task, TaskKind
from engine.models.load import HEADS, load_tokenizer
from engine.models.names import Scratch, parse_model
from engine.objective.mapping import check_layers
from engine.pipeline.pipeline import Pipeline
from engine.run.student import StudentPlan, length_problems, plan_student
from engine.run.teacher import TeacherPlan, plan_teacher

MEMBERS = "team.members"


@dataclass(frozen=True)
class RunPlan:
    """One run, decided.

    Args:
        pipeline: With the paper's values for this task in place of every `None`.
        teacher_name: How the teacher was named; `student_name` likewise.
        precision: Of the forward passes.
        members: The other members of the teacher's team.
    """

    task: Task
    pipeline: Pipeline
    teacher_name: str
    student_name: str
    teacher: TeacherPlan
    student: StudentPlan
    seed: int
    precision: str
    members: tuple[TeacherPlan, ...] = ()

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides the result; a folder belongs to one."""
        models = [self.teacher.identity, self.student.identity, self.teacher.tuned]
        models += [fact for each in self.members for fact in (each.identity, each.tuned)]
        if self.pipeline.team.kind == "assistants":  # which trains fine-tuned members, too
            team = (self.teacher, *self.members)
            models += [each.fine_tuning.model_dump_json(exclude={"when"}) for each in team]
        return hash_of(self.pipeline.key, self.task.fingerprint, *models, self.seed, self.precision)


def plan_run(
    task: Task,
    pipeline: Pipeline,
    teacher: str,
    student: str,
    *,
    seed: int = 0,
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    precision: str = "float32",
) -> RunPlan:
    """Checks that pipeline, dataset and models go together.

    Raises:
        InputError: They do not; the message holds every reason.
    """
    names = parse_model(teacher, "teacher"), parse_model(student, "student")
    if problems := pipeline.problems_with(task.kind):
        raise InputError(problems)
    settled = pipeline.for_task(task, from_scratch=isinstance(names[1], Scratch))
    others = [parse_model(name, MEMBERS) for name in settled.team.members]
    for role, name in (("teacher", names[0]), ("student", names[1]), *((MEMBERS, name) for name in others)):
        if isinstance(name, str):
            load_tokenizer(name, role)
    teacher_plan = plan_teacher(names[0], task, fine_tuning)
    members = tuple(plan_teacher(name, task, fine_tuning, MEMBERS, teacher_plan) for name in others)
    student_plan = plan_student(names[1], teacher_plan)
    length = settled.training.max_length or 0
    problems = check_layers(settled.mapping, student_plan.layers, teacher_plan.depth_and_width()[0])
    mixing = "mixup" in settled.augmentation.kinds
    for role, config, mixed in (
        ("teacher", teacher_plan.config, mixing),
        ("student", student_plan.config, mixing),
        *((MEMBERS, each.config, False) for each in members),
    ):
        problems += head_problems(config, task.kind, role, mixed)
        problems += length_problems(config, "team's member" if role == MEMBERS else role, length)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return RunPlan(task, settled, teacher, student, teacher_plan, student_plan, seed, precision, members)


NEEDED = {
    "attention_mask": "models of this type take no attention mask, so padding would change their answers",
    "inputs_embeds": "models of this type take no embeddings in place of words, which mixup mixes",
}
"""Argument of a model's forward → what it means that it is not there."""


def head_problems(
    config: PretrainedConfig | None, kind: TaskKind, role: str, mixing: bool = False
) -> list[Problem]:
    """Whether models of this type can do this kind of task, with mixup or without; None is from scratch."""
    if config is None:
        return []
    known = HEADS[kind]._model_mapping
    if type(config) not in known:
        what = f"transformers has no head for {kind.replace('_', ' ')} for models of this type"
        return [Problem(place_of(role), what, config.model_type)]
    taken = inspect.signature(known[type(config)].forward).parameters
    needed = ["attention_mask", "inputs_embeds"] if mixing else ["attention_mask"]
    return [Problem(place_of(role), NEEDED[name], config.model_type) for name in needed if name not in taken]


def check_batch(pipeline: Pipeline, processes: int) -> None:
    """Whether each process has examples enough for the objective.

    Raises:
        InputError: mi_alpha contrasts the examples of one process, and it would have but one.
    """
    size = pipeline.training.batch_size
    if pipeline.intermediate.kind == "mi_alpha" and size // processes < 2:
        what = f"mi_alpha needs two examples in each of the {processes} processes"
        raise InputError.of("training.batch_size", what, size, (f"at least {2 * processes}",))
