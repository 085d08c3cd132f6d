"""Raw rows → rows in the normal form of their kind, checked one by one.

Decided here: what makes a row unusable (no text, no label, a label that training does not know, a target that is not
finite, tags that do not fit their words, an answer that is not in its context, a text of more than a million
characters), and that such rows are named, never dropped. One thing is mended: an `answer_start` that is wrong where
the answer stands in its context exactly once. Columns are checked as a whole; only the rows that look wrong become
Python objects, for the message.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import Problem, counted, listed, shown
from engine.base.mapped import mapped_table
from engine.base.text import HALF
from engine.data.cells import (
    are_tags,
    coded,
    is_index,
    is_missing,
    is_number,
    label_of,
    missing,
    numbers,
    truths,
    values_of,
)
from engine.data.label_sets import label_set
from engine.data.rows import IMPOSSIBLE, Findings, RawSplit
from engine.data.schema import Schema
from engine.data.task import TaskKind

MAX_CHARACTERS = 1_000_000
LIMIT = (f"at most {MAX_CHARACTERS:,}",)
HALF_WORDS = "has half a character (a lone surrogate)"
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}
NO_LABEL = -1
"""In place of an index: no label, or one that does not exist."""


class _Check:
    """What the checks of one split share."""

    def __init__(self, split: RawSplit, schema: Schema, findings: Findings, published: bool):
        self.split, self.schema, self.findings, self.published = split, schema, findings, published
        self.moved_answers = self.unanswerable = 0
        self._indices = {name: index for index, name in enumerate(schema.labels)}
        names = split.class_names.get(schema.columns[schema.target], ())
        same = schema.fixed_labels and names == schema.labels
        self._own_names = () if same or not set(names) & set(schema.labels) else names

    @cached_property
    def impossible(self) -> frozenset[int]:
        """The questions that are marked as having no answer; what says neither is named."""
        return frozenset(np.flatnonzero(_MARKS(self, IMPOSSIBLE)) if IMPOSSIBLE in self.split.names else ())

    def row(self, row: int, what: str, got: str = "", **more: Any) -> None:
        """Names an unusable row."""
        self.findings.row(self.split, row, what, got, **more)

    def named(self, label: Any) -> Any:
        """A label; the name of one that this split numbers in its own way."""
        names = self._own_names
        return names[label] if isinstance(label, int) and 0 <= label < len(names) else label

    def is_unlabelled(self, label: Any) -> bool:
        """Whether there is no label; −1 marks that too where classes were declared, as in GLUE."""
        return is_missing(label) or (self.schema.fixed_labels and is_index(label) and int(label) < 0)

    def index(self, label: Any) -> int:
        """The index of a label; a whole number is one itself where classes were declared."""
        label = self.named(label)
        if isinstance(label, list | dict) or self.is_unlabelled(label) or _is_half(label):
            return NO_LABEL
        if self.schema.fixed_labels and is_index(label) and label not in self._indices:
            return int(label) if int(label) < len(self._indices) else NO_LABEL
        return self._indices.get(label_of(label), NO_LABEL)

    def unknown(self, row: int, where: str, label: Any) -> None:
        """Names a row whose label does not exist."""
        if _is_half(label):
            self.row(row, f"label in {where} {HALF_WORDS}", shown(label))
            return
        why = "is none of the declared ones" if self.schema.fixed_labels else "does not occur in training"
        labels = self.schema.labels
        some = labels if len(labels) <= 20 else (*labels[:20], f"… ({len(labels)} in all)")
        self.row(row, f"label in {where} {why}", shown(label), allowed=some)


def normalise(
    split: RawSplit, schema: Schema, findings: Findings, notes: list[str], *, labelled: bool = True, published: bool
) -> pa.Table:
    """The columns of a split in normal form.

    Args:
        findings: Receives every unusable row; the result is complete only if it stays empty.
        notes: Receives what was mended.
        labelled: Whether the target is read too.
        published: Rows of a benchmark, which nobody can mend: empty texts are let through.
    """
    wanted = [column for field, column in schema.columns.items() if labelled or field != schema.target]
    absent = [column for column in wanted if column not in split.names]
    for column in absent:
        what = f"no column '{column}', which the training rows have"
        findings.add(Problem(split.where, what, listed(split.names)))
    if not len(split):
        findings.add(Problem(split.where, "no rows"))
    if absent or not len(split):
        return pa.table({})
    check = _Check(split, schema, findings, published)
    rows = {
        field: normal(check, field)
        for field, normal in NORMAL[schema.kind].items()
        if field == "id" or schema.columns.get(field) in wanted
    }
    if check.moved_answers:
        notes.append(
            f"{split.where}: {counted(check.moved_answers, 'wrong answer_start')} mended: "
            "the answer stands in its context exactly once"
        )
    if check.unanswerable:
        notes.append(f"{split.where}: {check.unanswerable:,} of {counted(len(split), 'question')} have no answer")
    return pa.table(rows)


def _is_half(value: Any) -> bool:
    """Whether a cell is a text that no file can hold."""
    return isinstance(value, str) and HALF.search(value) is not None


Column = Callable[[_Check, str], pa.ChunkedArray]
"""Makes the normal form of a field and names its unusable rows."""


def _at_once(look: Callable[..., tuple[Any, Any]], name: Callable[..., None]) -> Column:
    """`look` gives the normal form of a piece and which of its rows `name` must look at.

    A field that the schema does not know is the column of that name.
    """

    def column(check: _Check, field: str) -> pa.ChunkedArray:
        source, found = check.schema.columns.get(field, field), []
        for start, (cells,) in check.split.pieces(source):
            normal, doubtful = look(check, cells)
            rows = np.flatnonzero(doubtful)
            for row, value in zip(rows.tolist(), values_of(cells.take(pa.array(rows))), strict=True):
                name(check, start + row, f"column '{source}'", value)
            found.append(normal)
        return pa.chunked_array(found)

    return column


def _by_row(normal: Callable[..., Any], kind: pa.DataType, *beside: str) -> Column:
    """`normal` gives the normal form of a row, of this kind, from its cell and those `beside` it, or None."""

    def column(check: _Check, field: str) -> pa.ChunkedArray:
        sources, schema = [check.schema.columns[name] for name in (field, *beside)], pa.schema({field: kind})

        def batch(start: int, columns: list[pa.Array]) -> pa.RecordBatch:
            rows = enumerate(zip(*map(values_of, columns), strict=True), start)
            found = [normal(check, row, f"column '{sources[0]}'", *cells) for row, cells in rows]
            return pa.record_batch([pa.array(found, kind)], schema=schema)

        return mapped_table((batch(*piece) for piece in check.split.pieces(*sources)), schema)[field]

    return column


def _texts(check: _Check, cells: pa.Array) -> tuple[Any, np.ndarray]:
    if not pa.types.is_string(cells.type):
        return pa.array([""] * len(cells)), np.ones(len(cells))
    texts = pc.fill_null(cells, "")
    return texts, missing(cells) | (pc.utf8_length(texts).to_numpy() > MAX_CHARACTERS)


def _bad_text(check: _Check, row: int, where: str, text: Any) -> None:
    if is_missing(text):
        if not check.published:
            check.row(row, f"empty text in {where}", shown(text))
    elif not isinstance(text, str):
        check.row(row, f"{where} must hold texts", shown(text))
    elif len(text) > MAX_CHARACTERS:
        what = f"text in {where} is too long; is a quote or a line break missing?"
        check.row(row, what, f"{len(text):,} characters", allowed=LIMIT)
    elif HALF.search(text):
        check.row(row, f"text in {where} {HALF_WORDS}", shown(text))


def _words(check: _Check, row: int, where: str, words: Any) -> list[str] | None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        check.row(row, f"{where} must hold lists of words", shown(words))
    elif not any(word.strip() for word in words):
        check.row(row, f"no words in {where}", shown(words))
    elif (length := sum(map(len, words))) > MAX_CHARACTERS:
        check.row(row, f"too many words in {where}", f"{length:,} characters", allowed=LIMIT)
    elif any(map(HALF.search, words)):
        check.row(row, f"a word in {where} {HALF_WORDS}", shown(words))
    else:
        return words
    return None


def _ids(check: _Check, field: str) -> pa.ChunkedArray:
    """The names of questions; their numbers where they have none."""
    given = values_of(check.split.table[field]) if field in check.split.names else [None]
    ids = [str(name) for name in (range(len(check.split)) if any(map(is_missing, given)) else given)]
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if seen.setdefault(name, row) != row:
            check.row(row, "an id that stands twice", f"{shown(name)}, also in {check.split.place(seen[name])}")
        elif _is_half(name):
            check.row(row, f"an id that {HALF_WORDS}", shown(name))
            ids[row] = ""
    return pa.chunked_array([ids])


def _classes(check: _Check, cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    labels, codes = coded(cells)
    indices = np.array([check.index(label) for label in labels], dtype=np.int64)[codes]
    return indices, indices == NO_LABEL


def _bad_label(check: _Check, row: int, where: str, label: Any) -> None:
    label = check.named(label)
    if check.is_unlabelled(label):
        check.row(row, f"no label in {where}", shown(label))
    elif isinstance(label, list | dict):
        check.row(row, f"{where} must hold one label a row", shown(label))
    else:
        check.unknown(row, where, label)


def _label_sets(check: _Check, row: int, where: str, cell: Any) -> list[int] | None:
    labels = label_set(cell, check.schema.separator)
    if labels is None:
        check.row(row, f"no labels in {where}", shown(cell), suggestion="An empty list means that no label applies.")
    elif any(isinstance(label, list | dict) or is_missing(label) for label in labels):
        check.row(row, f"{where} must hold lists of labels", shown(cell))
    elif NO_LABEL in (indices := [check.index(label) for label in labels]):
        check.unknown(row, where, check.named(labels[indices.index(NO_LABEL)]))
    else:
        return sorted({*indices})
    return None


def _numbers(check: _Check, cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    targets = numbers(cells).to_numpy(zero_copy_only=False)
    return targets, ~np.isfinite(targets)


def _bad_number(check: _Check, row: int, where: str, target: Any) -> None:
    if is_missing(target):
        check.row(row, f"no target in {where} (missing or NaN)", shown(target))
    else:
        kind = "a finite number" if is_number(target) else "a number"
        check.row(row, f"target in {where} is not {kind}", shown(target))


def _tags(check: _Check, row: int, where: str, tags: Any, words: Any) -> list[int] | None:
    if is_missing(tags):
        check.row(row, f"no tags in {where}", shown(tags))
    elif not are_tags(tags):
        check.row(row, f"{where} must hold lists of names or whole numbers", shown(tags))
    elif isinstance(words, list) and len(words) != len(tags):
        check.row(
            row, "words and tags differ in number", f"{counted(len(words), 'word')} and {counted(len(tags), 'tag')}"
        )
    elif NO_LABEL in (indices := [check.index(tag) for tag in tags]):
        check.unknown(row, where, check.named(tags[indices.index(NO_LABEL)]))
    else:
        return indices
    return None


def _marks(check: _Check, cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    marks = truths(cells)
    return marks == 1, np.isnan(marks) & ~missing(cells)


def _bad_mark(check: _Check, row: int, where: str, mark: Any) -> None:
    check.row(row, f"{where} must hold true or false", shown(mark), allowed=("true", "false", "1", "0", "nothing"))


def _answers(check: _Check, row: int, where: str, cell: Any, context: Any) -> dict[str, list[Any]] | None:
    """The accepted answers of one question: SQuAD's {text: [...], answer_start: [...]}; empty where it has none."""
    if row in check.impossible:
        cell = NONE
    if isinstance(cell, list) and all(isinstance(answer, dict) for answer in cell):
        cell = {key: [answer.get(key) for answer in cell] for key in ("text", "answer_start")}
    if not isinstance(cell, dict) or cell.get("text") is None or cell.get("answer_start") is None:
        check.row(row, f"{where} must hold {{'text': [...], 'answer_start': [...]}}", shown(cell))
        return None
    both = (cell["text"], cell["answer_start"])
    texts, starts = (value if isinstance(value, list) else [value] for value in both)
    if not texts and not starts:
        check.unanswerable += 1
        return NONE
    if any(map(_is_half, texts)):
        check.row(row, f"an answer that {HALF_WORDS}", shown(texts))
    elif len(texts) != len(starts):
        check.row(row, "texts and starts of the answers differ in number", f"{len(texts)} and {len(starts)}")
    else:
        context = context if isinstance(context, str) else ""
        starts = [_start(check, row, *answer, context) for answer in zip(texts, starts, strict=True)]
        return None if -1 in starts else {"text": texts, "answer_start": starts}
    return None


