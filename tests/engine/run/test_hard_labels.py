"""What gold labels weigh in a run, in words; and what it does to teacher, student, and the student alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.base.options import FineTuning, RunOptions
from engine.data.task import Task
from engine.models.load import build, for_task
from engine.pipeline import Pipeline
from engine.pipeline.training import Training
from engine.run.fine_tuning import fine_tune
from engine.run.hard_labels import class_weights_in, class_weights_in_words, idle_class_weights
from engine.run.plan import RunPlan, plan_run
from tests.engine.runs import small
from tests.tasks import make_task
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task


def uneven(rows: int = 96, rare: int = 6) -> Task:
    """The toy of three classes, of one of which there are few training rows."""
    task = toy_task("single", rows=3 * rows, held_out=60)
    kept, left = [], rare
    for row in task.train:
        left -= row["label"] == 0
        kept += [row] if row["label"] or left >= 0 else []
    return replace(task, train=Dataset.from_list(kept[:rows]), fingerprint=f"uneven-{rows}-{rare}")


def plan_of(task: Task, class_weights: Any = "balanced", **parts: Any) -> RunPlan:
    pipeline = Pipeline.model_validate({"training": {"class_weights": class_weights, "epochs": 1}, **parts})
    return plan_run(task, pipeline, "scratch:layers=1,hidden=16", "scratch:layers=1,hidden=16")


def test_what_labels_weigh_is_said() -> None:
    task = toy_task("single", rows=30, held_out=4)
    (said,) = class_weights_in_words(plan_of(task, {"bad": 2.0}))
    low, high = sorted({*class_weights_in(plan_of(task, {"bad": 2.0}))})
    assert said == f"gold labels weigh: bad {high:.3g}, dull {low:.3g}, good {low:.3g}"
    assert class_weights_in_words(plan_of(task, "none")) == []
    several = toy_task("multi_label", rows=30, held_out=4)
    without, having = class_weights_in(plan_of(several))
    (said,) = class_weights_in_words(plan_of(several))
    named = [f"{name} {having[place]:.3g} and {without[place]:.3g}" for place, name in enumerate(("bad", "good"))]
    assert said == f"having a label weighs, and not having it: {', '.join(named)}"


def test_weights_that_change_no_student_are_said_to() -> None:
    task = toy_task("single", rows=30, held_out=4)
    plan = plan_of(task)
    assert idle_class_weights(plan) == []  # the teacher is fine-tuned
    assert plan.teacher is not None
    ready = replace(plan, teacher=replace(plan.teacher, fine_tune=False))
    (said,) = idle_class_weights(ready)
    assert said.startswith("class weights do not change this student")
    assert said.endswith("weights.hard_label above 0, or --fine-tune always, would change that")
    (given,) = idle_class_weights(replace(plan, teacher=None))  # soft labels of the data
    assert given.endswith("; weights.hard_label above 0 would change that")
    for parts in ({"weights": {"hard_label": 0.5}}, {"augmentation": "random"}, {"augmentation": "mixup"}):
        assert idle_class_weights(replace(ready, pipeline=plan_of(task, **parts).pipeline)) == []
    own = {"prediction": 1.0, "hard_label": 0.0, "augmented_prediction": 0.0, "augmented_hard_label": 0.5}
    changed, mixed = (plan_of(task, augmentation=each, weights=own).pipeline for each in ("random", "mixup"))
    assert idle_class_weights(replace(ready, pipeline=changed)) == [said]
    assert idle_class_weights(replace(ready, pipeline=mixed)) == []
    assert idle_class_weights(replace(ready, pipeline=plan_of(task, "none").pipeline)) == []


def test_a_class_that_is_none_is_refused_before_a_model_is_looked_at() -> None:
    pipeline = Pipeline.model_validate({"training": {"class_weights": {"god": 2.0}}})
    for task in (toy_task("single", rows=30, held_out=4), replace(toy_task("single"), soft_labels="p")):
        with pytest.raises(InputError, match="unknown class; got 'god'; allowed: bad, dull, good. Did you mean good?"):
            plan_run(task, pipeline, "nowhere/teacher", "nowhere/student")


@pytest.mark.parametrize(("weights", "found"), [("none", 0.0), ({"rare": 90.0}, 1.0)])
def test_where_texts_tell_nothing_the_answer_is_the_class_that_weighs_most(
    weights: Any, found: float, machine: Machine, tmp_path: Path
) -> None:
    """One row of ten is rare, and a weight makes it count ten times as much as the other nine."""
    rows = [{"text": "the day", "label": int(number % 10 > 0)} for number in range(160)]
    task = make_task("classification", rows, rows[:1], labels=("rare", "usual"))
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0)
    training = Training(epochs=2, batch_size=8, learning_rate=3e-3, class_weights=weights).for_task(task)
    measures = fine_tune("teacher", (model, wordpiece()), task, training, 0, tmp_path, machine)
    assert measures["validation"].scores["accuracy"] == found


def test_runs_with_and_without_are_different_in_all_that_learns_from_labels(
    options: RunOptions, tmp_path: Path, ear: Any
) -> None:
    """Teacher and student alone are trained anew; what is kept for one serves the other's second student."""
    task = uneven()

    def ran(name: str, class_weights: str, **parts: Any) -> Any:
        training = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "class_weights": class_weights}
        tuning = FineTuning(epochs=1, batch_size=8, learning_rate=1e-3)
        given = {"data": task, "pipeline": {"training": training, **parts}, "fine_tuning": tuning, "reporter": ear}
        return small(options, tmp_path / name, student_alone=True, **given)

    plain, weighed = ran("plain", "none"), ran("weighed", "balanced")
    assert plain.identity != weighed.identity
    assert ear.advanced["teacher"] == ear.advanced["student alone"] == 2 * 12
    ran("other", "balanced", weights={"hard_label": 1.0})
    assert ear.advanced["teacher"] == ear.advanced["student alone"] == 2 * 12
    assert any(message.startswith("gold labels weigh: bad 5") for message in ear.messages)
    assert "class_weights" not in plain.pipeline["training"]
    assert weighed.pipeline["training"]["class_weights"] == "balanced"
    assert 'class_weights = "balanced"' in (tmp_path / "weighed" / "pipeline.toml").read_text("utf-8")
