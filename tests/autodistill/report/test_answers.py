"""Rows to which teacher and student give different answers, of every kind of task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autodistill.report import answers
from autodistill.report.answers import Answers, answers_of, disagreements
from engine.base.errors import InputError
from tests.records import made_record
from tests.tasks import make_task
from tests.toys import toy_task

TASK = toy_task("single", rows=10, held_out=6)


def put(folder: Path, **more: Any) -> None:
    gold = TASK.validation["validation"]["label"][:]
    known = {"split": "validation", "answers": {"teacher": gold, "student": [(gold[0] + 1) % 3, *gold[1:]]}}
    (folder / "answers.json").write_text(json.dumps(known | more), "utf-8")


def of(folder: Path, **more: Any) -> Answers | str:
    return answers_of(folder, made_record(dataset_fingerprint=TASK.fingerprint), **{"task": TASK, **more})


def test_answers_stand_beside_their_rows(tmp_path: Path) -> None:
    put(tmp_path)
    found = of(tmp_path)
    assert isinstance(found, Answers)
    (text,), (row,) = disagreements(found)
    assert text == "They differ on 1 of 6 rows: on 1 the teacher alone is right, on 0 the student alone, on 0 neither."
    first = TASK.validation["validation"][0]
    assert row == [first["text"], TASK.labels[first["label"]], row[2], TASK.labels[(first["label"] + 1) % 3]]
    assert row[1] == row[2]


def test_why_there_are_none(tmp_path: Path) -> None:
    assert "there is no answers.json" in str(of(tmp_path))
    put(tmp_path)
    assert "--data" in str(of(tmp_path, task=None))
    with pytest.raises(InputError, match="not the held-out rows and labels"):
        answers_of(tmp_path, made_record(dataset_fingerprint="other"), TASK)


@pytest.mark.parametrize(
    "damage",
    ["{", "null", "[]", '{"split": "other"}', '{"split": "validation", "answers": {"teacher": [0], "student": [0]}}'],
)
def test_damaged_answers_are_a_sentence(tmp_path: Path, damage: str) -> None:
    (tmp_path / "answers.json").write_text(damage)
    assert "answers.json is damaged" in str(of(tmp_path))
    put(tmp_path, answers={"teacher": [99] * 6, "student": [0] * 6})
    assert "answers.json is damaged" in str(of(tmp_path))


def test_those_that_the_student_alone_gets_wrong_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": str(place), "label": 0} for place in range(4)]
    task = make_task("classification", rows, rows, ("a", "b", "c"))
    found = Answers(task, task.train, [1, 1, 0, 0], [2, 0, 1, 0])
    text, listed = disagreements(found)
    assert [row[0] for row in listed] == ["2", "1", "0"]
    assert "on 1 the teacher alone is right, on 1 the student alone, on 1 neither" in text[0]
    monkeypatch.setattr(answers, "MOST", 1)
    assert len(disagreements(found)[1]) == 1


def test_other_kinds() -> None:
    values = [{"text": str(place), "label": float(place)} for place in range(3)]
    task = make_task("regression", values, values)
    assert [row[0] for row in disagreements(Answers(task, task.train, [0, 1, 2], [0, 3, 2.5]))[1]] == ["1", "2", "0"]
    tagged = [{"tokens": ["Rome", "fell"], "tags": [1, 0]}, {"tokens": ["It", "did"], "tags": [0, 0]}]
    task = make_task("tagging", tagged, tagged, ("O", "LOC"))
    found = Answers(task, task.train, [[1, 0], [0, 0]], [[0, 0], [0, 0]])
    assert disagreements(found)[1] == [["Rome fell", "LOC", "LOC", "O"]]
    gold = {"text": ["Rome"], "answer_start": [3]}
    asked = [{"id": "1", "question": "Where?", "context": "In Rome.", "answers": gold}]
    task = make_task("question_answering", asked, asked)
    found = Answers(task, task.train, ["Rome"], ["In"])
    assert disagreements(found)[1] == [["Where? | In Rome.", "Rome", "Rome", "In"]]


def test_an_answer_to_a_question_is_right_as_the_scores_have_it() -> None:
    """Articles, case and punctuation do not count; where both are right, the row comes last."""
    gold, none = {"text": ["Anna", "Bob"], "answer_start": [0, 0]}, {"text": [], "answer_start": []}
    rows = [
        {"id": str(n), "question": "q", "context": f"c{n}", "answers": each}
        for n, each in enumerate([gold, gold, none])
    ]
    task = make_task("question_answering", rows, rows)
    text, listed = disagreements(Answers(task, task.train, ["the Anna.", "anna", ""], ["Bob", "Anna B", "Anna"]))
    assert text == [
        "They differ on 3 of 3 rows: on 2 the teacher alone is right, on 0 the student alone, on 0 neither, on 1 both."
    ]
    assert [row[0] for row in listed] == ["q | c1", "q | c2", "q | c0"]


def test_long_texts_are_cut() -> None:
    rows = [{"text": "word " * 900, "label": 0}]
    task = make_task("classification", rows, rows, ("a", "b"))
    ((text, *_),) = disagreements(Answers(task, task.train, [0], [1]))[1]
    assert len(text) == answers.LONGEST + 1
