"""What columns are called, and how their cells look.

Decided here: the well-known names, in their order of preference, and how many cells are looked at. Most of
them decide, so that a few damaged rows do not hide a column: they are named later, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.data.cells import different, is_missing, is_number, is_tag, label_of, missing, pieces, values_of

if TYPE_CHECKING:
    from engine.data.rows import RawSplit
    from engine.data.task import TaskKind

MANY_LABELS = 50
SAMPLE = 200

PAIRS = (
    ("text", "text_pair"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"), ("premise", "hypothesis"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("s1", "s2"), ("question", "sentence"),
    ("question", "passage"), ("question", "context"), ("question", "answer"), ("query", "passage"),
    ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
TEXTS = (
    "text", "sentence", "review", "content", "document", "comment", "tweet", "utterance", "message", "body",
    "article", "abstract", "description", "question", "query", "headline", "title",
)  # fmt: skip
LABELS = (
    "label", "labels", "target", "class", "category", "gold_label", "intent", "emotion", "sentiment",
    "polarity", "stars", "rating", "score", "similarity_score", "relatedness_score", "y", "output", "answer",
)  # fmt: skip
TAGS = ("tags", "ner_tags", "ner", "labels", "label", "pos_tags", "upos", "pos", "chunk_tags")
IDENTIFIERS = re.compile(r"(.*_)?(id|idx|index|guid|uid|uuid|url|date|time|timestamp|split)", re.IGNORECASE)


def is_text(cell: Any) -> bool:
    """A text."""
    return isinstance(cell, str)


def _is_words(cell: Any) -> bool:
    return isinstance(cell, list) and all(map(is_text, cell))


def _is_tags(cell: Any) -> bool:
    return isinstance(cell, list) and all(map(is_tag, cell))


def _is_answers(cell: Any) -> bool:
    """Answers as SQuAD has them, on the hub or in its own files."""
    if isinstance(cell, list):
        return all(isinstance(answer, dict) for answer in cell)
    return isinstance(cell, dict) and "text" in cell


@dataclass(frozen=True)
class ColumnField:
    """A field of tagging or question answering: names its column may have, and how cells look."""

    names: tuple[str, ...]
    fits: Callable[[Any], bool]
    what: str


FIELDS: Mapping[TaskKind, Mapping[str, ColumnField]] = {
    "tagging": {
        "tokens": ColumnField(("tokens", "words"), _is_words, "a list of words"),
        "tags": ColumnField(TAGS, _is_tags, "a list of tags"),
    },
    "question_answering": {
        "question": ColumnField(("question", "query"), is_text, "the question"),
        "context": ColumnField(("context", "passage", "paragraph"), is_text, "the text to answer from"),
        "answers": ColumnField(("answers", "answer"), _is_answers, "answers with text and answer_start"),
    },
}


def few_or_numbers(train: RawSplit, column: str) -> bool:
    """Whether a column has few different values, or numbers."""
    import pyarrow as pa

    cells = train.table[column]
    if pa.types.is_nested(cells.type):
        return False
    if looks(train, column, is_number):
        return True
    present = sum(int((~missing(piece)).sum()) for piece in pieces(cells))
    few = max(2, min(MANY_LABELS, present // 2))
    found: set[str] = set()
    for cell in different(cells):
        if not is_missing(cell):
            found.add(label_of(cell))
        if isinstance(cell, list | dict) or len(found) > few:
            return False
    return bool(found)


def looks(train: RawSplit, column: str, fits: Callable[[Any], bool]) -> bool:
    """Whether most cells of a column fit."""
    first = values_of(train.table[column][: 10 * SAMPLE])
    cells = [cell for cell in first if not is_missing(cell)][:SAMPLE]
    return bool(cells) and 2 * sum(map(fits, cells)) > len(cells)


def mean_length(train: RawSplit, column: str) -> float:
    """Characters of an average text."""
    cells = [cell for cell in values_of(train.table[column][:SAMPLE]) if isinstance(cell, str)]
    return sum(map(len, cells)) / max(len(cells), 1)
