"""From what was typed after `autodistill predict` to rows, and from answers to lines.

Decided here: one line of standard input or of a plain file is one text; in CSV, TSV, JSON lines and Parquet the
fields are columns, those of the training data unless others are named. Input is read before the model, so that its
mistakes are found at once. An answer as JSON has its input beside it.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Shown
from engine.base.checks import check_place
from engine.base.errors import InputError, Problem, counted, nearest, shown, unknown_name
from engine.base.files import written_atomically
from engine.base.hub import local_snapshot
from engine.base.options import RunOptions
from engine.base.progress import Reporter
from engine.base.text import HALF, decoded, read_text
from engine.data.cells import is_missing
from engine.data.files import SUFFIXES, read_file
from engine.data.rows import Findings
from engine.data.task import KINDS, TaskKind

if TYPE_CHECKING:
    from engine.run.predictor import Predictor

Row = dict[str, Any]
AT_A_TIME = 4096
"""Rows that are answered together."""
NO_ANSWER = "no answer"
"""How a person reads that a question has none in its context; with it stands the probability of what is said."""


def predict(typed: Typed, reporter: Reporter) -> Shown:
    """Answers texts, or a leaderboard's test sets."""
    _check_options(typed)
    model, out, options = typed["model"], typed["into"], fields_of(typed).options
    if out is not None:
        check_place("--out", out, is_folder=typed["on_data"] is not None)
    if typed["on_data"] is not None:
        files = answer_leaderboard(model, typed["on_data"], out, options)
        return Shown({"files": files}, lines=[str(path) for path in files])
    rows_for = rows_from(typed)
    local_snapshot(model, "model")

    from engine.run.predictor import load_predictor  # after everything that needs no torch

    predictor = load_predictor(model, options)
    rows = rows_for(predictor.kind, predictor.columns)
    _check_whole(rows, str(typed["file"] or "the input"))
    if empty := sum(any(value == [] or is_missing(value) for value in row.values()) for row in rows):
        reporter.message(f"warning: rows without a text: {empty:,} of {len(rows):,}; their answers mean nothing")
    predictor.check(rows)
    answers = _answers(predictor, rows, reporter)
    if out is None:
        found = list(answers)
        records = [row | answer for row, answer in zip(rows, found, strict=True)]
        return Shown(records, lines=[line(answer) for answer in found])
    with written_atomically(out) as aside, aside.open("w", encoding="utf-8") as file:
        for row, answer in zip(rows, answers, strict=True):
            file.write(f"{json.dumps(row | answer, ensure_ascii=False)}\n")
    reporter.message(f"{counted(len(rows), 'answer')}: {out}")
    return Shown(None)


def _check_options(typed: Typed) -> None:
    """Refuses what would be typed for nothing.

    Raises:
        InputError: Texts or columns beside a leaderboard's data; a second text beside a table, or columns without one.
    """
    file, data = typed["file"], typed["on_data"]
    is_table = file is not None and file.suffix.lower() in SUFFIXES
    columns = {"--text-column": typed["text_column"], "--text-pair-column": typed["text_pair_column"]}
    texts = {"--text": typed["texts"], "--text-pair": typed["pairs"]}
    if data is not None:
        idle, why = texts | {"--file": file} | columns, "--data names the texts that are answered"
    elif is_table:
        idle, why = {"--text-pair": typed["pairs"]}, f"{file} holds the texts; --text-pair-column names a column of it"
    else:
        idle, why = columns, "only for a --file with columns, such as CSV"
    given = {option: value[0] if isinstance(value, list) else str(value) for option, value in idle.items() if value}
    if given:
        raise InputError([Problem(option, why, shown(value)) for option, value in given.items()])


def _answers(predictor: Predictor, rows: list[Row], reporter: Reporter) -> Iterator[Row]:
    """Answer after answer, of so many rows at a time that their logits do not fill the memory."""
    reporter.start("answers", len(rows), unit="rows")
    for first in range(0, len(rows), AT_A_TIME):
        part = rows[first : first + AT_A_TIME]
        yield from predictor(part)
        reporter.advance("answers", len(part))
    reporter.finish("answers")


def _check_whole(rows: Iterable[Row], place: str) -> None:
    """Raises an `InputError` where a text has half a character, which no tokenizer reads."""
    for number, row in enumerate(rows, start=1):
        for value in row.values():
            words = value if isinstance(value, list) else [value]
            if half := next((word for word in words if isinstance(word, str) and HALF.search(word)), None):
                what = f"row {number} has half a character (a lone surrogate)"
                raise InputError.of(place, what, shown(half))


def lines_of(text: str) -> list[str]:
    r"""The lines of a text, which end as files' lines do; other signs that Python takes for an end stay in their line.

    Example:
        >>> lines_of("one\u2028still one\r\ntwo\n")
        ['one\u2028still one', 'two']
    """
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def answer_leaderboard(model: str, data: str, folder: Path | None, options: RunOptions) -> list[Path]:
    """Answers a GLUE task's test sets in the files that its leaderboard takes.

    Raises:
        InputError: No folder was named, the task has no such test set, or the model other labels.
    """
    if folder is None:
        raise InputError.of("--out", "the leaderboard's files need a folder")

    from engine.data.load import load_task
    from engine.evaluation.leaderboard import glue_files, write_glue_files
    from engine.models.load import label_order

    task = load_task(data)
    files = glue_files(task)
    if not files:
        write_glue_files(task, {}, folder)  # says which tasks there are

    from engine.run.predictor import load_predictor

    predictor = load_predictor(model, options)
    answers = {split: predictor.indices([dict(row) for row in task.unlabelled[split]]) for split in files}
    if task.labels:  # the model may name the same classes in another order
        order = label_order(predictor.labels, task.labels)
        if order is None:
            got = ", ".join(predictor.labels) or "no classes"
            raise InputError.of("MODEL", f"it was not trained on {task.name}", got, task.labels)
        answers = {split: [order.index(index) for index in each] for split, each in answers.items()}
    return write_glue_files(task, answers, folder)


