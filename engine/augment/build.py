"""From the spec of a stack to a policy that is ready: what its operators need is found, loaded or trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.augment.back_translation import BackTranslated
from engine.augment.contextual import MaskedWords
from engine.augment.language_model import load_language_model
from engine.augment.policy import Operator, Policy
from engine.augment.random import RandomWords
from engine.augment.synonyms import load_synonyms
from engine.base.machine import Machine
from engine.data.task import Task
from engine.pipeline.augmentation import Augmentation, BackTranslation, Contextual, Mixup, Random


def policy_for(spec: Augmentation, task: Task, machine: Machine) -> Policy | None:
    """The policy of a pipeline on a task; None where it has no operators.

    Raises:
        InputError: A model, word vectors or WordNet are not there.
    """
    if not spec.operators:
        return None
    before: list[Operator] = []
    after: list[Operator] = []
    mixup: Mixup | None = None
    for operator in spec.operators:
        if isinstance(operator, Mixup):
            mixup = operator
        else:
            (before if mixup is None else after).append(BUILD[type(operator)](operator, task, machine))
    on_device = any(not isinstance(operator, RandomWords) for operator in (*before, *after))
    return Policy(tuple(before), mixup, tuple(after), on_device)


def _contextual(spec: Contextual, task: Task, machine: Machine) -> MaskedWords:
    return MaskedWords(spec, *load_language_model(spec.model, task, machine), machine)


def _random(spec: Random, task: Task, machine: Machine) -> RandomWords:
    return RandomWords(spec, load_synonyms(spec.synonyms))


def _back_translation(spec: BackTranslation, task: Task, machine: Machine) -> BackTranslated:
    return BackTranslated(spec, machine)


BUILD: dict[type, Callable[[Any, Task, Machine], Operator]] = {
    Contextual: _contextual,
    Random: _random,
    BackTranslation: _back_translation,
}
