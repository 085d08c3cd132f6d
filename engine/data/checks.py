"""Raw rows → rows in the normal form of their kind, checked one by one.

Decided here: what makes a row unusable (no text, no label, a label that training does not know, a target
that is not finite, tags that do not fit their words, an answer that is not in its context, a text of more
than a million characters), and that such rows are named, never dropped. One thing is mended: an
`answer_start` that is wrong where the answer stands in its context exactly once. Columns are checked as a
whole; only the rows that look wrong become Python objects, for the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import Problem
from engine.data.cells import (
    PIECE,
    coded,
    is_index,
    is_missing,
    is_number,
    is_tag,
    label_of,
    missing,
    numbers,
    values_of,
)
from engine.data.rows import Findings, RawSplit, shown
from engine.data.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from engine.data.task import TaskKind

MAX_CHARACTERS = 1_000_000
LIMIT = (f"at most {MAX_CHARACTERS:,}",)
NO_LABEL = -1
"""In place of an index: no label, or one that does not exist."""


class _Check:
    """What the checks of one split share."""

    def __init__(self, split: RawSplit, schema: Schema, findings: Findings, published: bool):
        self.split, self.schema, self.findings, self.published = split, schema, findings, published
        self.moved_answers = 0
        self._indices = {name: index for index, name in enumerate(schema.labels)}
        names = split.class_names.get(schema.columns[schema.target], ())
        same = schema.fixed_labels and names == schema.labels
        self._own_names = () if same or not set(names) & set(schema.labels) else names

    def pieces(self, *fields: str) -> Iterator[tuple[int, list[pa.Array]]]:
        """The first row of each piece, and the cells of some fields."""
        start = 0
        table = self.split.table.select([self.schema.columns[field] for field in fields])
        for batch in table.to_batches(max_chunksize=PIECE):
            yield start, batch.columns
            start += len(batch)

    def by_row(self, checked: Callable[..., Any], kind: pa.DataType, *fields: str) -> pa.ChunkedArray:
        """A column of what `checked` makes of each row: lists are looked at one by one."""
        import pyarrow as pa

        found = []
        for start, columns in self.pieces(*fields):
            rows = enumerate(zip(*map(values_of, columns), strict=True), start)
            found.append(pa.array([checked(self, row, *cells) for row, cells in rows], kind))
        return pa.chunked_array(found, kind)

    def row(self, row: int, what: str, got: str = "", **more: Any) -> None:
        """Names an unusable row."""
        self.findings.row(self.split, row, what, got, **more)

    def column(self, field: str) -> str:
        """A field's column, for a message."""
        return f"column '{self.schema.columns[field]}'"

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
        if isinstance(label, list | dict) or self.is_unlabelled(label):
            return NO_LABEL
        if self.schema.fixed_labels and is_index(label) and label not in self._indices:
            return int(label) if int(label) < len(self._indices) else NO_LABEL
        return self._indices.get(label_of(label), NO_LABEL)

    def unknown(self, row: int, field: str, label: Any) -> None:
        """Names a row whose label does not exist."""
        why = "is none of the declared ones" if self.schema.fixed_labels else "does not occur in training"
        labels = self.schema.labels
        some = labels if len(labels) <= 20 else (*labels[:20], f"… ({len(labels)} in all)")
        self.row(row, f"label in {self.column(field)} {why}", shown(label), allowed=some)


def normalise(
    split: RawSplit,
    schema: Schema,
    findings: Findings,
    *,
    labelled: bool = True,
    published: bool = False,
    notes: list[str] | None = None,
) -> pa.Table:
    """The columns of a split in normal form.

    Args:
        split: The rows as they came.
        schema: Which column is what.
        findings: Receives every unusable row; the result is complete only if it stays empty.
        labelled: Whether the target is read too.
        published: Rows of a benchmark, which nobody can mend: empty texts are let through.
        notes: Receives what was mended.
    """
    import pyarrow as pa

    wanted = [column for field, column in schema.columns.items() if labelled or field != schema.target]
    absent = [column for column in wanted if column not in split.names]
    for column in absent:
        what = f"no column '{column}', which the training rows have"
        findings.add(Problem(split.where, what, ", ".join(split.names)))
    if not len(split):
        findings.add(Problem(split.where, "no rows"))
    if absent or not len(split):
        return pa.table({})
    check = _Check(split, schema, findings, published)
    rows = _INPUTS[schema.kind](check)
    if labelled:
        rows[schema.target] = _TARGETS[schema.kind](check)
    if check.moved_answers and notes is not None:
        notes.append(
            f"{split.where}: {check.moved_answers:,} answers did not stand at their answer_start; "
            "each stands in its context exactly once and was found there"
        )
    return pa.table(rows)


def _rows(start: int, cells: pa.Array, doubtful: np.ndarray) -> Iterator[tuple[int, Any]]:
    """The rows of a piece that need a look."""
    import numpy as np
    import pyarrow as pa

    positions = np.flatnonzero(doubtful)
    yield from zip((start + positions).tolist(), values_of(cells.take(pa.array(positions))), strict=True)


# --- inputs ----------------------------------------------------------------------------------------


def _text_rows(check: _Check) -> dict[str, Any]:
    return {field: _texts(check, field) for field in ("text", "text_pair") if field in check.schema.columns}


def _texts(check: _Check, field: str) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = []
    for start, (cells,) in check.pieces(field):
        if pa.types.is_string(cells.type):
            texts.append(pc.fill_null(cells, ""))
            doubtful = missing(cells) | (pc.utf8_length(texts[-1]).to_numpy() > MAX_CHARACTERS)
        else:
            texts.append(pa.array([""] * len(cells)))
            doubtful = np.ones(len(cells))
        for row, text in _rows(start, cells, doubtful):
            _check_text(check, row, text, check.column(field))
    return pa.chunked_array(texts)


