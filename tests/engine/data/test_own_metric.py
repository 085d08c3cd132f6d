"""A score of the user's own: what it is called with, that it decides, and what is said where it fails."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from sklearn.metrics import cohen_kappa_score

from engine import Pipeline, RunOptions, distill, load_task
from engine.base.errors import InputError, RunError
from engine.data.metrics import with_parts
from engine.data.own_metric import function_of, in_words, is_own, name_of, own_score, version_of
from engine.data.task import Task
from engine.evaluation.intervals import OWN_RESAMPLES, measure
from engine.evaluation.scores import scores, trivial_score
from engine.evaluation.spans import Spans, best_threshold
from tests.tasks import make_task
from tests.toys import toy_task

COST = """
def cost(true, given):
    wrong = sum({("spam", "ham"): 5, ("ham", "spam"): 1}.get(pair, 0) for pair in zip(true, given))
    return 1 - wrong / sum(5 if each == "spam" else 1 for each in true)

def failing(true, given):
    raise ValueError("no")

def high(true, given):
    return 7

number = 3
"""
ROWS = [{"text": "a", "label": label} for label in (0, 0, 0, 1, 1)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "metrics.py").write_text(COST)
    return tmp_path / "metrics.py"


def spam(metric: str) -> Task:
    return make_task("classification", ROWS, labels=("ham", "spam"), metrics=(metric, "accuracy"))


def kappa(true: list[str], given: list[str]) -> float:
    return cohen_kappa_score(true, given)


def test_it_is_given_names(file: Path) -> None:
    task = spam(f"{file}:cost")
    found = scores(task, task.train, [0, 1, 0, 1, 0])
    assert found == {f"{file}:cost": pytest.approx(1 - 6 / 13), "accuracy": pytest.approx(0.6)}


def test_answers_of_every_kind_in_words() -> None:
    tags = make_task("tagging", [{"tokens": ["a"], "tags": [1]}], labels=("O", "X"))
    assert in_words(tags, [[1], [0]]) == [["X"], ["O"]]
    sets = make_task("multi_label", [{"text": "a", "label": [0]}], labels=("x", "y"))
    assert in_words(sets, [[0, 1], []]) == [["x", "y"], []]
    values = make_task("regression", [{"text": "a", "label": 0.5}])
    assert in_words(values, [0.5, np.float32(2)]) == [0.5, 2.0]
    asked = make_task("question_answering", [{"question": "q", "context": "c", "answers": {"text": ["a", "b"]}}])
    assert in_words(asked, [{"text": ["a", "b"]}, "a"]) == [["a", "b"], "a"]


@pytest.mark.parametrize("answers", [[0, 1, 0, 1, 0], [0, 0, 0, 1, 1], [1, 1, 1, 0, 0]])
def test_its_interval_is_of_draws_of_the_rows(answers: list[int]) -> None:
    name = name_of(kappa)
    measured = measure(spam(name), spam(name).train, answers)
    low, high = measured.intervals[name]
    assert len(measured.drawn[name]) == OWN_RESAMPLES
    assert -1 <= low <= measured.scores[name] <= high <= 1
    assert low < high


def test_an_interval_like_that_of_the_same_score(tmp_path: Path) -> None:
    """Accuracy under another name: the same draws, of which there are fewer."""
    (tmp_path / "m.py").write_text(
        "def right(true, given):\n    return sum(map(str.__eq__, true, given)) / len(true)\n"
    )
    name, random = f"{tmp_path / 'm.py'}:right", np.random.default_rng(0)
    gold, given = random.integers(2, size=(2, 400))
    rows = [{"text": "a", "label": int(label)} for label in gold]
    task = make_task("classification", rows, labels=("ham", "spam"), metrics=(name, "accuracy"))
    measured = measure(task, task.train, given.tolist())
    np.testing.assert_allclose(measured.drawn[name], measured.drawn["accuracy"][:OWN_RESAMPLES])
    np.testing.assert_allclose(measured.intervals[name], measured.intervals["accuracy"], atol=0.015)


def test_it_decides_and_is_reported(file: Path, tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in [("buy now", "spam"), ("see you", "ham")] * 20]
    (tmp_path / "mail.json").write_text(str(rows).replace("'", '"'))
    task = load_task(str(tmp_path / "mail.json"), metric=f"{file}:cost")
    assert task.metric == f"{file}:cost"
    assert task.metrics[1:] == load_task(str(tmp_path / "mail.json")).metrics
    result = distill(
        task,
        teacher="scratch:layers=2,hidden=16",
        student="lstm:hidden=8",
        pipeline=Pipeline(training={"epochs": 2}),
        out=tmp_path / "run",
        student_alone=True,
        options=RunOptions(cache_dir=str(tmp_path / "cache")),
    )
    assert result.metric == task.metric
    assert result.student_score is not None
    reached = [epoch["scores"][task.metric] for epoch in result.history]
    assert result.best_epoch == 1 + reached.index(max(reached))
    assert set(result.history[0]["scores"]) == {*task.metrics}


def test_a_changed_file_is_another_task(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "a,ham\nb,spam\n" * 8)
    name = f"{file}:cost"
    first, other = load_task(str(tmp_path / "rows.csv"), metric=name), load_task(str(tmp_path / "rows.csv"))
    assert first.fingerprint == load_task(str(tmp_path / "rows.csv"), metric=name).fingerprint != other.fingerprint
    assert function_of(name)(["spam"], ["ham"]) == 0
    file.write_text(COST.replace("1 - wrong", "0.5 - wrong"))
    os.utime(file, (1, 1))
    assert function_of(name)(["ham"], ["ham"]) == 0.5
    assert load_task(str(tmp_path / "rows.csv"), metric=name).fingerprint != first.fingerprint


def test_a_function_is_named() -> None:
    assert name_of(kappa) == f"{__name__}:kappa"
    assert name_of("f1") == "f1"
    assert function_of(name_of(kappa)) is kappa
    assert is_own(name_of(kappa))
    assert version_of(name_of(kappa)) == version_of(f"{__name__}:spam") != ""
    assert version_of("operator:eq") == ""
    assert load_task(toy_rows(), metric=kappa).metric == name_of(kappa)
    with pytest.raises(InputError, match="cannot be found again"):
        name_of(lambda true, given: 1.0)


def toy_rows() -> dict[str, object]:
    task = toy_task("single", rows=12)
    return {"train": task.train.select_columns(["text", "label"]), "validation": task.train}


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("{}:number", "no such function"),
        ("{}:other", "no such function"),
        ("missing.py:cost", "no such file"),
        ("no_such_package:cost", "ModuleNotFoundError"),
        ("math:", "cannot be loaded|no such function"),
    ],
)
def test_what_is_no_function(named: str, said: str, file: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_task(toy_rows(), metric=named.format(file))


def test_a_file_that_fails(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package")
    with pytest.raises(InputError, match=r"broken.py cannot be loaded: ModuleNotFoundError"):
        load_task(toy_rows(), metric=f"{tmp_path / 'broken.py'}:cost")


def test_a_function_that_fails_is_named(file: Path) -> None:
    for function, said in (("failing", "failing failed: ValueError: no"), ("high", "high gave 7.0; a score lies")):
        with pytest.raises(RunError, match=said):
            own_score(spam("accuracy"), f"{file}:{function}", [0], [0])


def test_a_dataset_cannot_name_code(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n' * 6
    (folder / "train.jsonl").write_text(rows)
    (folder / "dataset.json").write_text(f'{{"metric": "{file}:cost"}}')
    with pytest.raises(InputError, match="no metric of classification"):
        load_task(str(folder))


def test_questions_of_which_some_have_no_answer(tmp_path: Path) -> None:
    """It is called with all of them; a part has SQuAD's scores alone, and the threshold is that of SQuAD's F1."""
    (tmp_path / "m.py").write_text(
        "def right(true, given):\n"
        "    return sum(text in (accepted or ['']) for accepted, text in zip(true, given)) / len(true)\n"
    )
    there, none = {"text": ["Ada"], "answer_start": [0]}, {"text": [], "answer_start": []}
    rows = Dataset.from_list(
        [{"question": "who", "context": f"Ada, {row}", "answers": none if row % 3 else there} for row in range(60)]
    )
    task = load_task({"train": rows, "validation": rows}, metric=f"{tmp_path / 'm.py'}:right")
    assert task.metrics == (task.metric, *with_parts(("squad_f1", "exact_match")))
    held_out = task.validation["validation"]
    spans = Spans(["Ada"] * 60, np.where(np.arange(60) % 3, 2.0, -2.0))
    threshold = best_threshold(spans, held_out["answers"][:], task.metric)
    assert threshold == best_threshold(spans, held_out["answers"][:], "squad_f1")
    measured = measure(task, held_out, spans.answers(threshold))
    assert measured.scores == dict.fromkeys(task.metrics, 1.0)
    assert {*measured.intervals} == {*task.metrics}
    assert trivial_score(task, held_out) == pytest.approx(40 / 60)
