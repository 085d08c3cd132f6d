"""Words that become synonyms or change places."""

from __future__ import annotations

import numpy as np

from engine.augment.passages import passage_of
from engine.augment.random import RandomWords
from engine.pipeline import Random


def test_words_become_synonyms_or_change_places() -> None:
    operator = RandomWords(Random(strength=1.0), lambda word: ("movie",) if word == "film" else ())
    dice, seen = np.random.default_rng(0), set()
    for _ in range(60):
        (passage,) = operator([passage_of("A film, I say.")], dice)
        seen.add("Movie" in passage.text or "movie" in passage.text)
        words = sorted(word.strip(".,").lower() for word in passage.words)
        assert words in (["a", "film", "i", "say"], ["a", "i", "movie", "say"])
    assert seen == {True, False}
