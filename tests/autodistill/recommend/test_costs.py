"""What has to be measured before a recommendation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.recommend.costs import Costs, _alone, _teacher_warnings, cost_parts
from autodistill.recommend.space import pipelines
from engine import Pipeline, RunOptions
from engine.base.machine import machine_for
from engine.evaluation.intervals import measure
from engine.evaluation.linear import linear_measures
from engine.run.fine_tuning import student_alone_scores
from engine.run.plan import plan_run
from engine.run.record import score_facts
from engine.run.result import RunCosts
from tests.ear import Ear
from tests.toys import toy_task


def test_what_costs_the_same_is_measured_once() -> None:
    """Each objective with its mapping; each augmentation policy alone, beside which nothing else matters."""
    space = list(pipelines("classification"))
    parts = {(p.intermediate.kind, str(getattr(p.intermediate, "critic", "")), p.mapping.kind) for p in space}
    stacks = {tuple(p.augmentation.kinds) for p in space} - {()}
    measured = {part.key for pipeline in space for part in cost_parts(pipeline)}
    assert len(measured) == len(parts) + len(stacks)


@pytest.mark.parametrize(("stack", "seconds"), [("contextual+random+mixup", 7.0), ("random+mixup", 0.0), ("none", 0.0)])
def test_a_run_trains_its_language_model(stack: str, seconds: float) -> None:
    pipeline = Pipeline.model_validate({"augmentation": stack, "training": {"epochs": 2}})
    figures = dict.fromkeys(set(Costs.model_fields), 0) | {
        "teacher_warnings": [],
        "step_seconds": {part.key: 0.0 for part in cost_parts(pipeline)},
        "signal_seconds": 4.0,
        "language_model_seconds": 7.0,
        "members": [],
    }
    assert Costs.model_validate(figures).seconds(pipeline) == 4.0 + seconds


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (0.1, ["not clearly above that of always giving the commonest answer", "it is the wrong one"]),
        (0.75, ["no more than that of a linear model on TF-IDF (1.000): it is the wrong one for this dataset"]),
        (1.0, ["no more than that of a linear model on TF-IDF (1.000): it is the wrong one for this dataset"]),
    ],
)
def test_a_teacher_to_which_a_ratio_means_little(right: float, words: list[str]) -> None:
    """Beside a linear model that knows everything."""
    task = toy_task("single", rows=96, held_out=48)
    gold = task.validation["validation"]["label"][:]
    linear = {"validation": measure(task, task.validation["validation"], gold)}
    answers = [label if row < right * len(gold) else 1 - label for row, label in enumerate(gold)]
    teacher = {"validation": measure(task, task.validation["validation"], answers)}
    warnings = _teacher_warnings(task, score_facts(task, {"teacher": teacher, "linear": linear}))
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


@pytest.mark.parametrize(
    ("seconds", "most", "measured"), [(0.001, math.inf, True), (100.0, math.inf, False), (0.001, 1.0, False)]
)
def test_what_a_student_reaches_alone_is_measured_where_that_is_soon_done(
    seconds: float, most: float, measured: bool, tmp_path: Path
) -> None:
    task = toy_task("single", rows=48, held_out=24)
    reporter = Ear()
    machine = machine_for(RunOptions(cache_dir=str(tmp_path)), reporter)
    training = {"training": {"epochs": 2, "batch_size": 16}}
    teacher = "scratch:layers=1,hidden=16,heads=2"
    plan = plan_run(task, Pipeline.model_validate(training), teacher, "lstm:hidden=8", precision=machine.rounding)
    figures = dict.fromkeys(RunCosts.model_fields, 1) | {"step_seconds": {"": seconds}, "steps_per_epoch": 3}
    costs = RunCosts.model_validate(figures)
    found = _alone(plan, costs, machine, most)
    if measured:
        assert found == student_alone_scores(plan, machine)[task.split].scores[task.metric]
    else:
        assert found is None
        minutes = 10 if seconds > 1 else 1
        assert any(f"is not measured, as that takes about {minutes} min" in said for said in reporter.messages)


def test_a_teacher_is_held_against_the_answer_that_is_scored() -> None:
    """It was always called the commonest one: of F1 it is the positive class, of values the mean."""
    pairs, values = toy_task("pair", rows=96, held_out=48), toy_task("regression", rows=96, held_out=48)
    rare = replace(pairs, metric="f1", metrics=("f1", "accuracy"))
    for task, answer, words in ((rare, 0, "always giving good"), (values, 0.0, "always giving the mean")):
        rows = task.validation["validation"]
        teacher = {"validation": measure(task, rows, [answer] * len(rows))}
        (warning,) = _teacher_warnings(task, score_facts(task, {"teacher": teacher}))
        assert f"not clearly above that of {words} (" in warning


def test_rows_of_one_class_tell_nothing_of_a_teacher() -> None:
    task = toy_task("pair", rows=96, held_out=48)
    rows = task.validation["validation"].filter(lambda row: row["label"] == 1)
    task = replace(task, validation={"validation": rows})
    perfect = {"validation": measure(task, rows, rows["label"][:])}
    assert _teacher_warnings(task, score_facts(task, {"teacher": perfect, "linear": perfect})) == []


def test_a_teacher_that_knows_more_is_not_warned_of() -> None:
    task = toy_task("pair", rows=96, held_out=48)
    rows = task.validation["validation"]
    measures = {"teacher": {"validation": measure(task, rows, rows["label"][:])}, "linear": linear_measures(task)}
    assert _teacher_warnings(task, score_facts(task, measures)) == []
