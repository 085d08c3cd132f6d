"""From what a run measured to its record: ratio, warnings, the date, versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.base.options import RunOptions
from engine.evaluation.intervals import Measured, measure
from engine.models.load import build, for_task
from engine.run import record
from engine.run.record import now, score_facts, sizes, versions
from tests.engine.runs import small
from tests.tasks import make_task
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task

ROWS = [{"text": text, "label": index % 2} for index, text in enumerate(["a", "b"] * 50)]
TASK = make_task("classification", ROWS, labels=("bad", "good"))


def test_the_date_is_one_in_utc() -> None:
    written = datetime.fromisoformat(now())
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(written.tzinfo) - written) < timedelta(minutes=1)


def test_a_teacher_that_has_learned_nothing(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("pair")
    flipped = task.train.map(lambda row, index: {"label": index % 2}, with_indices=True)
    held_out = task.validation["validation"].map(lambda row, index: {"label": index % 2}, with_indices=True)
    task = replace(task, train=flipped, validation={"validation": held_out}, fingerprint="noise")
    result = small(options, tmp_path / "out", data=task)
    (sentence,) = [sentence for sentence in result.verdict if sentence.startswith("It keeps")]
    assert "itself not clearly above that of always giving the commonest answer, so that this says little" in sentence
    assert sentence in (tmp_path / "out" / "README.md").read_text()


# --- what follows from the scores --------------------------------------------------------------------


def facts(**scores: float) -> dict[str, Any]:
    """Of a task with as many `bad` as `good`, by who reached which accuracy."""
    return score_facts(TASK, {who: {"validation": Measured({"accuracy": score})} for who, score in scores.items()})


@given(st.floats(0.7, 1), st.floats(0, 1))
def test_the_ratio_is_that_of_student_and_teacher(teacher: float, student: float) -> None:
    known = facts(teacher=teacher, student=student)
    assert (known["teacher_score"], known["student_score"]) == (teacher, student)
    assert known["distillation_ratio"] == pytest.approx(student / teacher)
    assert known["student_alone_score"] is None


def test_without_one_of_the_two_there_is_no_ratio() -> None:
    for known in (facts(teacher=0.9), facts(student=0.9), facts()):
        assert known["distillation_ratio"] is None


def test_only_the_first_held_out_set_and_the_metric_that_counts_decide() -> None:
    scores = {"teacher": 0.8, "student": 0.6}
    first = {who: {"first": Measured({"f1": 0.1, "accuracy": score})} for who, score in scores.items()}
    task = replace(TASK, validation={"first": TASK.validation["validation"], "second": TASK.train})
    known = score_facts(task, {who: {**sets, "second": Measured({"accuracy": 1.0})} for who, sets in first.items()})
    assert known["distillation_ratio"] == pytest.approx(0.75)
    assert (known["trivial_score"], known["split"], known["selected_on"]) == (0.5, "first", "first")


def test_a_test_set_is_reported_and_the_ratio_is_paired() -> None:
    gold = TASK.train["label"][:]
    task = replace(TASK, test={"test": TASK.train.map(lambda row: {"label": 1 - row["label"]})})
    answers = {"teacher": gold, "student": [*gold[:90], *([1] * 10)]}
    sets = {"validation": task.validation["validation"], "test": task.test["test"]}
    measures = {
        who: {split: measure(task, rows, _flipped(given, split)) for split, rows in sets.items()}
        for who, given in answers.items()
    }
    known = score_facts(task, measures)
    assert (known["split"], known["selected_on"]) == ("test", "validation")
    assert (known["teacher_score"], known["student_score"]) == (1.0, 0.95)
    low, high = known["ratio_interval"]
    assert 0.85 < low < 0.95 < high
    assert known["intervals"]["student"]["test"]["accuracy"][0] == pytest.approx(low, abs=0.05)
    assert known["agreement"] == 0.95
    paused = {"teacher": measures["teacher"], "student": {"validation": Measured({"accuracy": 0.7})}}
    known = score_facts(task, paused)
    assert (known["split"], known["student_score"], known["distillation_ratio"]) == ("validation", 0.7, 0.7)
    assert "ratio_interval" not in known


def _flipped(answers: list[int], split: str) -> list[int]:
    return [1 - answer for answer in answers] if split == "test" else answers


# --- versions and sizes ------------------------------------------------------------------------------


def test_versions_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"torch", "transformers", "datasets"} <= versions().keys()
    monkeypatch.setattr(record, "LIBRARIES", ("torch", "no-such-library"))
    assert versions()["no-such-library"] == "not installed"


def test_sizes_are_counted_and_named_by_whose_they_are() -> None:
    model = build(for_task(tiny_config(), TASK, wordpiece()), TASK.kind, 0)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert sizes(model)["parameters"] == sizes(model, "teacher_")["teacher_parameters"] == parameters
    assert sizes(model)["size_mb"] == pytest.approx(4 * parameters / 1e6, rel=0.01)
