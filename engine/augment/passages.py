"""Texts as words that can be changed while everything that hangs on them is kept.

Decided here: what a word is (a stretch without whitespace), that punctuation around it stays where it is, and
how tags and answers survive: a tag belongs to its word, and the words of an answer are one piece that no
operator touches, so that the answer is found again wherever it has moved to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.data.task import TaskKind
from engine.tokens.windows import answer_spans

Row = Mapping[str, Any]
CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """One text in words.

    Args:
        words: Its stretches without whitespace; of a tagged sentence its tokens.
        gaps: The whitespace before each word and after the last one, one more than words.
        tags: Of each word; None where there are none.
        kept: Places of words that no operator may change or move.
    """

    words: tuple[str, ...]
    gaps: tuple[str, ...] = ()
    tags: tuple[int, ...] | None = None
    kept: frozenset[int] = field(default_factory=frozenset)

    @property
    def text(self) -> str:
        """The text with its whitespace."""
        return "".join(gap + word for gap, word in zip(self.gaps, (*self.words, ""), strict=True))

    @property
    def changeable(self) -> np.ndarray:
        """Places of the words that an operator may change: those with a letter or digit."""
        return np.array(
            [place for place, word in enumerate(self.words) if place not in self.kept and CORE.search(word)],
            dtype=np.int64,
        )

    def some(self, strength: float, generator: np.random.Generator) -> np.ndarray:
        """Places of a share of the changeable words, at least one where there is one, ascending."""
        places = self.changeable
        count = min(len(places), max(1, round(strength * len(places))))
        return np.sort(generator.choice(places, count, replace=False))

    def with_words(self, words: Sequence[str]) -> Passage:
        """The same with other words in their places."""
        return replace(self, words=tuple(words))


def passage_of(text: str, kept: tuple[int, int] | None = None) -> Passage:
    """A text in words.

    Args:
        kept: First and behind-last character of what must stay as it is.

    Example:
        >>> passage_of("In 1066, a battle.", (3, 7)).words, passage_of(" a  b ").gaps
        (('In', '1066,', 'a', 'battle.'), (' ', '  ', ' '))
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    if kept is not None:
        touched = [place for place, (start, end) in enumerate(spans) if start < kept[1] and kept[0] < end]
        first, last = touched[0], touched[-1]
        spans[first : last + 1] = [(spans[first][0], spans[last][1])]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return Passage(
        words=tuple(text[start:end] for start, end in spans),
        gaps=tuple(text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)),
        kept=frozenset() if kept is None else frozenset({first}),
    )


def with_core(word: str, core: str) -> str:
    """A word with another core, its punctuation and capital kept.

    Example:
        >>> with_core("(Films", "movies"), with_core("good,", "fine")
        ('(Movies', 'fine,')
    """
    found = CORE.search(word)
    if found is None:
        return word
    if found[0][:1].isupper():
        core = core[:1].upper() + core[1:]
    return word[: found.start()] + core + word[found.end() :]


def core_of(word: str) -> str:
    """A word without the punctuation around it, in lower case.

    Example:
        >>> core_of('"Films,"')
        'films'
    """
    found = CORE.search(word)
    return found[0].lower() if found else ""


# --- rows ----------------------------------------------------------------------------------------


def passages_of(row: Row, kind: TaskKind) -> list[Passage]:
    """The texts of a row of a task, in the order of its fields.

    Args:
        row: Of question answering, with at most one answer.
    """
    return _READ[kind](row)


def row_of(row: Row, passages: Sequence[Passage], kind: TaskKind) -> dict[str, Any]:
    """The row with other texts; labels are what they were, and an answer stands where it stands now."""
    return {**row, **_WRITE[kind](row, passages)}


def _texts(row: Row) -> list[Passage]:
    return [passage_of(row[name]) for name in ("text", "text_pair") if name in row]


def _as_texts(row: Row, passages: Sequence[Passage]) -> dict[str, Any]:
    return dict(zip(("text", "text_pair"), (passage.text for passage in passages), strict=False))


def _tokens(row: Row) -> list[Passage]:
    words = tuple(row["tokens"])
    gaps = ("", *[" "] * (len(words) - 1), "")[: len(words) + 1]
    return [Passage(words, gaps, tuple(row["tags"]) if "tags" in row else None)]


def _as_tokens(row: Row, passages: Sequence[Passage]) -> dict[str, Any]:
    (passage,) = passages
    found: dict[str, Any] = {"tokens": list(passage.words)}
    return found if passage.tags is None else {**found, "tags": list(passage.tags)}


def _answering(row: Row) -> list[Passage]:
    start, end = answer_spans([row["answers"]])[0].tolist() if "answers" in row else (-1, -1)
    return [passage_of(row["question"]), passage_of(row["context"], (start, end) if start >= 0 else None)]


def _as_answering(row: Row, passages: Sequence[Passage]) -> dict[str, Any]:
    question, context = passages
    found: dict[str, Any] = {"question": question.text, "context": context.text}
    if not context.kept:
        return found
    (place,) = context.kept
    start, end = answer_spans([row["answers"]])[0].tolist()
    into_word = len(re.findall(r"\S*\Z", row["context"][:start])[0])  # the answer may begin within a word
    before = "".join(map("".join, zip(context.gaps, context.words[:place], strict=False)))
    moved = len(before) + len(context.gaps[place]) + into_word
    return {**found, "answers": {"text": [row["context"][start:end]], "answer_start": [moved]}}


_READ: dict[TaskKind, Callable[[Row], list[Passage]]] = {
    "classification": _texts,
    "regression": _texts,
    "tagging": _tokens,
    "question_answering": _answering,
}
_WRITE: dict[TaskKind, Callable[[Row, Sequence[Passage]], dict[str, Any]]] = {
    "classification": _as_texts,
    "regression": _as_texts,
    "tagging": _as_tokens,
    "question_answering": _as_answering,
}
