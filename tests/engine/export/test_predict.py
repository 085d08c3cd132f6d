"""The program that is exported, beside the parts of the engine that it does once more."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.spans import MAX_ANSWER, best_span
from engine.export.predict import LONGEST_ANSWER, _best_span, _trimmed


def test_the_best_span_is_the_engines() -> None:
    dice = np.random.default_rng(0)
    for length in (1, 2, 29, 30, 31, 80):
        logits = dice.normal(size=(length, 2)).astype(np.float32)
        logits[-1, 1] += 5  # further from its beginning than an answer is long
        assert _best_span(logits) == pytest.approx(best_span(logits))
    assert LONGEST_ANSWER == MAX_ANSWER


@pytest.mark.parametrize(
    ("text", "span", "trimmed"),
    [("a  word ", (1, 8), (3, 7)), ("a  b", (1, 3), (1, 3)), ("word", (0, 4), (0, 4)), ("\u3000w\x1c", (0, 3), (1, 2))],
)
def test_spans_have_no_whitespace_at_their_ends(text: str, span: tuple[int, int], trimmed: tuple[int, int]) -> None:
    assert _trimmed(text, *span) == trimmed
