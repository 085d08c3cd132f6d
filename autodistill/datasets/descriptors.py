"""What can be counted on a dataset: size, labels, lengths, variety of words.

Together with the word counts this is everything about a dataset that the meta layer keeps; none of it
holds text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, islice
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from autodistill.datasets.words import words_of
from engine.base.spec import Count, Name, Score, TableRow
from engine.data.task import Task, TaskKind, texts_of

VARIETY_WORDS = 10_000
"""The type-token ratio falls with the length of the text, so it is taken over this many words at most."""

NonNegative = Annotated[float, Field(ge=0)]


class Descriptors(TableRow):
    """A dataset in numbers."""

    dataset: Name
    fingerprint: str = ""
    description: str = ""
    """The task in a sentence or two, in words that are not the dataset's."""
    task_kind: TaskKind
    metric: Name
    pair: bool
    n_train: Count
    labels: Annotated[int, Field(ge=0)]
    """Classes or tags; 0 where there are none."""
    label_entropy: Annotated[float, Field(ge=0, le=1)]
    """Of the training labels, as a share of the largest possible; 0 where there are none."""
    words_mean: NonNegative
    """Words of an example, all its texts together."""
    words_deviation: NonNegative
    type_token_ratio: Annotated[float, Field(ge=0, le=1)]
    """Different words among the first 10,000."""
    bilstm_score: Score | None = None
    """Of a small Bi-LSTM on the gold labels (`datasets.bilstm`)."""


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """Descriptors as an older version wrote them, under today's names.

    Example:
        >>> upgraded({"dataset": "cola", "baseline_score": 0.1})
        {'dataset': 'cola', 'bilstm_score': 0.1}
    """
    return {"bilstm_score" if key == "baseline_score" else key: value for key, value in record.items()}


def dataset_name(text: str) -> str:
    """One spelling for a dataset's name.

    Example:
        >>> dataset_name("glue/SST-2"), dataset_name("STS-B"), dataset_name("ud_ewt_pos")
        ('sst2', 'stsb', 'ud_ewt_pos')
    """
    word = re.sub(r"\W", "", text.rsplit("/", 1)[-1].lower())
    return re.sub(r"(?<=\D)_+(?=\d)", "", word) or text


def describe(task: Task, description: str = "") -> Descriptors:
    """Counts everything but the baseline score.

    Args:
        description: The task in a sentence or two; one is made where there is none.
    """
    texts = list(texts_of(task))
    lengths = np.array([len(words_of(text)) for text in texts]).reshape(-1, len(task.train)).sum(axis=0)
    first = list(islice(chain.from_iterable(map(words_of, texts)), VARIETY_WORDS))
    return Descriptors(
        dataset=dataset_name(task.name),
        fingerprint=task.fingerprint,
        description=description or sentence_about(task),
        task_kind=task.kind,
        metric=task.metric,
        pair=task.pair,
        n_train=len(task.train),
        labels=len(task.labels),
        label_entropy=_entropy(_labels(task), len(task.labels)),
        words_mean=float(lengths.mean()),
        words_deviation=float(lengths.std()),
        type_token_ratio=len(set(first)) / max(len(first), 1),
    )


def sentence_about(task: Task) -> str:
    """The task in a sentence, for a dataset that nobody has described.

    Label names say most about a task, where they are words.
    """
    names = ", ".join(label.replace("_", " ") for label in task.labels)
    text = "pair of texts" if task.pair else "text"
    return {
        "classification": f"Say to which class a {text} belongs: {names}.",
        "regression": f"Give a number to a {text}.",
        "tagging": f"Give a tag to each word of a text: {names}.",
        "question_answering": "Find the answer to a question in a text.",
    }[task.kind]


def _labels(task: Task) -> Iterable[int]:
    if task.kind == "classification":
        return task.train["label"]
    return chain.from_iterable(task.train["tags"]) if task.kind == "tagging" else ()


def _entropy(labels: Iterable[int], classes: int) -> float:
    """Entropy of labels over log(classes)."""
    counts = np.bincount(np.fromiter(labels, dtype=np.int64), minlength=max(classes, 1)).astype(float)
    if classes < 2 or not counts.any():
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return float(min(1.0, -(shares * np.log(shares)).sum() / np.log(classes)))