def _check_text(check: _Check, row: int, text: Any, where: str) -> None:
    if is_missing(text):
        if not check.published:
            check.row(row, f"empty text in {where}", repr(text))
    elif not isinstance(text, str):
        check.row(row, f"{where} must hold texts", shown(text))
    elif len(text) > MAX_CHARACTERS:
        what = f"text in {where} is too long; is a quote or a line break missing?"
        check.row(row, what, f"{len(text):,} characters", allowed=LIMIT)
    elif not _is_encodable(text):
        check.row(row, f"text in {where} has half a character (a lone surrogate)", shown(text))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _token_rows(check: _Check) -> dict[str, Any]:
    import pyarrow as pa

    return {"tokens": check.by_row(_words, pa.list_(pa.string()), "tokens")}


def _words(check: _Check, row: int, words: Any) -> list[str] | None:
    where = check.column("tokens")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        check.row(row, f"{where} must hold lists of words", shown(words))
    elif not any(word.strip() for word in words):
        check.row(row, f"no words in {where}", shown(words))
    elif (length := sum(map(len, words))) > MAX_CHARACTERS:
        check.row(row, f"too many words in {where}", f"{length:,} characters", allowed=LIMIT)
    elif not all(map(_is_encodable, words)):
        check.row(row, f"a word in {where} has half a character (a lone surrogate)", shown(words))
    else:
        return words
    return None


def _question_rows(check: _Check) -> dict[str, Any]:
    given = values_of(check.split.table["id"]) if "id" in check.split.names else [None]
    ids = [str(name) for name in (range(len(check.split)) if any(map(is_missing, given)) else given)]
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if seen.setdefault(name, row) != row:
            check.row(row, "an id that stands twice", f"{name!r}, also in {check.split.place(seen[name])}")
    return {"id": ids, "question": _texts(check, "question"), "context": _texts(check, "context")}


# --- targets ---------------------------------------------------------------------------------------


def _classes(check: _Check) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    found = []
    for start, (cells,) in check.pieces("label"):
        labels, codes = coded(cells)
        indices = np.array([check.index(label) for label in labels])[codes]
        for row, label in _rows(start, cells, indices == NO_LABEL):
            _check_label(check, row, check.named(label))
        found.append(indices)
    return pa.chunked_array(found, pa.int64())


def _check_label(check: _Check, row: int, label: Any) -> None:
    where = check.column("label")
    if check.is_unlabelled(label):
        check.row(row, f"no label in {where}", repr(label))
    elif isinstance(label, list | dict):
        check.row(row, f"{where} must hold one label a row", shown(label))
    else:
        check.unknown(row, "label", label)


def _numbers(check: _Check) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    where, found = check.column("label"), []
    for start, (cells,) in check.pieces("label"):
        targets = numbers(cells).to_numpy(zero_copy_only=False)
        for row, cell in _rows(start, cells, ~np.isfinite(targets)):
            if is_missing(cell):
                check.row(row, f"no target in {where} (missing or NaN)", repr(cell))
            elif not is_number(cell):
                check.row(row, f"target in {where} is not a number", shown(cell))
            else:
                check.row(row, f"target in {where} is not a finite number", shown(cell))
        found.append(targets)
    return pa.chunked_array(found, pa.float64())


def _tags(check: _Check) -> pa.ChunkedArray:
    import pyarrow as pa

    return check.by_row(_row_tags, pa.list_(pa.int64()), "tokens", "tags")


def _row_tags(check: _Check, row: int, words: Any, tags: Any) -> list[int] | None:
    where = check.column("tags")
    if is_missing(tags):
        check.row(row, f"no tags in {where}", repr(tags))
    elif not isinstance(tags, list) or not all(map(is_tag, tags)):
        check.row(row, f"{where} must hold lists of names or whole numbers", shown(tags))
    elif isinstance(words, list) and len(words) != len(tags):
        check.row(row, "words and tags differ in number", f"{len(words)} words and {len(tags)} tags")
    elif NO_LABEL in (indices := [check.index(tag) for tag in tags]):
        check.unknown(row, "tags", check.named(tags[indices.index(NO_LABEL)]))
    else:
        return indices
    return None


def _answers(check: _Check) -> pa.ChunkedArray:
    import pyarrow as pa

    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int64())})
    return check.by_row(_answer, kind, "answers", "context")


def _answer(check: _Check, row: int, cell: Any, context: Any) -> dict[str, list[Any]] | None:
    """The accepted answers of one question: SQuAD's {text: [...], answer_start: [...]}."""
    if isinstance(cell, list) and all(isinstance(answer, dict) for answer in cell):
        cell = {key: [answer.get(key) for answer in cell] for key in ("text", "answer_start")}
    if not isinstance(cell, dict) or cell.get("text") is None or cell.get("answer_start") is None:
        what = f"{check.column('answers')} must hold {{'text': [...], 'answer_start': [...]}}"
        check.row(row, what, shown(cell))
        return None
    texts, starts = (
        cell[key] if isinstance(cell[key], list) else [cell[key]] for key in ("text", "answer_start")
    )
    if not texts:
        advice = "Leave such rows out: unanswerable questions (SQuAD 2) are not supported."
        check.row(row, "a question without an answer", shown(cell), suggestion=advice)
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


_INPUTS: Mapping[TaskKind, Callable[[_Check], dict[str, Any]]] = {
    "classification": _text_rows,
    "regression": _text_rows,
    "tagging": _token_rows,
    "question_answering": _question_rows,
}
_TARGETS: Mapping[TaskKind, Callable[[_Check], pa.ChunkedArray]] = {
    "classification": _classes,
    "regression": _numbers,
    "tagging": _tags,
    "question_answering": _answers,
}
