"""The embedded demo: built from installed libraries, balanced, honest, and neither trivial nor hopeless."""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest

from engine.data import demo
from engine.data.load import load_task
from engine.data.task import Task
from tests.clock import within


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("demo")


def test_sizes_and_balance(task: Task) -> None:
    assert (task.name, task.kind, task.metric) == ("demo", "classification", "accuracy")
    assert task.labels == tuple(sorted(demo.LIBRARIES))
    assert (len(task.train), len(task.validation["validation"]), len(task.test["test"])) == (3000, 300, 600)
    for rows in (task.train, *task.held_out.values()):
        assert len(set(Counter(rows["label"]).values())) == 1


def test_no_name_gives_a_library_away(task: Task) -> None:
    texts = [text for rows in (task.train, *task.held_out.values()) for text in rows["text"]]
    names = re.compile(r"\b(networkx|nx|pandas|pd|sklearn|scikit-learn|sympy|torch|pytorch|transformers)\b", re.I)
    assert not [text for text in texts if names.search(text)]
    assert sum(demo.MASK in text for text in texts) > 20


def test_each_sentence_stands_once_and_is_long_enough(task: Task) -> None:
    texts = [text for rows in (task.train, *task.held_out.values()) for text in rows["text"]]
    assert len({text.casefold() for text in texts}) == len(texts)
    assert min(len(text.split()) for text in texts) >= demo.FEWEST_WORDS


def test_it_is_the_same_every_time_and_quick(task: Task) -> None:
    demo._sentences_of.cache_clear()
    with within(seconds=25):
        again = load_task("demo")
    assert again.fingerprint == task.fingerprint
    assert any("networkx 3" in note for note in again.notes)


def test_simple_model_is_between_chance_and_perfection(task: Task) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=300))
    test = task.test["test"]
    model.fit(task.train["text"][:], task.train["label"][:])
    accuracy = model.score(test["text"][:], test["label"][:])
    assert 0.7 < accuracy < 0.95


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Create a `torch.nn.Linear`. More.", "Create a `library`."),
        ("\n    Wraps pd.DataFrame and\n    nx graphs!\n\n    Args:", "Wraps library and library graphs!"),
        ("A PyTorch or scikit-learn model", "A library or library model"),
        ("Untouched: index, torchlight, expd.", "Untouched: index, torchlight, expd."),
    ],
)
def test_first_sentence(docstring: str, sentence: str) -> None:
    assert demo.first_sentence(docstring) == sentence


def test_reading_imports_no_library() -> None:
    import subprocess

    from tests.conftest import ROOT

    code = (
        "import sys; from engine.data import demo; demo.read(); "
        "print([name for name in demo.LIBRARIES if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
