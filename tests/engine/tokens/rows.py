"""Rows of text on which the tests of tokens agree."""

from __future__ import annotations

import pytest

from engine.tokens.tokenise import SECOND
from tests.tokenizers import CORPUS, KINDS

kinds = pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)

SENTENCE = ["I", "don't", "like", "  naïve", "café", "中文", "🙂👍🏽", "unbelievably", "3.5", "ok"]
CONTEXT = " ".join(CORPUS) + " Naïve 中文 readers 🙂 met at the café.\n" + " ".join(reversed(CORPUS))


def words(*tokens: str) -> dict:
    return {"tokens": list(tokens), "tags": [index % 3 for index in range(len(tokens))]}


def question(text: str, answer: str, context: str = CONTEXT) -> dict:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": text, "question": text, "context": context, "answers": answers}


QUESTIONS = [
    question("Who met at the café?", "Naïve 中文 readers 🙂"),
    question("Which animal jumps?", "The quick brown fox"),
    question("Where had he lived?", "Vienna, where"),
    question("When?", "tomorrow", "tomorrow"),
]


def spans_of(encoded, example):
    inside = encoded.segments[example] == SECOND
    return list(zip(encoded.starts[example][inside], encoded.ends[example][inside], strict=True))
