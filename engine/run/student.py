"""The student: what it starts as."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from engine.base.errors import Problem
from engine.data.task import Task
from engine.models.load import (
    build,
    depth_and_width,
    for_task,
    load_config,
    load_pretrained,
    load_tokenizer,
    position_limit,
    scratch_config,
    weights_hash,
)
from engine.models.names import LayersOfTeacher, ModelName, Scratch
from engine.models.shallow import layers_of, shallow_config
from engine.run.fine_tuning import Model
from engine.run.teacher import TeacherPlan, check_depth

SCRATCH_POSITIONS = 512


@dataclass(frozen=True)
class StudentPlan:
    """What the student will start as, decided before anything is loaded.

    Args:
        identity: Hash of its weights, or the words that say how it starts.
        config: Of the model that it starts from; None from scratch.
    """

    name: ModelName
    identity: str
    layers: int
    width: int
    config: PretrainedConfig | None = None


def plan_student(name: ModelName, teacher: TeacherPlan) -> StudentPlan:
    """Depth and width of the student.

    Raises:
        InputError: It cannot be read, or the teacher has too few layers for it.
    """
    if isinstance(name, Scratch):
        return StudentPlan(name, repr(name), name.layers, name.hidden)
    if isinstance(name, LayersOfTeacher):
        depth, width = teacher.depth_and_width()
        check_depth(name, depth, "student")
        return StudentPlan(name, repr(name), name.count, width, teacher.config)
    config = load_config(name, "student")
    return StudentPlan(name, weights_hash(name, "student"), *depth_and_width(config), config)


def length_problems(config: PretrainedConfig | None, role: str, max_length: int) -> list[Problem]:
    """Whether a model can read texts of `max_length` tokens."""
    limit = SCRATCH_POSITIONS if config is None else position_limit(config)
    readable = max_length if limit is None else limit // 8 * 8  # batches are padded to a multiple of 8
    if max_length <= readable:
        return []
    what = f"the {role} reads at most {readable} tokens"
    return [Problem("training.max_length", what, str(max_length), (f"8 to {readable}",))]


def make_student(plan: StudentPlan, teacher: Model, task: Task, seed: int) -> Model:
    """The student as it starts, with its tokenizer; the same for the same seed.

    Args:
        teacher: Gives `layers:K` its layers, and a student from scratch its tokenizer.
    """
    network, tokenizer = teacher
    config = student_config(plan, network.config, tokenizer, task)
    if isinstance(plan.name, Scratch):
        return build(config, task.kind, seed), tokenizer
    if isinstance(plan.name, LayersOfTeacher):
        return layers_of(network, plan.name.count, config), tokenizer
    own = load_tokenizer(plan.name, "student")
    return load_pretrained(plan.name, config, task.kind, seed, "student"), own


def student_config(
    plan: StudentPlan, teacher: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, task: Task
) -> PretrainedConfig:
    """The configuration of a student with a head for the task.

    Args:
        teacher: The teacher's configuration; `tokenizer` its tokenizer.
    """
    if isinstance(plan.name, Scratch):
        config = scratch_config(plan.name, len(tokenizer), tokenizer.pad_token_id or 0)
        return for_task(config, task, tokenizer)
    if isinstance(plan.name, LayersOfTeacher):
        return for_task(shallow_config(teacher, plan.name.count), task, tokenizer)
    assert plan.config is not None
    return for_task(copy.deepcopy(plan.config), task, load_tokenizer(plan.name, "student"))
