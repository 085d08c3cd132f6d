"""Raw rows → rows in the normal form of their kind, checked one by one.

Decided here: what makes a row unusable (no text, no label, a label that training does not know, a target
that is not finite, tags that do not fit their words, an answer that is not in its context, a text of more
than a million characters), and that such rows are named, never dropped. One thing is mended: an
`answer_start` that is wrong where the answer stands in its context exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.base.errors import Problem
from engine.data.labels import LabelIndex, is_number
from engine.data.rows import Findings, RawSplit, is_missing, shown
from engine.data.schema import Schema
from engine.data.task import TaskKind

MAX_CHARACTERS = 1_000_000

Rows = dict[str, list[Any]]


class _Check:
    """What the checks of one split share."""

    def __init__(self, split: RawSplit, schema: Schema, findings: Findings, published: bool):
        self.split, self.schema, self.findings, self.published = split, schema, findings, published
        self.moved_answers = 0
        self.index = LabelIndex(schema.labels, schema.fixed_labels)

    def cells(self, field: str) -> list[Any]:
        """The cells of a field; indices of classes that this split numbers in its own way become names."""
        column = self.schema.columns[field]
        cells = self.split.columns[column]
        names = self.split.class_names.get(column, ())
        same = self.schema.fixed_labels and names == self.schema.labels
        if same or not set(names) & set(self.schema.labels):
            return cells
        return [
            [_name(tag, names) for tag in cell] if isinstance(cell, list) else _name(cell, names)
            for cell in cells
        ]

    def row(self, row: int, what: str, got: str = "", **more: Any) -> None:
        self.findings.row(self.split, row, what, got, **more)

    def column(self, field: str) -> str:
        return f"column '{self.schema.columns[field]}'"


def _name(index: Any, names: tuple[str, ...]) -> Any:
    return names[index] if isinstance(index, int) and 0 <= index < len(names) else index


def normalise(
    split: RawSplit,
    schema: Schema,
    findings: Findings,
    *,
    labelled: bool = True,
    published: bool = False,
    notes: list[str] | None = None,
) -> Rows:
    """The columns of a split in normal form.

    Args:
        split: The rows as they came.
        schema: Which column is what.
        findings: Receives every unusable row; the result is complete only if it stays empty.
        labelled: Whether the target is read too.
        published: Rows of a benchmark, which nobody can mend: empty texts are let through.
        notes: Receives what was mended.
    """
    wanted = [field for field in schema.columns if labelled or field != schema.target]
    absent = [schema.columns[field] for field in wanted if schema.columns[field] not in split.columns]
    for column in absent:
        what = f"no column '{column}', which the training rows have"
        findings.add(Problem(split.where, what, ", ".join(split.columns)))
    if not len(split):
        findings.add(Problem(split.where, "no rows"))
    if absent or not len(split):
        return {}
    check = _Check(split, schema, findings, published)
    rows = _INPUTS[schema.kind](check)
    if labelled:
        rows[schema.target] = _TARGETS[schema.kind](check, rows)
    if check.moved_answers and notes is not None:
        notes.append(
            f"{split.where}: {check.moved_answers:,} answers did not stand at their answer_start; "
            "each stands in its context exactly once and was found there"
        )
    return rows


# --- inputs ----------------------------------------------------------------------------------------


def _texts(check: _Check, field: str) -> list[str]:
    texts = check.cells(field)
    where = check.column(field)
    for row, text in enumerate(texts):
        if is_missing(text):
            if not check.published:
                check.row(row, f"empty text in {where}", repr(text))
        elif not isinstance(text, str):
            check.row(row, f"{where} must hold texts", shown(text))
        elif len(text) > MAX_CHARACTERS:
            what = f"text in {where} is too long; is a quote or a line break missing?"
            check.row(row, what, f"{len(text):,} characters", allowed=(f"at most {MAX_CHARACTERS:,}",))
        elif not text.isascii() and not _is_encodable(text):
            check.row(row, f"text in {where} has half a character (a lone surrogate)", shown(text))
    return [text if isinstance(text, str) else "" for text in texts]


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_rows(check: _Check) -> Rows:
    return {field: _texts(check, field) for field in ("text", "text_pair") if field in check.schema.columns}


def _token_rows(check: _Check) -> Rows:
    tokens = check.cells("tokens")
    where = check.column("tokens")
    for row, words in enumerate(tokens):
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            check.row(row, f"{where} must hold lists of words", shown(words))
        elif not any(word.strip() for word in words):
            check.row(row, f"no words in {where}", shown(words))
        elif sum(map(len, words)) > MAX_CHARACTERS:
            limit = (f"at most {MAX_CHARACTERS:,}",)
            check.row(
                row, f"too many words in {where}", f"{sum(map(len, words)):,} characters", allowed=limit
            )
        elif not all(word.isascii() or _is_encodable(word) for word in words):
            check.row(row, f"a word in {where} has half a character (a lone surrogate)", shown(words))
    return {"tokens": tokens}


def _question_rows(check: _Check) -> Rows:
    given = check.split.columns.get("id")
    named = given is not None and not any(map(is_missing, given))
    ids = [str(name) for name in given] if named and given else [str(row) for row in range(len(check.split))]
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if seen.setdefault(name, row) != row:
            check.row(row, "an id that stands twice", f"{name!r}, also in {check.split.place(seen[name])}")
    return {"id": ids, "question": _texts(check, "question"), "context": _texts(check, "context")}


# --- targets ---------------------------------------------------------------------------------------


def _classes(check: _Check, rows: Rows) -> list[int]:
    known: dict[Any, int] = {}
    indices = []
    for row, cell in enumerate(check.cells("label")):
        simple = isinstance(cell, str | int)
        if not (simple and cell in known):
            index = _class(check, row, cell)
            if index is None or not simple:
                indices.append(-1 if index is None else index)
                continue
            known[cell] = index
        indices.append(known[cell])
    return indices


def _class(check: _Check, row: int, cell: Any) -> int | None:
    """The index of one label, or a problem."""
    where = check.column("label")
    if check.index.is_missing(cell):
        check.row(row, f"no label in {where}", repr(cell))
        return None
    if isinstance(cell, list | dict):
        check.row(row, f"{where} must hold one label a row", shown(cell))
        return None
    index = check.index.find(cell)
    if index is None:
        check.row(row, _unknown(check, where), shown(cell), allowed=_some(check.schema.labels))
    return index


def _unknown(check: _Check, where: str) -> str:
    if check.schema.fixed_labels:
        return f"label in {where} is none of the declared ones"
    return f"label in {where} does not occur in training"


def _some(labels: tuple[str, ...], most: int = 20) -> tuple[str, ...]:
    return labels if len(labels) <= most else (*labels[:most], f"… ({len(labels)} in all)")


def _numbers(check: _Check, rows: Rows) -> list[float]:
    where = check.column("label")
    numbers = []
    for row, cell in enumerate(check.cells("label")):
        number = float(cell) if is_number(cell) else math.nan
        if is_missing(cell):
            check.row(row, f"no target in {where} (missing or NaN)", repr(cell))
        elif not is_number(cell):
            check.row(row, f"target in {where} is not a number", shown(cell))
        elif not math.isfinite(number):
            check.row(row, f"target in {where} is not a finite number", shown(cell))
        numbers.append(number)
    return numbers


def _tags(check: _Check, rows: Rows) -> list[list[int]]:
    where = check.column("tags")
    indices: list[list[int]] = []
    for row, (words, tags) in enumerate(zip(rows["tokens"], check.cells("tags"), strict=True)):
        indices.append([])
        if is_missing(tags):
            check.row(row, f"no tags in {where}", repr(tags))
        elif not isinstance(tags, list) or not all(isinstance(tag, str | int) for tag in tags):
            check.row(row, f"{where} must hold lists of names or whole numbers", shown(tags))
        elif isinstance(words, list) and len(words) != len(tags):
            check.row(row, "words and tags differ in number", f"{len(words)} words and {len(tags)} tags")
        else:
            found = [check.index.find(tag) for tag in tags]
            if None in found:
                unknown = shown(tags[found.index(None)])
                check.row(row, _unknown(check, where), unknown, allowed=_some(check.schema.labels))
            indices[-1] = [index for index in found if index is not None]
    return indices


def _answers(check: _Check, rows: Rows) -> list[dict[str, list[Any]]]:
    return [
        _answer(check, row, cell, context)
        for row, (cell, context) in enumerate(zip(check.cells("answers"), rows["context"], strict=True))
    ]


def _answer(check: _Check, row: int, cell: Any, context: str) -> dict[str, list[Any]]:
    """The accepted answers of one question: SQuAD's {text: [...], answer_start: [...]}."""
    where = check.column("answers")
    if isinstance(cell, list) and all(isinstance(answer, dict) for answer in cell):
        cell = {key: [answer.get(key) for answer in cell] for key in ("text", "answer_start")}
    if not isinstance(cell, dict) or not {"text", "answer_start"} <= cell.keys():
        what = f"{where} must hold {{'text': [...], 'answer_start': [...]}}"
        check.row(row, what, shown(cell))
        return {"text": [], "answer_start": []}
    texts, starts = (
        cell[key] if isinstance(cell[key], list) else [cell[key]] for key in ("text", "answer_start")
    )
    if not texts:
        advice = "Leave such rows out: unanswerable questions (SQuAD 2) are not supported."
        check.row(row, "a question without an answer", shown(cell), suggestion=advice)
    elif len(texts) != len(starts):
        check.row(row, "texts and starts of the answers differ in number", f"{len(texts)} and {len(starts)}")
    else:
        starts = [_start(check, row, *answer, context) for answer in zip(texts, starts, strict=True)]
    return {"text": texts, "answer_start": starts}


def _start(check: _Check, row: int, text: Any, start: Any, context: str) -> int:
    """Where an answer stands in its context, counted in characters."""
    if not isinstance(text, str) or not text.strip():
        check.row(row, "an empty answer", shown(text))
    elif isinstance(start, int) and start >= 0 and context[start : start + len(text)] == text:
        return start
    elif context.count(text) == 1:
        check.moved_answers += 1
        return context.index(text)
    else:
        there = context[start : start + len(text)] if isinstance(start, int) and start >= 0 else ""
        got = f"{shown(text)}, and at answer_start {start!r} stands {shown(there)}"
        what = "an answer that is not in its context"
        if text in context:
            what = "an answer that does not stand at its answer_start, and more than once elsewhere"
        check.row(row, what, got)
    return -1


_INPUTS: Mapping[TaskKind, Callable[[_Check], Rows]] = {
    "classification": _text_rows,
    "regression": _text_rows,
    "tagging": _token_rows,
    "question_answering": _question_rows,
}
_TARGETS: Mapping[TaskKind, Callable[[_Check, Rows], list[Any]]] = {
    "classification": _classes,
    "regression": _numbers,
    "tagging": _tags,
    "question_answering": _answers,
}
