"""What counting words gives: a linear model on TF-IDF, the least that a transformer has to beat.

Decided here: words, signs, and pairs of them; scikit-learn's linear support vectors for classes, for each label by
itself where a text may have several, and ridge regression for values, all as they are by default. Of a large dataset a
sample is read, so that the scores cost seconds. There is none for what is answered word by word.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from engine.data.splits import at_most
from engine.data.task import KINDS, Task, TaskKind
from engine.evaluation.class_sums import marked
from engine.evaluation.intervals import Measures, measure

MOST_ROWS = 10_000
FEWEST_ROWS, MOST_CELLS = 1_000, 1_000_000  # rows, and rows times labels, where each label has a model of its own
MOST_WORDS = 50_000  # and pairs of them
WORD = r"\w+|[^\w\s]"
MODELS: Mapping[TaskKind, Any] = {
    "classification": LinearSVC(random_state=0),
    "regression": Ridge(random_state=0),
    "multi_label": OneVsRestClassifier(LinearSVC(random_state=0)),
}


def linear_measures(task: Task) -> Measures:
    """What it reaches on every held-out set; nothing where the kind of task has no such model, or all rows one label.

    Example:
        >>> from engine.data.load import load_task
        >>> linear_measures(load_task("demo", max_train=300))["test"].scores["accuracy"] > 0.4
        True
    """
    if task.kind not in MODELS or len(set(map(str, task.train["label"]))) < 2:
        return {}
    train = at_most(task.train, most_rows(task.kind, len(task.labels)), 0, task.kind)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_WORDS, token_pattern=WORD)
    answers = _learned(task, words.fit_transform(_texts(task, train)), train["label"][:])
    return {
        name: measure(task, rows, answers(words.transform(_texts(task, rows)))) for name, rows in task.held_out.items()
    }


def most_rows(kind: TaskKind, labels: int) -> int:
    """Training rows that are read at most.

    Example:
        >>> most_rows("classification", 500), most_rows("multi_label", 500)
        (10000, 2000)
    """
    return max(FEWEST_ROWS, min(MOST_ROWS, MOST_CELLS // labels)) if KINDS[kind].independent else MOST_ROWS


def _learned(task: Task, words: Any, gold: Sequence[Any]) -> Callable[[Any], list[Any]]:
    """The model of a task, fitted on texts as vectors (n, F), as a function from such vectors to answers."""
    model = clone(MODELS[task.kind])
    if task.kind != "multi_label":
        model.fit(words, gold)
        return lambda others: model.predict(others).tolist()
    with warnings.catch_warnings():  # that all rows have a label, or none has it: then so do all others
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
        model.fit(words, marked(gold, len(task.labels)))
    return lambda others: [row.nonzero()[0].tolist() for row in model.predict(others).toarray()]


def _texts(task: Task, rows: Dataset) -> list[str]:
    """Each row's text, or both of its texts."""
    fields = [name for name in KINDS[task.kind].fields if name in rows.column_names]
    return [" ".join(texts) for texts in zip(*(rows[name][:] for name in fields), strict=True)]
