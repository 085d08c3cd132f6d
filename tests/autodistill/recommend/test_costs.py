"""What has to be measured before a recommendation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.recommend import costs as module
from autodistill.recommend.costs import Costs, _alone, _measured, _teacher_warnings, cost_parts, costs_of
from autodistill.recommend.request import Effort, Request
from autodistill.recommend.space import pipelines
from engine import Pipeline, RunOptions
from engine.base.machine import machine_for
from engine.data.load import identified
from engine.evaluation.intervals import measure
from engine.evaluation.linear import linear_measures
from engine.run.fine_tuning import student_alone_scores
from engine.run.plan import plan_run
from engine.run.record import score_facts
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


def asked(folder: Path, *students: str, **effort: float) -> Request:
    """A question about a toy task, whose answers are kept in a folder."""
    options = RunOptions(cache_dir=str(folder), device="cpu")
    task, teacher = toy_task("single", rows=48, held_out=24), "scratch:layers=1,hidden=16,heads=2"
    return Request(task=identified(task), teacher=teacher, students=students, effort=Effort(**effort), options=options)


@pytest.mark.parametrize(
    ("seconds", "students", "minutes"), [(29.0, 1, None), (31.0, 1, 1), (14.0, 2, None), (16.0, 2, 1), (600.0, 0, 10)]
)
def test_what_a_student_reaches_alone_is_measured_where_that_is_soon_done(
    seconds: float, students: int, minutes: int | None, tmp_path: Path
) -> None:
    """A tenth of a search's time is for all students together; without a search it is five minutes."""
    effort = {"budget": 300.0} if students else {}
    request, ear = asked(tmp_path, *["lstm:hidden=8", "static"][:students], **effort), Ear()
    pipeline = Pipeline.model_validate({"training": {"epochs": 2, "batch_size": 16}})
    found = _alone(request, "lstm:hidden=8", pipeline, seconds, ear)
    if minutes is None:
        machine = machine_for(request.options)
        plan = plan_run(request.task, pipeline, request.teacher, "lstm:hidden=8", precision=machine.rounding)
        assert found == student_alone_scores(plan, machine)["validation"].scores["accuracy"]
    else:
        assert found is None
        assert any(f"is not measured, as that takes about {minutes} min" in said for said in ear.messages)


def test_a_short_budget_decides_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are measured once; what was too long for a short search is measured for who has the time."""
    pipeline = Pipeline.model_validate({"training": {"epochs": 1, "batch_size": 16}})
    measured = []
    monkeypatch.setattr(module, "_measured", lambda *given: measured.append(given) or made(*given))
    made = _measured
    students = "lstm:hidden=8"
    short = costs_of(asked(tmp_path, students, budget=0.001), students, [pipeline], Ear())
    long = costs_of(asked(tmp_path, students), students, [pipeline], Ear())
    again = costs_of(asked(tmp_path, students, budget=0.001), students, [pipeline], Ear())
    assert (short.student_alone_score, len(measured)) == (None, 1)
    assert long == again == short.model_copy(update={"student_alone_score": long.student_alone_score})
    assert long.student_alone_score is not None

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    costs_of(asked(tmp_path, students, budget=0.001), students, [pipeline], Ear())
    assert len(measured) == 2


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
