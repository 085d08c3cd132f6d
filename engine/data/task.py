"""A task: one dataset, what is asked of it, and the metric that counts.

Whatever the source was, rows have one normal form per kind:

    classification       text, [text_pair,] label (int, an index into `labels`)
    multi_label          text, [text_pair,] label (list of int, different indices into `labels`, ascending)
    regression           text, [text_pair,] label (float)
    tagging              tokens (list of str), tags (list of int, indices into `labels`)
    question_answering   id, question, context, answers {text: [...], answer_start: [...]}
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

TaskKind = Literal["classification", "regression", "tagging", "question_answering", "multi_label"]
LABELLED, SOFT = "labelled", "soft_label"
"""Further fields of rows: whether they have a label (`Task.learned`); their logits (`engine.data.soft`)."""
HAS_ANSWER = {"squad_f1": "has_answer_f1", "exact_match": "has_answer_exact_match"}
"""Metric of all questions → that of those which have an answer."""
NO_ANSWER_ACCURACY = "no_answer_accuracy"
"""The share of the questions without an answer that get none (SQuAD 2.0)."""
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)


@dataclass(frozen=True)
class Kind:
    """What all tasks of a kind have in common.

    Args:
        columns: What a user calls a column (`text`, `text_pair`, `label`) → the field that it becomes.
        target: The field that is predicted.
        texts: The fields that a row must have to be answered.
        head: How the names of transformers' classes with a fitting head end.
        hub_tag: The task's name on the hub.
        per_token: Whether the model answers per token.
        outputs: Width C of the logits; None: one for each label.
        independent: Whether each label is answered by itself, so that a text may have several of them, or none.
        problem_type: What transformers calls it, where a head alone does not say it.
        at_words: What a row would lose if its words were moved; empty where labels do not stand at words.
        max_length: Tokens of an example (Distiller, appendix G; that of tagging is ours).
        epochs: Of a student (Distiller, appendix G).
    """

    columns: Mapping[str, str]
    target: str
    texts: tuple[str, ...]
    head: str
    hub_tag: str
    per_token: bool = False
    outputs: int | None = None
    independent: bool = False
    problem_type: str | None = None
    at_words: str = ""
    max_length: int = 64
    epochs: int = 20

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that hold texts, those that a row may lack too."""
        return tuple(field for role, field in self.columns.items() if role != "label")


_TEXTS = {"text": "text", "text_pair": "text_pair", "label": "label"}
_CLASSIFIER = ("ForSequenceClassification", "text-classification")
KINDS: Mapping[TaskKind, Kind] = {
    "classification": Kind(_TEXTS, "label", ("text",), *_CLASSIFIER),
    "regression": Kind(_TEXTS, "label", ("text",), *_CLASSIFIER, outputs=1, problem_type="regression"),
    "tagging": Kind(
        {"text": "tokens", "label": "tags"},
        "tags",
        ("tokens",),
        "ForTokenClassification",
        "token-classification",
        per_token=True,
        at_words="tags with their words",
        max_length=128,
    ),
    "question_answering": Kind(
        {"text": "question", "text_pair": "context", "label": "answers"},
        "answers",
        ("question", "context"),
        "ForQuestionAnswering",
        "question-answering",
        per_token=True,
        outputs=2,
        at_words="answer in its context",
        max_length=320,
        epochs=30,
    ),
    "multi_label": Kind(
        _TEXTS, "label", ("text",), *_CLASSIFIER, independent=True, problem_type="multi_label_classification"
    ),
}
"""The one table of what depends on the kind of task alone."""


class Unit(NamedTuple):
    """What a network's answer y inside stands for outside: mean + deviation · y, in the user's unit.

    Example:
        >>> Unit(50.0, 10.0).inside(70.0), Unit(50.0, 10.0).inverse.inside(2.0)
        (2.0, 70.0)
    """

    mean: float = 0.0
    deviation: float = 1.0

    def inside(self, values: Any) -> Any:
        """Values of the user's unit as training sees them; a number, an array or a tensor."""
        return values if self == NO_UNIT else (values - self.mean) / self.deviation

    @property
    def inverse(self) -> Unit:
        """The unit that leads back."""
        return Unit(-self.mean / self.deviation, 1 / self.deviation)


NO_UNIT = Unit()
"""Of answers that are what they are outside."""


