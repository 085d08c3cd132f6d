"""What counting words gives: a linear model on TF-IDF, the least that a transformer has to beat.

Decided here: words, signs, and pairs of them; scikit-learn's linear support vectors for classes, for each label by
itself where a text may have several, and ridge regression for values, all as they are by default. Of a large dataset a
sample is read, so that the scores cost seconds. There is none for what is answered word by word.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from engine.data.splits import at_most
from engine.data.task import KINDS, Task, TaskKind
from engine.evaluation.class_sums import marked
from engine.evaluation.intervals import Measures, measure

MOST_ROWS = 10_000
FEWEST_ROWS, MOST_CELLS = 1_000, 1_000_000  # rows, and rows times labels, where each label has a model of its own
MOST_WORDS = 50_000  # and pairs of them
WORD = r"\w+|[^\w\s]"


class EachLabel:
    """A linear model for each of so many labels; a label that all rows of training have, or none, is always so."""

    def __init__(self, labels: int):
        self.labels = labels

    def fit(self, words: Any, sets: Sequence[Sequence[int]]) -> None:
        """Learns from texts as vectors (n, F) and the labels of each."""
        of_labels = marked(sets, self.labels).toarray().T > 0
        self.models = [
            LinearSVC(random_state=0).fit(words, has) if 0 < has.sum() < len(has) else has for has in of_labels
        ]

    def predict(self, words: Any) -> np.ndarray:
        """(n,) the indices of each text's labels."""
        of_labels = [
            np.full(words.shape[0], each[0]) if isinstance(each, np.ndarray) else each.predict(words)
            for each in self.models
        ]
        return np.fromiter((np.flatnonzero(has).tolist() for has in np.stack(of_labels, axis=1)), object)


MODELS: Mapping[TaskKind, Callable[[int], Any]] = {
    "classification": lambda _: LinearSVC(random_state=0),
    "regression": lambda _: Ridge(random_state=0),
    "multi_label": EachLabel,
}
"""Kind of task → number of labels → model."""


def linear_measures(task: Task) -> Measures:
    """What it reaches on every held-out set; nothing where the kind of task has no such model, or all rows one label.

    Example:
        >>> from engine.data.load import load_task
        >>> linear_measures(load_task("demo", max_train=300))["test"].scores["accuracy"] > 0.4
        True
    """
    if task.kind not in MODELS or len(set(map(str, task.train["label"]))) < 2:
        return {}
    rows, labels = MOST_ROWS, len(task.labels)
    if KINDS[task.kind].independent:
        rows = max(FEWEST_ROWS, min(MOST_ROWS, MOST_CELLS // labels))
    train = at_most(task.train, rows, 0, task.kind)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_WORDS, token_pattern=WORD)
    model = MODELS[task.kind](labels)
    model.fit(words.fit_transform(_texts(task, train)), train["label"][:])
    return {
        name: measure(task, rows, model.predict(words.transform(_texts(task, rows))).tolist())
        for name, rows in task.held_out.items()
    }


def _texts(task: Task, rows: Dataset) -> list[str]:
    """Each row's text, or both of its texts."""
    fields = [name for name in KINDS[task.kind].fields if name in rows.column_names]
    return [" ".join(texts) for texts in zip(*(rows[name][:] for name in fields), strict=True)]
