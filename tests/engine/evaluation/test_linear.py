"""The linear model on TF-IDF: what it learns, what it leaves alone, and that it reads a sample of large data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.data.task import Task
from engine.evaluation import linear
from engine.evaluation.linear import linear_measures
from tests.tasks import make_task, shared_task
from tests.toys import toy_task


def spam(rows: int = 60) -> Task:
    texts = {0: "see you", 1: "win money"}
    labels = [int(row % 3 == 0) for row in range(rows)]
    made = [{"text": f"{texts[label]} {row}", "label": label} for row, label in enumerate(labels)]
    return make_task("classification", made[: rows // 2], made[rows // 2 :], labels=("ham", "spam"))


def test_it_learns_what_single_words_tell() -> None:
    assert linear_measures(spam())["validation"].scores["accuracy"] == 1.0


def test_it_learns_values() -> None:
    rows = [{"text": "good " * (row % 5) + "film", "label": 1e4 * (row % 5) + 5e4} for row in range(80)]
    task = make_task("regression", rows[:40], rows[40:])
    assert linear_measures(task)["validation"].scores["spearman"] > 0.9


def test_of_two_texts_it_reads_both() -> None:
    rows = [{"text": "same", "text_pair": "yes" if row % 2 else "no", "label": row % 2} for row in range(40)]
    task = make_task("classification", rows[:20], rows[20:], labels=("n", "y"))
    assert linear_measures(task)["validation"].scores["accuracy"] == 1.0


@pytest.mark.parametrize("name", ["tagging", "question_answering"])
def test_it_leaves_alone_what_is_answered_word_by_word(name: str) -> None:
    assert linear_measures(toy_task(name, rows=8, held_out=4)) == {}


def test_it_leaves_alone_what_has_one_label() -> None:
    task = spam()
    ham = task.train.filter(lambda row: row["label"] == 0)
    assert linear_measures(replace(task, train=ham)) == {}


def test_signs_and_single_letters_are_words() -> None:
    rows = [{"text": ":)" if row % 2 else ":(", "label": row % 2} for row in range(40)]
    task = make_task("classification", rows[:20], rows[20:], labels=("sad", "glad"))
    assert linear_measures(task)["validation"].scores["accuracy"] == 1.0


def test_every_held_out_set_is_measured_with_an_interval() -> None:
    task = spam()
    task = replace(task, test={"test": task.validation["validation"]})
    found = linear_measures(task)
    assert list(found) == ["validation", "test"]
    assert found["test"].intervals["accuracy"][0] < found["test"].scores["accuracy"]
    assert len(found["test"].answers) == len(task.test["test"])


def test_of_large_data_a_sample_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    task, read = spam(600), []
    monkeypatch.setattr(linear, "MOST_ROWS", 30)
    monkeypatch.setattr(linear, "_texts", lambda task, rows: read.append(len(rows)) or list(rows["text"]))
    assert linear_measures(task)["validation"].scores["accuracy"] > 0.9
    assert read == [30, 300]


@pytest.mark.shared
def test_real_questions(shared: Path) -> None:
    """With the same data a Bi-LSTM reaches 0.78 and more, the commonest answer 0.276."""
    assert linear_measures(shared_task(shared / "datasets" / "trec"))["validation"].scores["accuracy"] > 0.84