@dataclass(frozen=True)
class Task:
    """A dataset in normal form.

    Args:
        name: Short name, such as `sst2`.
        kind: What is predicted.
        pair: Whether a row has two texts (`text`, `text_pair`).
        labels: Class or tag names in the order of their indices; empty for the other kinds.
        metric: The score that picks the best checkpoint and makes the ratio; 0 to 1 (correlations −1 to 1), higher is
            better.
        metrics: All that are reported, `metric` first.
        train: Training rows.
        validation: Held-out sets by name, of which the first one selects: the epoch, the candidate, the pick (MNLI has
            two).
        test: Labelled sets that select nothing; where there are some, the first one's score is what a run reports.
        unlabelled: Sets without labels, for leaderboard files; often empty.
        pool: Further training rows without labels, which the teacher labels (`engine.data.pool`); None where there are
            none. `train` holds those with labels alone.
        columns: Which column of the source became which field.
        notes: What was inferred or made (a split, a task), one sentence each.
        fingerprint: Short hash of everything that decides a score: rows, splits, labels, metric.
        soft_labels: What the data's own soft labels are called (`engine.data.soft`); then no model teaches. Empty where
            there are none.
        labelled_fingerprint: What that is without the pool; empty where there is none.
        held_out_fingerprint: Short hash of the labelled rows of `split`, whatever is learnt beside them and measured.
        source: Short hash of the training rows as they came, before any was held out or left out: which dataset it is,
            whatever was made of it.
        positive: Index of the class that `f1` is of, where there are two.
        hub: The hub name that was asked for, in full (`nyu-mll/glue/sst2`); empty where it came from elsewhere.
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
    unlabelled: Mapping[str, Dataset] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    held_out_fingerprint: str = ""
    source: str = ""
    positive: int = 1
    hub: str = ""
    pool: Dataset | None = None
    labelled_fingerprint: str = ""
    soft_labels: str = ""

    def _repr_html_(self) -> str:
        """As a notebook shows it: its sets, and what was inferred or made."""
        from engine.base.html import table

        sets = {"train": self.train, **self.held_out, **self.unlabelled} | ({"pool": self.pool} if self.pool else {})
        rows = [[name, f"{len(rows):,}", ", ".join(rows.column_names)] for name, rows in sets.items()]
        title = f"{self.name}: {self.kind.replace('_', ' ')}, metric {self.metric}"
        return table(["set", "rows", "fields"], rows, title, self.notes)

    @property
    def positive_label(self) -> str | None:
        """The class that `f1` is of; None where there are not two."""
        return self.labels[self.positive] if "f1" in self.metrics else None

    @property
    def examples(self) -> int:
        """How many rows a student learns from in an epoch: those of `train` and of the pool."""
        return len(self.train) + (0 if self.pool is None else len(self.pool))

    @cached_property
    def learned(self) -> Dataset:
        """Every row that a student learns from: `train` and behind it the pool; where there is one, with `LABELLED`."""
        if self.pool is None:
            return self.train
        import numpy as np
        import pyarrow as pa
        from datasets import Dataset
        from datasets.table import InMemoryTable

        train, pool = (rows.with_format("arrow")[:] for rows in (self.train, self.pool))
        train = train.select([name for name in train.column_names if name in pool.column_names])
        parts = [
            rows.append_column(LABELLED, pa.array(np.full(len(rows), known)))
            for rows, known in ((train, True), (pool.select(train.column_names).cast(train.schema), False))
        ]
        return Dataset(InMemoryTable(pa.concat_tables(parts)), fingerprint=f"{self.fingerprint}-learned")

    @property
    def labelled(self) -> Task:
        """The same without its pool: what a teacher is trained on, and whatever else learns from labels alone."""
        if self.pool is None:
            return self
        return replace(self, pool=None, fingerprint=self.labelled_fingerprint, labelled_fingerprint="")

    @property
    def may_lack_answers(self) -> bool:
        """Whether questions may have no answer (SQuAD 2.0): then there are metrics of those that have none."""
        return NO_ANSWER_ACCURACY in self.metrics

    @property
    def token_level(self) -> bool:
        """Whether the model answers per token (tagging, question answering)."""
        return KINDS[self.kind].per_token

    @property
    def outputs(self) -> int:
        """Width C of the model's logits: classes, tags, 1 for regression, 2 for span ends."""
        return KINDS[self.kind].outputs or len(self.labels)

    @property
    def held_out(self) -> Mapping[str, Dataset]:
        """Every labelled set that does not train: those of validation, the one that selects first, then the tests."""
        return {**self.validation, **self.test}

    @property
    def split(self) -> str:
        """The held-out set whose score is reported: the first test set, or the validation set that also selects."""
        return next(iter(self.test or self.validation))

    @cached_property
    def unit(self) -> Unit:
        """Mean and deviation of the training rows' values, in which regression is learned; else 0 and 1.

        A network begins with answers near 0 and learns those of deviation 1 fastest (LeCun et al. 1998, section 4.3).
        """
        if self.kind != "regression" or "label" not in self.train.column_names:
            return NO_UNIT
        values = numbers_in(self.train, "label")
        mean = fmean(map(float, values))
        deviation = math.sqrt(fmean((value - mean) ** 2 for value in map(float, values)))
        return Unit(mean, deviation if values.min() < values.max() else 1.0)


def numbers_in(rows: Dataset, column: str) -> np.ndarray:
    """A column of numbers (n,), of which only some are Python objects at a time."""
    import numpy as np

    from engine.data.cells import PIECE

    cells = rows[column]
    return np.concatenate([np.array(cells[begin : begin + PIECE]) for begin in range(0, len(rows) or 1, PIECE)])


def texts_of(task: Task) -> Iterator[str]:
    """Every text of the training rows; a tagged sentence as one text."""
    for name in KINDS[task.kind].fields:
        if name in task.train.column_names:
            yield from (value if isinstance(value, str) else " ".join(value) for value in task.train[name])
