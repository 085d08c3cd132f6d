"""Whole runs on questions of which some have no answer: learned, scored by part, predicted and exported."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from engine.base.options import RunOptions
from engine.data.metrics import with_parts
from engine.data.task import Task
from engine.export.export import export_model
from engine.export.predict import Model
from engine.run.predictor import load_predictor
from engine.run.result import RunResult
from tests.engine.runs import TRAINING, TUNING, small
from tests.tasks import make_task
from tests.toys import FILLER, NAMES

STUDENTS = {"lstm": "lstm:hidden=64", "transformer": "scratch:layers=2,hidden=64,heads=2"}
LONG = 40  # words of a context that does not fit into one window


def a_row(dice: random.Random) -> dict[str, object]:
    """Who is there; in two of five rows nobody."""
    words = dice.choices(FILLER, k=dice.choice((4, 6, LONG)))
    answers: dict[str, list[object]] = {"text": [], "answer_start": []}
    if dice.random() < 0.6:
        name = dice.choice(NAMES)
        words.insert(dice.randrange(len(words) + 1), name)
        answers = {"text": [name], "answer_start": [" ".join(words).index(name)]}
    return {"id": str(dice.random()), "question": "who is there", "context": " ".join(words), "answers": answers}


def the_task() -> Task:
    dice = random.Random(0)
    train, held_out = ([a_row(dice) for _ in range(count)] for count in (240, 120))
    metrics = with_parts(("squad_f1", "exact_match"))
    task = make_task("question_answering", train, held_out, metrics=metrics)
    rows = task.validation["validation"]
    sets = {"validation": {"validation": rows.select(range(60))}, "test": {"test": rows.select(range(60, 120))}}
    return replace(task, fingerprint="no answer", **sets)


@pytest.fixture(name="folder", scope="module", params=STUDENTS)
def _folder(request: pytest.FixtureRequest, warm: RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("none") / request.param
    training = TRAINING | {"epochs": 8, "max_length": 32, "window_overlap": 8, "learning_rate": 3e-3}
    pipeline = {"training": training, "weights": {"hard_label": 0.5}}
    small(warm, out, data=the_task(), teacher=STUDENTS["transformer"], student=STUDENTS[request.param],
          pipeline=pipeline, fine_tuning=TUNING.model_copy(update={"epochs": 10}))  # fmt: skip
    return out


def test_both_parts_are_learned(folder: Path) -> None:
    result = RunResult.read(folder)
    for role in ("teacher", "student"):
        found = result.on_split(role)
        assert found["has_answer_f1"] > 0.6, (role, found)
        assert found["no_answer_accuracy"] > 0.6, (role, found)
    assert {*result.null_thresholds} == {"teacher", "student"}
    assert result.trivial_score == pytest.approx(
        sum(not each["text"] for each in the_task().test["test"]["answers"][:]) / 60
    )


def test_it_predicts_as_it_was_scored(folder: Path) -> None:
    result, rows = RunResult.read(folder), the_task().test["test"]
    asked = [{name: row[name] for name in ("question", "context")} for row in rows]
    answers = load_predictor(folder, RunOptions(device="cpu"))(asked)
    none = [not row["answers"]["text"] for row in rows]
    right = [each["answer"] == "" for each, absent in zip(answers, none, strict=True) if absent]
    assert sum(right) / len(right) == pytest.approx(result.on_split("student")["no_answer_accuracy"])
    assert all((each["answer"] == "") == (each["no_answer"] > 0.5) for each in answers)


@pytest.mark.slow
def test_an_export_knows_no_answer_too(folder: Path, tmp_path: Path) -> None:
    export_model(folder, tmp_path / "out", data=the_task(), force=True)
    rows = [{name: row[name] for name in ("question", "context")} for row in the_task().test["test"].select(range(20))]
    expected, found = load_predictor(folder, RunOptions(device="cpu"))(rows), Model(tmp_path / "out")(rows)
    for one, other in zip(expected, found, strict=True):
        assert other["answer"] == one["answer"]
        assert other["no_answer"] == pytest.approx(one["no_answer"], abs=1e-3)
