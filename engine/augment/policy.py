"""The policy: rows in, augmented rows out (Distiller, algorithm 1).

Decided here: what the order means. Text operators act one after the other on every text of a row. Mixup draws a
partner for each row among the others of the batch; what stood before it in the stack has changed the row alone, what
stands behind it changes both. Everything is driven by the generator that is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.augment import back_translation, language_model
from engine.augment.back_translation import BackTranslated
from engine.augment.contextual import MaskedWords
from engine.augment.language_model import load_language_model
from engine.augment.mixup import draw
from engine.augment.passages import Passage, Row, passages_of, row_of
from engine.augment.random import RandomWords
from engine.augment.synonyms import load_synonyms, synonyms_hash
from engine.base.files import hash_of
from engine.base.machine import Machine, models_work_ahead
from engine.data.task import Task, TaskKind
from engine.models.load import weights_hash
from engine.pipeline.augmentation import IN_DOMAIN, Augmentation, Mixup

Operator = Callable[[Sequence[Passage], np.random.Generator], list[Passage]]
"""Texts → other forms of them, of the same number."""


@dataclass(frozen=True)
class AugmentedRows:
    """What a policy made."""

    rows: list[dict[str, Any]]  # n; with mixup n first partners, and behind them n second ones
    shares: np.ndarray | None = None  # λ of each pair (n,); None without mixup


@dataclass(frozen=True)
class Policy:
    """An ordered stack of operators, ready to act."""

    before: tuple[Operator, ...]  # text operators in front of mixup; all of them where there is no mixup
    mixup: Mixup | None = None
    after: tuple[Operator, ...] = ()
    on_device: bool = False  # whether an operator needs the training's own process: its device, or the file it writes

    def __call__(self, rows: Sequence[Row], kind: TaskKind, generator: np.random.Generator) -> AugmentedRows:
        changed = _apply(self.before, rows, kind, generator)
        if self.mixup is None:
            return AugmentedRows(changed)
        partners, shares = draw(self.mixup, len(rows), generator)
        pairs = [*changed, *(dict(rows[partner]) for partner in partners)]
        return AugmentedRows(_apply(self.after, pairs, kind, generator), shares)


def _apply(
    operators: Sequence[Operator], rows: Sequence[Row], kind: TaskKind, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """The rows after operators, one after the other."""
    if not operators:
        return [dict(row) for row in rows]
    texts = [passages_of(row, kind) for row in rows]
    flat = [passage for each in texts for passage in each]
    for operator in operators:
        flat = operator(flat, generator)
    ends = np.cumsum([len(each) for each in texts])
    parts = [flat[end - len(each) : end] for end, each in zip(ends, texts, strict=True)]
    return [row_of(row, part, kind) for row, part in zip(rows, parts, strict=True)]


OPERATORS: dict[str, Callable[[Any, Task, Machine], Operator]] = {
    "contextual": lambda spec, task, machine: MaskedWords(
        spec, *load_language_model(spec.model, task, machine), machine
    ),
    "random": lambda spec, task, machine: RandomWords(spec, load_synonyms(spec.synonyms)),
    "back_translation": lambda spec, task, machine: BackTranslated(spec, machine),
}
"""Kind → spec, task, machine → operator; what it needs is loaded or trained. Mixup is the policy's own."""


READ: dict[str, Callable[[Any], Sequence[str]]] = {
    "contextual": lambda spec: [] if spec.model == IN_DOMAIN else [weights_hash(spec.model, language_model.PLACE)],
    "random": lambda spec: [synonyms_hash(spec.synonyms)],
    "back_translation": lambda spec: [weights_hash(each, back_translation.PLACE) for each in (spec.there, spec.back)],
    "mixup": lambda spec: [],
}
"""Kind → spec → hashes of what its operator reads, that of the dataset aside."""


def policy_hash(spec: Augmentation) -> str:
    """Hash of what decides, for a dataset, what a policy makes of its rows."""
    return hash_of(
        spec.model_dump_json(), *(each for operator in spec.operators for each in READ[operator.kind](operator))
    )


def policy_for(spec: Augmentation, task: Task, machine: Machine) -> Policy | None:
    """The policy of a pipeline on a task; None where it has no operators.

    Raises:
        InputError: A model, word vectors or WordNet are not there.
    """
    if not spec.operators:
        return None
    kinds = spec.kinds
    ready = [OPERATORS[each.kind](each, task, machine) for each in spec.operators if each.kind != "mixup"]
    at = kinds.index("mixup") if "mixup" in kinds else len(kinds)
    mixup: Any = spec.operators[at] if at < len(kinds) else None
    on_device = "back_translation" in kinds or ("contextual" in kinds and not models_work_ahead(machine))
    return Policy(tuple(ready[:at]), mixup, tuple(ready[at:]), on_device)