def _start(check: _Check, row: int, text: Any, start: Any, context: str) -> int:
    """Where an answer stands in its context, counted in characters."""
    if not isinstance(text, str) or not text.strip():
        check.row(row, "an empty answer", shown(text))
        return -1
    there = context[start : start + len(text)] if isinstance(start, int) and start >= 0 else ""
    if there == text:
        return start
    if context.count(text) == 1:
        check.moved_answers += 1
        return context.index(text)
    what = "an answer that is not in its context"
    if text in context:
        what = "an answer that does not stand at its answer_start, and more than once elsewhere"
    check.row(row, what, f"{shown(text)}, and at answer_start {start!r} stands {shown(there)}")
    return -1


_TEXT, _MARKS = _at_once(_texts, _bad_text), _at_once(_marks, _bad_mark)
STRINGS, WHOLE = pa.list_(pa.string()), pa.list_(pa.int64())
ANSWERS = pa.struct({"text": STRINGS, "answer_start": WHOLE})
NORMAL: Mapping[TaskKind, Mapping[str, Column]] = {
    "classification": {"text": _TEXT, "text_pair": _TEXT, "label": _at_once(_classes, _bad_label)},
    "regression": {"text": _TEXT, "text_pair": _TEXT, "label": _at_once(_numbers, _bad_number)},
    "tagging": {"tokens": _by_row(_words, STRINGS), "tags": _by_row(_tags, WHOLE, "tokens")},
    "question_answering": {
        "id": _ids,
        "question": _TEXT,
        "context": _TEXT,
        "answers": _by_row(_answers, ANSWERS, "context"),
    },
    "multi_label": {"text": _TEXT, "text_pair": _TEXT, "label": _by_row(_label_sets, WHOLE)},
}
"""Kind of task → its fields in their order, and what makes each."""
