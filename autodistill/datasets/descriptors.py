"""What can be counted on a dataset: size, labels, lengths, variety of words.

Together with the word counts this is all that the meta layer keeps of a dataset; none of it holds text.
"""

import re
from itertools import chain, islice
from typing import Annotated

import numpy as np
from pydantic import Field

from autodistill.datasets.words import words_of
from engine.base.spec import Count, Name, Score, TableRow, Weight
from engine.data.task import KINDS, Task, TaskKind, texts_of

VARIETY_WORDS = 10_000
"""The type-token ratio falls with the length of the text, so it is taken over this many words at most."""
Share = Annotated[float, Field(ge=0, le=1)]


class Descriptors(TableRow):
    """A dataset in numbers."""

    dataset: Name
    """What it is called; two may be called alike."""
    fingerprint: str = ""
    """Of the rows that were counted, and how they are split and measured."""
    source: str = ""
    """Of the training rows as they came: which dataset it is (`Task.source`); empty in what was stored before."""
    hub: str = ""
    """Its full name on the hub, where it comes from there."""
    description: str = ""
    """The task in a sentence or two, in words that are not the dataset's."""
    task_kind: TaskKind
    metric: Name
    pair: bool
    n_train: Count
    labels: Annotated[int, Field(ge=0)]
    """Classes or tags; 0 where there are none."""
    label_entropy: Share
    """Of the training labels, as a share of the largest possible; 0 where there are none."""
    words_mean: Weight
    """Words of an example, all its texts together."""
    words_deviation: Weight
    type_token_ratio: Share
    """Different words among the first 10,000."""
    bilstm_score: Score | None = None
    """Of a small Bi-LSTM on the gold labels (`datasets.bilstm`)."""


def dataset_name(text: str) -> str:
    """One spelling for a dataset's name.

    Example:
        >>> dataset_name("glue/SST-2"), dataset_name("STS-B"), dataset_name("ud_ewt_pos"), dataset_name("reviews@3f2a")
        ('sst2', 'stsb', 'ud_ewt_pos', 'reviews@3f2a')
    """
    word = re.sub(r"[^\w@]", "", text.rsplit("/", 1)[-1].lower())
    return re.sub(r"(?<=\D)_+(?=\d)", "", word) or text


def describe(task: Task, description: str = "") -> Descriptors:
    """Counts everything but the Bi-LSTM score; where there is no description, a sentence is made."""
    texts = list(texts_of(task))
    lengths = np.array([len(words_of(text)) for text in texts]).reshape(-1, len(task.train)).sum(axis=0)
    first = list(islice(chain.from_iterable(map(words_of, texts)), VARIETY_WORDS))
    return Descriptors(
        dataset=dataset_name(task.name),
        fingerprint=task.fingerprint,
        source=task.source,
        hub=task.hub,
        description=description or sentence_about(task),
        task_kind=task.kind,
        metric=task.metric,
        pair=task.pair,
        n_train=len(task.train),
        labels=len(task.labels),
        label_entropy=_label_entropy(task),
        words_mean=float(lengths.mean()),
        words_deviation=float(lengths.std()),
        type_token_ratio=len(set(first)) / max(len(first), 1),
    )


def sentence_about(task: Task) -> str:
    """The task in a sentence; label names say most about it, where they are words."""
    names = ", ".join(label.replace("_", " ") for label in task.labels)
    text = "pair of texts" if task.pair else "text"
    return {
        "classification": f"Say to which class a {text} belongs: {names}.",
        "regression": f"Give a number to a {text}.",
        "tagging": f"Give a tag to each word of a text: {names}.",
        "multi_label": f"Say which of these apply to a {text}, several or none: {names}.",
        "question_answering": "Find the answer to a question in a text.",
    }[task.kind]


def _label_entropy(task: Task) -> float:
    if len(task.labels) < 2:
        return 0.0
    column = task.train[KINDS[task.kind].target]
    labels = column if task.kind == "classification" else chain.from_iterable(column)
    counts = np.bincount(np.fromiter(labels, dtype=np.int64)).astype(float)
    shares = counts[counts > 0] / counts.sum()
    return float(min(1.0, -(shares * np.log(shares)).sum() / np.log(len(task.labels))))
