"""What teacher and student of a run answered, row by row, beside the rows.

Decided here: which rows are shown where the two differ: first those that the student alone gets wrong, then those that
the teacher alone does, then others; of values those with the largest distance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autodistill.report.names import printable
from autodistill.report.words import number
from engine.base.errors import InputError, counted
from engine.base.files import ANSWERS_FILE
from engine.base.text import read_json, read_text
from engine.data.rows import text_of
from engine.data.task import KINDS, Task
from engine.evaluation.spans import agreement_with
from engine.run.result import RunResult

if TYPE_CHECKING:
    from datasets import Dataset

MOST = 30
"""Rows that are shown."""
LONGEST = 300
"""Letters of a text that are shown."""
TEACHER, STUDENT, NEITHER, BOTH = (True, False), (False, True), (False, False), (True, True)
"""Who is right."""
UNNAMED = "the record has no texts; name the run's data with --data, and the options that they were read with"


class Answers(NamedTuple):
    """Answers of both on the set that the run reports."""

    task: Task
    rows: Dataset
    teacher: Sequence[Any]
    student: Sequence[Any]


def answers_of(folder: Path, result: RunResult, task: Task | None) -> Answers | str:
    """What was answered; or why it is not known.

    Raises:
        InputError: The data are not those of the run.
    """
    if task is not None and not result.reports_on(task):
        what = "these are not the held-out rows and labels of this run"
        hint = "Give the options that the run was given: --text, --label, --test, --max-train, …."
        raise InputError.of("--data", what, task.name, (), hint)
    path = folder / ANSWERS_FILE
    if not os.path.lexists(path):
        return f"there is no {ANSWERS_FILE}: the run is older, or did not end"
    if task is None:
        return UNNAMED
    try:
        record = read_json(read_text(path))
        rows = task.held_out[record["split"]]
        found = Answers(task, rows, record["answers"]["teacher"], record["answers"]["student"])
        if {len(found.teacher), len(found.student)} != {len(rows)}:
            raise ValueError("of another number of rows")
        disagreements(found)
    except (InputError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"{ANSWERS_FILE} is damaged ({str(error).partition(chr(10))[0]})"
    return found


def disagreements(found: Answers) -> tuple[list[str], list[list[str]]]:
    """What they differ in, in sentences, and rows of text: text, label, teacher, student."""
    task = found.task
    gold = found.rows[KINDS[task.kind].target][:]
    answered = list(zip(gold, found.teacher, found.student, strict=True))
    if task.kind == "regression":
        text = ["The rows with the largest distance between the values of teacher and student."]
        order = sorted(range(len(gold)), key=lambda row: -abs(found.teacher[row] - found.student[row]))
    else:
        apart = [row for row, (_, one, other) in enumerate(answered) if one != other]
        pairs = {row: tuple(_is_right(task, gold[row], each[row]) for each in found[-2:]) for row in apart}
        teacher, student, neither, both = ([*pairs.values()].count(each) for each in (TEACHER, STUDENT, NEITHER, BOTH))
        alone = f"on {teacher:,} the teacher alone is right, on {student:,} the student alone, on {neither:,} neither"
        alone += f", on {both:,} both" if both else ""  # as a question may have several answers
        text = [f"They differ on {len(apart):,} of {counted(len(gold), 'row')}: {alone}."]
        order = sorted(apart, key=lambda row: (pairs[row] != BOTH, pairs[row]), reverse=True)
    rows = ([_text(found.rows[row]), *(_words(task, answered[row], each) for each in range(3))] for row in order[:MOST])
    return text, [[*map(printable, cells)] for cells in rows]


def _is_right(task: Task, gold: Any, answer: Any) -> bool:
    """Whether an answer is the gold one; to a question whether it agrees with an accepted one word for word, as scores
    have it."""
    return agreement_with(gold, answer)[1] == 1 if task.kind == "question_answering" else answer == gold


def _text(row: Mapping[str, Any]) -> str:
    """The texts of a row, cut."""
    whole = text_of(row)
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}…"


def _words(task: Task, answered: tuple[Any, Any, Any], which: int) -> str:
    """Label, teacher's or student's answer by name; of tagging the tags of those words on which the two differ."""
    value = answered[which]
    if task.kind == "classification":
        return task.labels[value]
    if task.kind == "multi_label":
        return ", ".join(task.labels[label] for label in value)
    if task.kind == "regression":
        return number(value, ".4g")
    if task.kind == "question_answering":
        text = " / ".join(dict.fromkeys(value["text"])) if isinstance(value, Mapping) else str(value)
        return text or "no answer"
    _, one, other = answered
    return ", ".join(task.labels[value[place]] for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
