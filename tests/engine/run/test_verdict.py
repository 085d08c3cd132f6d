"""What a run's figures say in words: each sentence, where it is said, and what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.base.options import RunOptions
from engine.evaluation.intervals import Measured
from engine.run.result import Expected, RunResult
from engine.run.verdict import SIMPLE_MODELS, verdict
from tests.engine.runs import TRAINING, small
from tests.records import made_record
from tests.toys import toy_task


def a_run(student: float = 0.85, width: float = 0.05, **more: Any) -> RunResult:
    """A student whose interval is so wide on either side; of a teacher of 0.9, where chance is 0.5."""
    usual: dict[str, Any] = {
        "student_score": student,
        "teacher_score": 0.9,
        "trivial_score": 0.5,
        "distillation_ratio": student / 0.9,
        "ratio_interval": [(student - width) / 0.9, (student + width) / 0.9],
        "split": "test",
        "selected_on": "validation",
        "scores": {"student": {"test": {"accuracy": student}}, "teacher": {"test": {"accuracy": 0.9}}},
        "intervals": {"student": {"test": {"accuracy": [student - width, student + width]}}},
        "train_examples": 2000,
        "best_epoch": 2,
        "history": [{"epoch": epoch, "scores": {"accuracy": student}} for epoch in (1, 2, 3)],
        "pipeline": {"training": {"learning_rate": 1e-4, "epochs": 3}},
    }
    return made_record(**(usual | more))


TEACHER_OF_CHANCE = {
    "scores": {"student": {"test": {"accuracy": 0.52}}, "teacher": {"test": {"accuracy": 0.5}}},
    "intervals": {"student": {"test": {"accuracy": [0.47, 0.57]}}, "teacher": {"test": {"accuracy": [0.45, 0.55]}}},
}


def said(**more: Any) -> str:
    return " ".join(verdict(a_run(**more)))


def with_simple(score: float, role: str = "bilstm", **more: Any) -> str:
    run = a_run(**more)
    return " ".join(verdict(run.model_copy(update={"scores": {**run.scores, role: {"test": {"accuracy": score}}}})))


def test_a_good_student_is_called_one() -> None:
    assert verdict(a_run()) == [
        "The student's accuracy, 0.8500 (0.800 to 0.900), is clearly above that of always giving the commonest answer, "
        "0.500.",
        "It keeps 94 % (89 % to 100 %) of the teacher's accuracy, 0.900.",
    ]


@pytest.mark.parametrize(
    ("student", "words"),
    [
        (0.4, "is below that of always giving the commonest answer, 0.500: it has learned nothing of use."),
        (0.53, "is not clearly above that of always giving the commonest answer, 0.500."),
        (0.56, "is clearly above"),
    ],
)
def test_against_the_commonest_answer(student: float, words: str) -> None:
    assert words in said(student=student)


def test_against_the_mean() -> None:
    scores = {"student": {"test": {"spearman": -0.5}}}
    run = a_run(student=-0.5, task_kind="regression", trivial_score=0.0, metric="spearman", scores=scores)
    told = " ".join(verdict(run))
    assert "is below that of always giving the mean, 0.000" in told
    teacher = {"scores": scores | {"teacher": {"test": {"spearman": -0.1}}}}
    told = " ".join(verdict(run.model_copy(update={**teacher, "distillation_ratio": 0.5})))
    assert "itself not clearly above that of always giving the mean, so that this says little" in told


def test_against_saying_that_no_question_has_an_answer() -> None:
    scores = {"student": {"test": {"squad_f1": 0.85}}}
    told = said(task_kind="question_answering", trivial_score=0.273, metric="squad_f1", scores=scores)
    assert "is clearly above that of always giving no answer, 0.273." in told


def test_without_an_interval_the_score_itself_counts() -> None:
    assert "The student's accuracy, 0.5300, is clearly above" in said(student=0.53, intervals={}, ratio_interval=None)


def of_classes(recalls: tuple[float, float], rows: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        {"label": label, "precision": 0.0, "recall": recall, "f1": 0.0, "rows": count}
        for label, recall, count in zip(("ham", "spam"), recalls, rows, strict=True)
    ]


def test_a_student_below_the_commonest_answer_may_tell_rare_classes_apart() -> None:
    balanced = {
        "scores": {"student": {"test": {"accuracy": 0.947, "balanced_accuracy": 0.71}}},
        "intervals": {"student": {"test": {"accuracy": [0.93, 0.96], "balanced_accuracy": [0.6, 0.8]}}},
        "classes": of_classes((0.99, 0.43), (950, 50)),
    }
    told = said(student=0.947, trivial_score=0.95, **balanced)
    assert "yet it tells the classes apart (balanced accuracy 0.710); --metric f1_macro" in told
    assert "learned nothing" not in told
    assert "What may help" not in told
    balanced["intervals"]["student"]["test"]["balanced_accuracy"] = [0.49, 0.8]
    assert "it has learned nothing of use" in said(student=0.947, trivial_score=0.95, **balanced)


def test_nothing_can_be_told_from_one_class() -> None:
    told = with_simple(0.95, student=0.98, trivial_score=1.0, classes=of_classes((0.98, 0.0), (200, 0)))
    assert "All rows of test are of one class: their score says little" in told
    assert "wrong one" not in told
    assert "learned nothing" not in told
    assert "What may help" not in told


def test_against_f1_of_always_answering_its_class() -> None:
    f1 = {"metric": "f1", "positive": "spam", "trivial_score": 0.095}
    f1 |= {"scores": {"student": {"test": {"f1": 0.095}}}, "intervals": {"student": {"test": {"f1": [0.06, 0.13]}}}}
    assert "The student's f1 of spam, 0.0950 (0.060 to 0.130), is not clearly above that of always giving spam" in said(
        student=0.095, **f1
    )


def test_classes_that_are_never_found() -> None:
    classes = [
        {"label": label, "precision": 0.0, "recall": recall, "f1": 0.0, "rows": rows}
        for label, recall, rows in (("ham", 1.0, 95), ("spam", 0.0, 5), ("absent", 0.0, 0))
    ]
    assert "It never finds spam (5 rows)." in said(classes=classes)
    many = [{**classes[1], "label": f"c{number}"} for number in range(8)]
    assert "c4 (5 rows) and 3 more." in said(classes=many)


@pytest.mark.parametrize("role", SIMPLE_MODELS)
@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.91, "reaches 0.910, more than the student: as it is, this student is not worth serving."),
        (0.86, "reaches 0.860; the student is not clearly better, and costs more."),
        (0.84, "reaches 0.840; the student is not clearly better, and costs more."),
        (0.7, "reaches 0.700; the student is clearly better."),
    ],
)
def test_against_a_simple_model(score: float, words: str, role: str) -> None:
    assert f"{SIMPLE_MODELS[role]} {words}" in with_simple(score, role)
    assert SIMPLE_MODELS[role] not in said()


@pytest.mark.parametrize(("role", "most"), [("linear", "10,000"), ("bilstm", "3,000")])
def test_a_simple_model_of_a_sample_of_the_rows(role: str, most: str) -> None:
    """Teacher and student learned from all of them."""
    told = with_simple(0.91, role, train_examples=196_000)
    assert f"{SIMPLE_MODELS[role]} ({most} of 196,000 rows) reaches 0.910, more than the student" in told
    assert f"itself, {SIMPLE_MODELS[role][0].lower()}{SIMPLE_MODELS[role][1:]} ({most} of 196,000 rows) 0.910:" in told
    assert "of 3,000 rows" not in with_simple(0.91, role, train_examples=3_000)


def test_many_labels_leave_a_linear_model_fewer_rows() -> None:
    labels = {"labels": [f"l{number}" for number in range(500)], "task_kind": "multi_label"}
    assert "(2,000 of 9,000 rows) reaches" in with_simple(0.7, "linear", train_examples=9_000, **labels)


def test_a_difference_is_judged_by_its_own_interval() -> None:
    """Models that answer the same rows err together, so less is needed than of a score by itself."""
    clear = {"bilstm": [0.001, 0.02], "student_alone": [0.001, 0.02]}
    assert "0.840; the student is clearly better." in with_simple(0.84, lead_intervals=clear)
    assert "the teacher brought +0.010." in said(student_alone_score=0.84, lead_intervals=clear)
    unclear = {"bilstm": [-0.01, 0.3], "student_alone": [-0.01, 0.3]}
    assert "0.700; the student is not clearly better, and costs more." in with_simple(0.7, lead_intervals=unclear)
    assert "+0.150, lies within the error." in said(student_alone_score=0.7, lead_intervals=unclear)


def test_a_difference_on_rows_that_selected_needs_more() -> None:
    near = {"lead_intervals": {"bilstm": [0.001, 0.02], "student_alone": [0.001, 0.02]}, "selected_on": "test"}
    assert "0.840; the student is not clearly better" in with_simple(0.84, **near)
    assert "+0.010, lies within the error." in said(student_alone_score=0.84, **near)
    assert "0.700; the student is clearly better." in with_simple(0.7, lead_intervals={"bilstm": [0.1, 0.2]})


def test_a_model_that_answered_other_rows_is_as_uncertain_as_they_are() -> None:
    """A Bi-LSTM is measured on a sample: a student that is sure of its own score is not sure to be ahead."""
    bounds = {"student": {"test": {"accuracy": [0.84, 0.86]}}, "bilstm": {"test": {"accuracy": [0.78, 0.86]}}}
    assert "0.820; the student is not clearly better" in with_simple(0.82, width=0.01, intervals=bounds)
    bounds["bilstm"]["test"]["accuracy"] = [0.81, 0.83]
    assert "0.820; the student is clearly better." in with_simple(0.82, width=0.01, intervals=bounds)


@pytest.mark.parametrize("role", SIMPLE_MODELS)
def test_a_teacher_below_a_simple_model_is_the_wrong_one(role: str) -> None:
    wrong = "it is the wrong one for this dataset, or has learned too little."
    small = SIMPLE_MODELS[role][0].lower() + SIMPLE_MODELS[role][1:]
    assert f"The teacher reaches 0.900 itself, {small} 0.910: {wrong}" in with_simple(0.91, role)
    assert wrong in with_simple(0.9, role)
    assert wrong not in with_simple(0.89, role)


@pytest.mark.parametrize(
    ("alone", "words"),
    [
        (0.91, "reaches 0.910: this teacher does harm (-0.060)."),
        (0.87, "reaches 0.870; what the teacher brought, -0.020, lies within the error."),
        (0.84, "reaches 0.840; what the teacher brought, +0.010, lies within the error."),
        (0.7, "reaches 0.700; the teacher brought +0.150."),
    ],
)
def test_against_the_student_alone(alone: float, words: str) -> None:
    assert words in said(student_alone_score=alone)


def test_a_ratio_that_is_none_or_below_zero() -> None:
    assert "is undefined, because that is not above 0." in said(distillation_ratio=None, teacher_score=-0.1)
    assert "It keeps nothing of the teacher's score, 0.900." in said(student=-0.55)


@pytest.mark.parametrize(
    ("predicted", "words"),
    [
        ([0.9, 0.99], "lies within the predicted 0.900 to 0.990 (80 % interval)."),
        ([1.2, 1.3], "is below the predicted 1.200 to 1.300 (80 % interval)."),
        ([0.96, 0.99], "is below the predicted 0.960 to 0.990 (80 % interval), though not clearly."),
        ([0.5, 0.6], "is above the predicted 0.500 to 0.600 (80 % interval)."),
    ],
)
def test_against_the_prediction(predicted: list[float], words: str) -> None:
    assert f"The ratio, 0.944, {words}" in said(predicted_ratio=predicted)


def test_a_teacher_of_chance_makes_a_ratio_of_little_worth() -> None:
    told = said(student=0.52, teacher_score=0.5, **TEACHER_OF_CHANCE)
    assert "so that this says little." in told
    assert "What may help: a teacher that has learned the task; " in told
    assert "so that this says little" not in said()


def test_rows_that_selected_and_report_flatter() -> None:
    near = {"student": 0.56, "selected_on": "test"}  # 0.51 of a test set, half as far again of rows that selected
    assert "0.5600 (0.510 to 0.610), is clearly above" in said(student=0.56)
    assert "0.5600 (0.510 to 0.610), is not clearly above" in said(**near)
    assert "The same rows (test) selected and report, which flatters; --test names others." in said(selected_on="test")
    assert "flatters" not in said()


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({"best_epoch": 3}, "more epochs, because the last one was the best (--set training.epochs=6)"),
        ({}, "a higher learning rate (--set training.learning_rate=0.0003)"),
        (
            {"train_examples": 30, "pipeline": {"training": {"learning_rate": 1e-4, "batch_size": 16}}},
            "more epochs, as is usual for so few rows (--set training.epochs=50)",
        ),
        (
            {"train_examples": 30, "best_epoch": 3, "pipeline": {"training": {"batch_size": 16}}},
            "more epochs, because the last one was the best (--set training.epochs=6)",
        ),
        ({"train_examples": 32}, "more training rows than 32, or --augment random"),
        ({"parameters": 4, "teacher_parameters": 100}, "a larger student than 4 % of the teacher"),
    ],
)
def test_what_to_change(more: dict[str, Any], advice: str) -> None:
    *_, last = verdict(a_run(student=0.52, **more))
    assert last.startswith("What may help: ")
    assert advice in last
    assert "What may help" not in said(**more)  # the same of a good student


def test_a_student_that_keeps_too_little_is_told_what_to_do() -> None:
    *_, last = verdict(a_run(student=0.7))
    assert last == "What may help: another pipeline (autodistill recommend)."
    assert "What may help" in with_simple(0.86)
    assert "What may help" in said(student_alone_score=0.9)


@pytest.mark.parametrize("status", ["failed", "pruned"])
def test_nothing_is_said_of_a_run_without_an_end(status: str) -> None:
    assert verdict(a_run(status=status)) == []


def test_a_run_ends_with_its_verdict(options: RunOptions, tmp_path: Path) -> None:
    """Of labels that mean nothing, beside a Bi-LSTM that is said to know them."""
    task = toy_task("pair", rows=24, held_out=16)
    noise = {
        name: rows.map(lambda row, index: {"label": index % 2}, with_indices=True)
        for name, rows in (("train", task.train), ("validation", task.validation["validation"]))
    }
    task = replace(task, train=noise["train"], validation={"validation": noise["validation"]}, fingerprint="")
    expected = Expected({"bilstm": lambda task, machine: {"validation": Measured({"accuracy": 0.99})}}, (5.0, 6.0))
    more = {"data": task, "expected": expected, "pipeline": {"training": TRAINING | {"epochs": 2}}}
    paused = small(options, tmp_path / "out", until_epoch=1, **more)
    assert (paused.verdict, paused.predicted_ratio) == ([], [5.0, 6.0])
    result = small(options, tmp_path / "out", **more)
    told = " ".join(result.verdict)
    for words in (
        "A small Bi-LSTM that learns from the labels alone reaches 0.990, more than the student",
        "is below the predicted 5.000 to 6.000",
        "The same rows (validation) selected and report",
        "What may help: ",
    ):
        assert words in told
    assert result.scores["bilstm"] == {"validation": {"accuracy": 0.99}}
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"- {sentence}" in card for sentence in result.verdict)
    both = small(options, tmp_path / "out", student_alone=True, **more)
    assert "Without a teacher the same student reaches" in " ".join(both.verdict)
    assert both.ratio_interval == result.ratio_interval
