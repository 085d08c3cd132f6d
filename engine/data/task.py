"""A task: one dataset, what is asked of it, and the metric that counts.

Whatever the source was, rows have one normal form per kind:

    classification       text, [text_pair,] label (int, an index into `labels`)
    regression           text, [text_pair,] label (float)
    tagging              tokens (list of str), tags (list of int, indices into `labels`)
    question_answering   id, question, context, answers {text: [...], answer_start: [...]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from datasets import Dataset

TaskKind = Literal["classification", "regression", "tagging", "question_answering"]
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
TEXT_FIELDS: dict[TaskKind, tuple[str, ...]] = {
    "classification": ("text", "text_pair"),
    "regression": ("text", "text_pair"),
    "tagging": ("tokens",),
    "question_answering": ("question", "context"),
}


@dataclass(frozen=True)
class Task:
    """A dataset in normal form.

    Args:
        name: Short name, such as `sst2`.
        kind: What is predicted.
        pair: Whether a row has two texts (`text`, `text_pair`).
        labels: Class or tag names in the order of their indices; empty for the other kinds.
        metric: The score that picks the best checkpoint and makes the ratio; 0 to 1
            (correlations −1 to 1), higher is better.
        metrics: All that are reported, `metric` first.
        train: Training rows.
        validation: Held-out sets by name; the first one is decisive (MNLI has two).
        test: Sets without labels, for leaderboard files; often empty.
        columns: Which column of the source became which field.
        notes: What was inferred or made (a split, a task), one sentence each.
        fingerprint: Short hash of rows, split and schema: the identity of the dataset.
    """

    name: str
    kind: TaskKind
    pair: bool
    labels: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    train: Dataset
    validation: Mapping[str, Dataset]
    test: Mapping[str, Dataset] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def token_level(self) -> bool:
        """Whether the model answers per token (tagging, question answering)."""
        return self.kind in ("tagging", "question_answering")

    @property
    def outputs(self) -> int:
        """Width C of the model's logits: classes, tags, 1 for regression, 2 for span ends."""
        return {"regression": 1, "question_answering": 2}.get(self.kind, len(self.labels))


def texts_of(task: Task) -> Iterator[str]:
    """Every text of the training rows; a tagged sentence as one text."""
    for name in TEXT_FIELDS[task.kind]:
        if name in task.train.column_names:
            yield from (_joined(value) for value in task.train[name])


def _joined(value: str | Sequence[Any]) -> str:
    return value if isinstance(value, str) else " ".join(value)