def line(row: Row) -> str:
    """An answer for a person.

    Example:
        >>> line({"label": "good", "score": 0.98, "scores": {"bad": 0.02, "good": 0.98}})
        'good\\t0.9800'
        >>> line({"tokens": ["Rome", "fell"], "tags": ["PROPN", "VERB"]})
        'Rome/PROPN fell/VERB'
        >>> line({"labels": ["joy"], "scores": {"joy": 0.93, "love": 0.2}}), line({"labels": [], "scores": {}})
        ('joy 0.9300', '-')
        >>> line({"answer": "Rome", "no_answer": 0.25}), line({"answer": "", "no_answer": 0.9})
        ('Rome\\t0.7500', 'no answer\\t0.9000')
    """
    if "labels" in row:
        return ", ".join(f"{label} {row['scores'][label]:.4f}" for label in row["labels"]) or "-"
    if "tags" in row:
        return " ".join(f"{word}/{tag}" for word, tag in zip(row["tokens"], row["tags"], strict=True))
    if "answer" in row:
        chance = row.get("no_answer")  # of models of questions that may have none
        if chance is None:
            return str(row["answer"])
        return f"{row['answer'] or NO_ANSWER}\t{max(chance, 1 - chance):.4f}"
    score = f"{row['score']:.4f}"
    return f"{row['label']}\t{score}" if "label" in row else score


def rows_from(typed: Typed) -> Callable[[TaskKind, Mapping[str, str]], list[Row]]:
    """The input, read; what its rows are follows from the kind of task and the columns of the training data."""
    file, texts, pairs = typed["file"], typed["texts"], typed["pairs"] or None
    for option, given in {"--text": texts, "--text-pair": pairs}.items():
        if empty := [text for text in given or () if is_missing(text)]:
            raise InputError.of(option, "empty text, which no answer fits", repr(empty[0]))
    if file is None:
        if not texts and sys.stdin.isatty():
            raise InputError.of("--text", "nothing to answer: give --text, --file, or lines on standard input")
        texts = texts or lines_of(decoded(Path("standard input"), sys.stdin.buffer.read()))
    elif texts:
        raise InputError.of("--file", "either --text or --file", str(file))
    elif file.suffix.lower() in SUFFIXES:
        findings = Findings()
        columns = read_file(file, findings).columns
        findings.check()
        names = typed["text_column"], typed["text_pair_column"]
        return lambda kind, trained_on: _of_columns(kind, columns, str(file), *names, trained_on)
    else:
        texts = lines_of(read_text(file))

    def of_texts(kind: TaskKind, trained_on: Mapping[str, str]) -> list[Row]:
        from engine.run.predictor import rows_of_texts  # loads torch

        return rows_of_texts(kind, texts, pairs, trained_on)

    return of_texts


def _of_columns(
    kind: TaskKind,
    columns: Mapping[str, list[Any]],
    file: str,
    text: str | None,
    pair: str | None,
    trained_on: Mapping[str, str],
) -> list[Row]:
    """Rows of a file, in the fields of the task.

    A field is the column that was typed, else that of the training data, else the one of the field's own name.
    """
    first, second = (*KINDS[kind].fields, "")[:2]
    if pair and trained_on and second not in trained_on:
        raise InputError.of("--text-pair-column", "the model was trained on single texts", repr(pair))
    usual = {field: trained_on.get(field, field) for field in (first, second)}
    found = {field: column if column in columns else field for field, column in usual.items()}
    only = next(iter(columns)) if len(columns) == 1 else None
    chosen = {first: text or (found[first] if found[first] in columns else only or usual[first])}
    if second and (pair or second in (trained_on or columns) or kind == "question_answering"):
        chosen[second] = pair or (found[second] if found[second] in columns else usual[second])
    options = {first: ("--text-column", text), second: ("--text-pair-column", pair)}
    absent = {field: name for field, name in chosen.items() if name not in columns}
    if absent:
        raise InputError([_no_column(file, name, columns, *options[field]) for field, name in absent.items()])
    cells = zip(*(columns[name] for name in chosen.values()), strict=True)
    empty: dict[str, Any] = dict.fromkeys(chosen, "") | {"tokens": []}
    return [
        {field: empty[field] if is_missing(value) else value for field, value in zip(chosen, values, strict=True)}
        for values in cells
    ]


def _no_column(file: str, name: str, columns: Iterable[str], option: str, typed: str | None) -> Problem:
    """A column that was typed, or looked for as it is called in the training data, and is not there."""
    if typed:
        return unknown_name(option, f"no such column in {file}", name, columns)
    hint = f"Say which one it is: {option} {nearest(name, columns) or 'NAME'}"
    return Problem(file, f"no column '{name}'", "", tuple(columns), f"{hint}.")
