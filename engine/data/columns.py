"""What columns are called, and how their cells look.

Decided here: the well-known names, in their order of preference, and how many cells are looked at. Most of
them decide, so that a few damaged rows do not hide a column: they are named later, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.data.rows import RawSplit, is_missing
from engine.data.task import TaskKind

SAMPLE = 200


def is_text(value: Any) -> bool:
    """A text."""
    return isinstance(value, str)


def is_words(value: Any) -> bool:
    """A list of words."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def is_tags(value: Any) -> bool:
    """A list of tags or their indices."""
    return isinstance(value, list) and all(isinstance(tag, str | int) for tag in value)


def is_answers(value: Any) -> bool:
    """Answers as SQuAD has them, on the hub or in its own files."""
    if isinstance(value, list):
        return all(isinstance(answer, dict) for answer in value)
    return isinstance(value, dict) and "text" in value


def looks(split: RawSplit, column: str, fits: Callable[[Any], bool]) -> bool:
    """Whether most cells of a column fit."""
    cells = [cell for cell in split.columns[column][: 10 * SAMPLE] if not is_missing(cell)][:SAMPLE]
    return bool(cells) and 2 * sum(map(fits, cells)) > len(cells)


@dataclass(frozen=True)
class ColumnField:
    """A field of tagging or question answering: names its column may have, and how cells look."""

    names: tuple[str, ...]
    fits: Callable[[Any], bool]
    what: str


FIELDS: Mapping[TaskKind, Mapping[str, ColumnField]] = {
    "tagging": {
        "tokens": ColumnField(("tokens", "words"), is_words, "a list of words"),
        "tags": ColumnField(
            ("tags", "ner_tags", "ner", "labels", "label", "pos_tags", "upos", "pos", "chunk_tags"),
            is_tags,
            "a list of tags",
        ),
    },
    "question_answering": {
        "question": ColumnField(("question", "query"), is_text, "the question"),
        "context": ColumnField(("context", "passage", "paragraph"), is_text, "the text to answer from"),
        "answers": ColumnField(("answers", "answer"), is_answers, "answers with text and answer_start"),
    },
}

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
IDENTIFIERS = re.compile(r"(.*_)?(id|idx|index|guid|uid|uuid|url|date|time|timestamp|split)", re.IGNORECASE)


def mean_length(split: RawSplit, column: str) -> float:
    """Characters of an average text."""
    cells = [cell for cell in split.columns[column][:SAMPLE] if isinstance(cell, str)]
    return sum(map(len, cells)) / max(len(cells), 1)
