"""The student: what it starts as.

`layers:K` takes K layers of the teacher, whatever its architecture: the transformer layers are the
largest list of modules that is as long as the model is deep.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from engine.data.task import Task
from engine.errors import InputError, Problem
from engine.fine_tuning import Model
from engine.models import (
    build,
    depth_and_width,
    for_task,
    load_config,
    load_pretrained,
    load_tokenizer,
    parameter_count,
    position_limit,
    quiet_transformers,
    scratch_config,
    weights_hash,
)
from engine.names import LayersOfTeacher, ModelName, Scratch
from engine.teacher import TeacherPlan

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
        if name.count > depth:
            what = f"the teacher has only {depth} layers"
            raise InputError.of("--student", what, f"layers:{name.count}", (f"1 to {depth}",))
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
    if isinstance(plan.name, Scratch):
        config = scratch_config(plan.name, len(tokenizer), tokenizer.pad_token_id or 0)
        return build(for_task(config, task, tokenizer), task.kind, seed), tokenizer
    if isinstance(plan.name, LayersOfTeacher):
        config = for_task(shallow_config(network.config, plan.name.count), task, tokenizer)
        return layers_of(network, plan.name.count, config), tokenizer
    assert plan.config is not None
    tokenizer = load_tokenizer(plan.name, "student")
    config = for_task(copy.deepcopy(plan.config), task, tokenizer)
    return load_pretrained(plan.name, config, task.kind, seed, "student"), tokenizer


def layer_stack(model: PreTrainedModel) -> str | None:
    """Name of the list of the model's transformer layers: the largest one as long as it is deep.

    Returns:
        The name, or None where all layers share their weights (ALBERT).
    """
    depth, _ = depth_and_width(model.config)
    sizes = {
        name: parameter_count(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    }
    return max(sizes, key=lambda name: sizes[name], default=None)


def layers_of(teacher: PreTrainedModel, count: int, config: PretrainedConfig) -> PreTrainedModel:
    """A student that starts as `count` layers of its teacher, embeddings and head included.

    Student layer i is a copy of teacher layer i·⌊teacher layers / count⌋, as the mapping `skip`
    pairs them (BERT-PKD, Sun et al. 2019).

    Args:
        config: The teacher's configuration with `num_hidden_layers` set to `count`.
    """
    name = layer_stack(teacher)
    step = depth_and_width(teacher.config)[0] // count
    with quiet_transformers():
        student = type(teacher)(config)
    weights = teacher.state_dict()

    def origin(key: str) -> str:
        if name is None or not key.startswith(f"{name}."):
            return key
        index, _, rest = key.removeprefix(f"{name}.").partition(".")
        return f"{name}.{(int(index) + 1) * step - 1}.{rest}"

    student.load_state_dict({key: weights[origin(key)] for key in student.state_dict()})
    return student


def shallow_config(config: PretrainedConfig, count: int) -> PretrainedConfig:
    """The teacher's configuration with `count` layers; per-layer lists are thinned alike.

    A list counts as one if it is as long as the teacher is deep and either speaks of layers or holds numbers.
    """
    depth, _ = depth_and_width(config)
    step = depth // count
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = count
    for key, value in config.to_dict().items():
        as_deep = isinstance(value, list) and len(value) == depth
        if as_deep and ("layer" in key or not isinstance(value[0], str)):
            setattr(shallow, key, value[step - 1 :: step][:count])
    return shallow
