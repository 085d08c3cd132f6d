"""The page about one run: each section of a real record, what a record does not tell, and how a browser shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autodistill.report.answers import Answers
from autodistill.report.one_run import SECTIONS, page_of_run
from autodistill.report.page import Section
from engine.run.result import RunResult
from tests.autodistill.report.browser import BROWSER, seen
from tests.autodistill.report.test_page import EVIL, Tags
from tests.records import made_record
from tests.tasks import make_task

LABELS = ("bad", "good")


def a_run(name: str = "toy", **more: Any) -> RunResult:
    """A record with everything in it."""
    by_role = {"teacher": 0.9, "student": 0.8, "student_alone": 0.7, "linear": 0.6}
    known = {
        "task": name,
        "teacher": "/home/me/models/bert",
        "labels": list(LABELS),
        "split": "test",
        "selected_on": "validation",
        "scores": {
            role: {"validation": {"accuracy": s - 0.05}, "test": {"accuracy": s}} for role, s in by_role.items()
        },
        "intervals": {"student": {"test": {"accuracy": [0.75, 0.85]}}},
        "distillation_ratio": 0.8 / 0.9,
        "trivial_score": 0.5,
        "agreement": 0.875,
        "calibration_error": {"teacher": 0.01, "student": 0.034},
        "calibration": {"student": {"temperature": 1.5, "before": 0.07, "after": 0.034}},
        "verdict": [f"It keeps 89 % of {name}."],
        "classes": [
            {"label": label, "precision": 0.8, "recall": recall, "f1": recall, "rows": 10}
            for label, recall in zip((name, "good"), (0.7, 0.6), strict=True)
        ],
        "confusion": [[7, 3], [4, 6]],
        "history": [
            {"epoch": epoch, "loss": {"prediction": 1 / epoch}, "scores": {"accuracy": score}}
            for epoch, score in enumerate((0.6, 0.75, 0.7), start=1)
        ],
        "best_epoch": 2,
        "parameters": 1_000_000,
        "teacher_parameters": 4_000_000,
        "latency_ms": 2.0,
        "teacher_latency_ms": 8.0,
        "stage_seconds": {"teacher": 10.0, "simple_models": 1.0},
        "pipeline": {"intermediate": {"kind": "mse"}, "augmentation": {"operators": [{"kind": "random"}]}},
    }
    return made_record(**known | more)


def answered(name: str = "a film") -> Answers:
    rows = [{"text": f"{name} {row}", "label": row % 2} for row in range(4)]
    task = make_task("classification", rows, rows, LABELS)
    return Answers(task, task.train, [0, 1, 0, 0], [0, 0, 0, 1])


def shown(result: RunResult, answers: Answers | str = "no answers") -> dict[str, Section | str]:
    return {key: section for key, (_, section) in page_of_run(result, answers).sections.items()}


def table(section: Section | str, place: int = 0) -> dict[str, list[str]]:
    assert isinstance(section, Section)
    return {row[0]: list(row[1:]) for row in section.tables[place].rows}


def test_every_section_says_what_the_record_says() -> None:
    found = shown(a_run(), answered())
    assert found.keys() == SECTIONS.keys()
    models = table(found["scores"])
    assert models["student"] == ["0.8000 (0.7500 to 0.8500)"]
    assert models.keys() == {"teacher", "student", "student alone", "linear model", "one answer to all"}
    assert table(found["scores"], 1)["teacher"] == ["0.8500"]
    text = " ".join(found["scores"].text)  # type: ignore[union-attr]
    assert "It keeps 89 % of toy." in text
    assert "agree in 87.5 % of their answers" in text
    assert "Student calibrated on validation: temperature 1.50" in text
    assert "teacher 0.010, student 0.034" in text
    assert [*table(found["classes"])] == ["good", "toy"], "the weakest first"
    assert table(found["confusion"])["good"] == ["toy", "4", "0.40"]
    assert table(found["confusion"], 1) == {"toy": ["7", "3"], "good": ["4", "6"]}
    assert table(found["learning"])["2 (best)"][:2] == ["0.7500", "0.5"]
    assert table(found["sizes"])["parameters"] == ["4\xa0M", "1\xa0M", "0.25"]
    assert table(found["sizes"], 1)["simple models"] == ["1.0"]
    assert table(found["pipeline"])["augmentation.operators.1.kind"] == ["random"]


def test_the_best_epoch_and_the_teacher_are_in_the_curve() -> None:
    section = shown(a_run())["learning"]
    assert isinstance(section, Section)
    (axes,) = section.pictures[0].figure.axes
    score, teacher = axes.get_lines()
    assert score.get_ydata().tolist() == [0.6, 0.75, 0.7]
    assert list(teacher.get_ydata()) == pytest.approx([0.85, 0.85])
    assert axes.collections[0].get_offsets().tolist() == [[2.0, 0.75]]


def test_no_path_of_this_machine_is_in_it(tmp_path: Path) -> None:
    page = page_of_run(a_run(teacher=str(tmp_path)), "none").html()
    assert str(tmp_path) not in page
    assert tmp_path.name in page


def test_what_a_record_does_not_tell_is_left_out_with_a_reason() -> None:
    found = shown(made_record(status="failed", reason="the loss", student_score=None, teacher_score=None), "no answers")
    assert {key for key, section in found.items() if isinstance(section, str)} == SECTIONS.keys() - {"pipeline"}
    assert "It failed: the loss." in page_of_run(made_record(status="failed", reason="the loss"), "").lead[0]


def test_of_several_labels_a_row_each_has_a_line_and_there_is_no_matrix() -> None:
    lines = [
        {"label": label, "precision": 0.5, "recall": 0.5, "f1": f1, "rows": 9}
        for label, f1 in (("joy", 0.9), ("love", 0.4))
    ]
    found = shown(a_run(task_kind="multi_label", classes=lines, confusion=[], labels=["joy", "love"]))
    assert [*table(found["classes"])] == ["love", "joy"]
    assert "on the rows with each label of" in found["classes"].text[0]  # type: ignore[union-attr]
    assert (
        found["confusion"]
        == "the record has no confusion matrix: that is of one class a row, and of 200 classes at most"
    )


def test_many_classes_are_folded() -> None:
    names = [f"class {place}" for place in range(77)]
    classes = [{"label": name, "precision": 1, "recall": 1, "f1": 1, "rows": 1} for name in names]
    confusion = [[int(row == column) for column in range(77)] for row in range(77)]
    found = shown(a_run(classes=classes, confusion=confusion, labels=names))
    assert [each.folded for key in ("classes", "confusion") for each in found[key].tables] == [True, True]  # type: ignore[union-attr]


def test_whatever_a_name_holds_is_text() -> None:
    page = Tags(page_of_run(a_run(EVIL), answered(EVIL)).html())
    assert not page.named("script")
    assert len(page.named("img")) == 3


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_it_without_an_error_or_a_request(tmp_path: Path, width: int) -> None:
    found = seen(page_of_run(a_run(EVIL), answered(EVIL)).html(), width, tmp_path)
    assert (found.console, found.hosts) == ([], set())
    assert found.measured["width"] == found.measured["scroll"] == width
    assert found.measured["beyond"] == []
    assert found.measured["drawn"] == found.measured["images"] == 3
