"""What counting words gives: a linear model on TF-IDF, the least that a transformer has to beat.

Decided here: words, signs, and pairs of them; scikit-learn's linear support vectors for classes, ridge regression for
values, both as they are by default. Of a large dataset a sample is read, so that the scores cost seconds. There is none
for what is answered word by word.
"""

from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from engine.data.splits import at_most
from engine.data.task import KINDS, Task
from engine.evaluation.intervals import Measures, measure

MOST_ROWS = 10_000
MOST_WORDS = 50_000  # and pairs of them
WORD = r"\w+|[^\w\s]"
MODELS = {"classification": LinearSVC, "regression": Ridge}


def linear_measures(task: Task) -> Measures:
    """What it reaches on every held-out set; nothing where the kind of task has no such model, or all rows one label.

    Example:
        >>> from engine.data.load import load_task
        >>> linear_measures(load_task("demo", max_train=300))["test"].scores["accuracy"] > 0.4
        True
    """
    if task.kind not in MODELS or len(set(task.train["label"][:])) < 2:
        return {}
    train = at_most(task.train, MOST_ROWS, 0, task.kind)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_WORDS, token_pattern=WORD)
    model = make_pipeline(words, MODELS[task.kind](random_state=0))
    model.fit(_texts(task, train), train["label"][:])
    return {
        name: measure(task, rows, model.predict(_texts(task, rows)).tolist()) for name, rows in task.held_out.items()
    }


def _texts(task: Task, rows: Dataset) -> list[str]:
    """Each row's text, or both of its texts."""
    fields = [name for name in KINDS[task.kind].fields if name in rows.column_names]
    return [" ".join(texts) for texts in zip(*(rows[name][:] for name in fields), strict=True)]
