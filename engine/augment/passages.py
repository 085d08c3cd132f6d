"""Texts as words that can be changed while everything that hangs on them is kept.

Decided here: what a word is (a stretch without whitespace), that punctuation around it stays where it is, and how
tags and answers survive: a tag belongs to its word, and the words of an answer are one piece that no operator
touches, so that the answer is found again wherever it has moved to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.data.task import KINDS, TaskKind
from engine.tokens.windows import answer_spans

Row = Mapping[str, Any]
CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """One text in words."""

    words: tuple[str, ...]  # its stretches without whitespace; of a tagged sentence its tokens
    gaps: tuple[str, ...] = ()  # the whitespace before each word and after the last one, one more than words
    tags: tuple[int, ...] | None = None  # of each word; None where there are none
    kept: frozenset[int] = frozenset()  # indices of words that no operator may change or move

    @property
    def text(self) -> str:
        """The text with its whitespace."""
        return "".join(gap + word for gap, word in zip(self.gaps, (*self.words, ""), strict=True))

    @property
    def changeable(self) -> np.ndarray:
        """Indices of the words that an operator may change: those with a letter or digit."""
        free = (i for i, word in enumerate(self.words) if i not in self.kept and CORE.search(word))
        return np.fromiter(free, np.int64)

    def some(self, strength: float, generator: np.random.Generator) -> np.ndarray:
        """Indices of a share of the changeable words, at least one where there is one, ascending."""
        indices = self.changeable
        count = min(len(indices), max(1, round(strength * len(indices))))
        return np.sort(generator.choice(indices, count, replace=False))

    def with_words(self, words: Sequence[str]) -> Passage:
        """The same with other words."""
        return replace(self, words=tuple(words))


def passage_of(text: str, kept: tuple[int, int] | None = None) -> Passage:
    """A text in words, those from character `kept[0]` to before `kept[1]` as one that stays as it is.

    Example:
        >>> passage_of("In 1066, a battle.", (3, 7)).words, passage_of(" a  b ").gaps
        (('In', '1066,', 'a', 'battle.'), (' ', '  ', ' '))
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    if kept is not None:
        touched = [i for i, (start, end) in enumerate(spans) if start < kept[1] and kept[0] < end]
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
    match = CORE.search(word)
    if match is None:
        return word
    core = core[:1].upper() + core[1:] if match[0][:1].isupper() else core
    return word[: match.start()] + core + word[match.end() :]


def core_of(word: str) -> str:
    """A word without the punctuation around it, in lower case.

    Example:
        >>> core_of('"Films,"')
        'films'
    """
    match = CORE.search(word)
    return match[0].lower() if match else ""


def passages_of(row: Row, kind: TaskKind) -> list[Passage]:
    """The texts of a row of a task, in the order of its fields; of question answering with at most one answer."""
    if kind == "tagging":
        words = tuple(row["tokens"])
        gaps = ("", *[" "] * (len(words) - 1), "")[: len(words) + 1]
        return [Passage(words, gaps, tuple(row["tags"]) if "tags" in row else None)]
    kept = {"context": _answer(row)} if "answers" in row else {}
    return [passage_of(row[name], kept.get(name)) for name in KINDS[kind].fields if name in row]


def row_of(row: Row, passages: Sequence[Passage], kind: TaskKind) -> dict[str, Any]:
    """The row with other texts; labels are what they were, and an answer stands where it stands now."""
    if kind == "tagging":
        (passage,) = passages
        tags = {} if passage.tags is None else {"tags": list(passage.tags)}
        return {**row, "tokens": list(passage.words), **tags}
    fields = [name for name in KINDS[kind].fields if name in row]
    texts = {name: passage.text for name, passage in zip(fields, passages, strict=True)}
    return {**row, **texts, **(_moved_answer(row, passages[-1]) if passages[-1].kept else {})}


def _answer(row: Row) -> tuple[int, int] | None:
    """First and behind-last character of the answer in the context."""
    start, end = answer_spans([row["answers"]])[0].tolist()
    return (start, end) if start >= 0 else None


def _moved_answer(row: Row, context: Passage) -> dict[str, Any]:
    """The answer where the words that hold it have moved to."""
    (index,) = context.kept
    start, end = answer_spans([row["answers"]])[0].tolist()
    into_word = len(re.findall(r"\S*\Z", row["context"][:start])[0])  # the answer may begin within a word
    before = "".join(map("".join, zip(context.gaps, context.words[:index], strict=False)))
    moved = len(before) + len(context.gaps[index]) + into_word
    return {"answers": {"text": [row["context"][start:end]], "answer_start": [moved]}}
