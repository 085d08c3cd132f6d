"""From what was typed after `autodistill predict` to rows, and from answers to lines.

Decided here: one line of standard input or of a plain file is one text; in CSV, TSV, JSON lines and
Parquet the fields are columns. Input is read before the model, so that its mistakes are found at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base.errors import InputError, unknown_name
from engine.base.files import write_text
from engine.base.hub import local_snapshot
from engine.base.options import RunOptions
from engine.data.files import SUFFIXES, read_file, read_text
from engine.data.rows import Findings
from engine.data.task import Task, TaskKind

if TYPE_CHECKING:
    from engine.run.predictor import Predictor

FIELDS: dict[TaskKind, tuple[str, str]] = {
    "classification": ("text", "text_pair"),
    "regression": ("text", "text_pair"),
    "tagging": ("tokens", ""),
    "question_answering": ("question", "context"),
}
"""Kind of task → its first and second field in a file."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What somebody wants answered.

    Args:
        texts: Typed texts.
        pairs: Their second texts.
        file: A file of rows in place of typed texts.
        columns: Columns of the file for the first and the second field, where their names differ.
    """

    texts: Sequence[str] = ()
    pairs: Sequence[str] = ()
    file: Path | None = None
    columns: tuple[str | None, str | None] = (None, None)


def answer(model: str, question: Question, options: RunOptions) -> list[Row]:
    """The model's answers, one a row.

    Raises:
        InputError: Nothing to answer, unreadable input, or no such model.
    """
    given = _given(question)
    local_snapshot(model, "model")

    from engine.run.predictor import load_predictor  # after everything that needs no torch

    predictor = load_predictor(model, options)
    return predictor(given(predictor.kind))


def answer_leaderboard(model: str, data: str, folder: Path | None, options: RunOptions) -> list[Path]:
    """Answers a GLUE task's test sets in the files that its leaderboard takes.

    Raises:
        InputError: No folder was named, the task has no such test set, or the model other labels than it.
    """
    if folder is None:
        raise InputError.of("--out", "the leaderboard's files need a folder")

    from engine.data.load import load_task
    from engine.evaluation.leaderboard import glue_files, write_glue_files

    task = load_task(data)
    files = glue_files(task)
    if not files:
        write_glue_files(task, {}, folder)  # says which tasks there are

    from engine.run.predictor import load_predictor

    predictor = load_predictor(model, options)
    found = {split: predictor.indices(_rows(task, split)) for split in files}
    return write_glue_files(
        task, {split: _in_order_of(task, predictor, found[split]) for split in found}, folder
    )


def line(row: Row) -> str:
    """An answer for a person.

    Example:
        >>> line({"label": "good", "score": 0.98, "scores": {"bad": 0.02, "good": 0.98}})
        'good\\t0.9800'
        >>> line({"tokens": ["Rome", "fell"], "tags": ["PROPN", "VERB"]})
        'Rome/PROPN fell/VERB'
    """
    if "tags" in row:
        return " ".join(f"{word}/{tag}" for word, tag in zip(row["tokens"], row["tags"], strict=True))
    if "answer" in row:
        return str(row["answer"])
    score = f"{row['score']:.4f}"
    return f"{row['label']}\t{score}" if "label" in row else score


def write_answers(path: Path, rows: Sequence[Row]) -> None:
    """Answers as JSON lines, whole or not at all."""
    write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


# --- rows ------------------------------------------------------------------------------------------


def _given(question: Question) -> Callable[[TaskKind], list[Row]]:
    """The input, read; what its rows are follows once the kind of task is known."""
    if question.file is not None and question.texts:
        raise InputError.of("--file", "either --text or --file", str(question.file))
    if question.file is None:
        texts = list(question.texts) or _standard_input()
        return lambda kind: _of_texts(kind, texts, question.pairs)
    if question.file.suffix.lower() not in SUFFIXES:
        if not question.file.is_file():
            raise InputError.of("--file", "no such file", repr(str(question.file)))
        texts = read_text(question.file).splitlines()
        return lambda kind: _of_texts(kind, texts, question.pairs)
    findings = Findings()
    columns = read_file(question.file, findings).columns
    findings.check()
    return lambda kind: _of_columns(kind, columns, question)


def _of_texts(kind: TaskKind, texts: Sequence[str], pairs: Sequence[str]) -> list[Row]:
    from engine.run.predictor import rows_of_texts

    return rows_of_texts(kind, texts, pairs or None)


def _standard_input() -> list[str]:
    if sys.stdin.isatty():
        raise InputError.of("--text", "nothing to answer: give --text, --file, or lines on standard input")
    return sys.stdin.read().splitlines()


def _of_columns(kind: TaskKind, columns: Mapping[str, list[Any]], question: Question) -> list[Row]:
    """Rows of a file, in the fields of the task."""
    first, second = FIELDS[kind]
    only = next(iter(columns)) if len(columns) == 1 else None
    chosen = {first: question.columns[0] or (first if first in columns else only or first)}
    if second and (question.columns[1] or second in columns):
        chosen[second] = question.columns[1] or second
    if kind == "question_answering":
        chosen.setdefault(second, second)
    missing = [
        unknown_name(str(question.file), f"no column for {field}", name, columns)
        for field, name in chosen.items()
        if name not in columns
    ]
    if missing:
        raise InputError(missing)
    cells = zip(*(columns[name] for name in chosen.values()), strict=True)
    return [dict(zip(chosen, values, strict=True)) for values in cells]


def _rows(task: Task, split: str) -> list[Row]:
    return [dict(row) for row in task.test[split]]


def _in_order_of(task: Task, predictor: Predictor, answers: list[Any]) -> list[Any]:
    """Class indices of the model as those of the task; they may name the same classes in another order."""
    if not task.labels:
        return answers
    if set(predictor.labels) != set(task.labels):
        got = ", ".join(predictor.labels) or "no classes"
        raise InputError.of("MODEL", f"it was not trained on {task.name}", got, task.labels)
    return [task.labels.index(predictor.labels[index]) for index in answers]
