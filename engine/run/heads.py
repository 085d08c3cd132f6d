"""What models of a type can do at all, as transformers knows them: a kind of task, and learning it in less memory."""

import inspect
from typing import Any

from transformers import PretrainedConfig

from engine.base.errors import Problem
from engine.base.hub import place_of
from engine.base.options import FineTuning, StartKind
from engine.data.task import Task, TaskKind
from engine.models.load import HEADS, holds_a_unit
from engine.models.static import StaticConfig

NEEDED = {
    "attention_mask": "models of this type take no attention mask, so padding would change their answers",
    "inputs_embeds": "models of this type take no embeddings in place of words, which mixup mixes",
}
"""Argument of a model's forward → what it means that it is not there."""


def head_problems(
    config: PretrainedConfig | None, kind: TaskKind, role: str, mixing: bool = False, auto: Any = None
) -> list[Problem]:
    """Whether models of this type can do this kind of task, with mixup or without; None is from scratch.

    Args:
        auto: Class of transformers that is to load it, where it is not that with a head for the task.
    """
    if config is None:
        return []
    known = (auto or HEADS[kind])._model_mapping
    if type(config) not in known:
        what = f"transformers has no head for {kind.replace('_', ' ')} for models of this type"
        if isinstance(config, StaticConfig):
            what = f"a static student knows no order of words, and {kind.replace('_', ' ')} asks about single ones"
        return [Problem(place_of(role), what, config.model_type)]
    taken = inspect.signature(known[type(config)].forward).parameters
    needed = ["attention_mask", "inputs_embeds"] if mixing else ["attention_mask"]
    return [Problem(place_of(role), NEEDED[name], config.model_type) for name in needed if name not in taken]


FINE = 1e-5  # deviation of values, as a share of their mean, that float32 still tells apart well


def unit_problems(config: PretrainedConfig | None, task: Task, role: str) -> list[Problem]:
    """Whether a model that is trained can answer in the unit of a regression task's values; None is from scratch, or
    keeps the head that it has."""
    mean, deviation = task.unit
    if deviation < FINE * abs(mean):
        what = "these values differ too little for float32; subtract what they have in common"
        return [Problem("--label", what, f"{mean:g} ± {deviation:g}")]
    if task.kind != "regression" or config is None:
        return []
    if type(config) not in HEADS[task.kind]._model_mapping or holds_a_unit(config.to_json_string()):
        return []
    what = "the head of models of this type has no bias, so it cannot answer in the unit of the values"
    return [Problem(place_of(role), what, config.model_type)]


def memory_problems(
    config: PretrainedConfig | None, begins: StartKind, kind: TaskKind, fine_tuning: FineTuning
) -> list[Problem]:
    """Whether a model that begins so can be fine-tuned in less memory, where that is asked for."""
    problems = []
    if fine_tuning.lora and begins != "pretrained":
        what = "LoRA learns beside weights that stand, and this model begins with random ones"
        problems.append(Problem("--teacher-lora", what, str(fine_tuning.lora), (), "Leave it out."))
    if fine_tuning.gradient_checkpointing and not _has_gradient_checkpointing(config, kind):
        what = "transformers has no gradient checkpointing for models of this type"
        name = config.model_type if config else begins
        problems.append(Problem("--gradient-checkpointing", what, name, (), "Leave it out."))
    return problems


def _has_gradient_checkpointing(config: PretrainedConfig | None, kind: TaskKind) -> bool:
    """Whether models of this type have gradient checkpointing; None is from scratch, a BERT."""
    known = HEADS[kind]._model_mapping
    return config is None or type(config) not in known or known[type(config)].supports_gradient_checkpointing
