"""Words of a dataset and how often they occur: what a word is, and that only numbers are kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodistill.datasets.words import WordCounts, count_words, word_hashes, words_of
from engine.data.task import TaskKind, texts_of
from tests.clock import within
from tests.tasks import make_task


def as_dict(counts: WordCounts) -> dict[int, int]:
    return dict(zip(counts.hashes.tolist(), counts.counts.tolist(), strict=True))


def hash_of_word(word: str) -> int:
    return int(word_hashes([word])[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It doesn't work!", ["it", "doesn't", "work"]),
        ("it doesn’t", ["it", "doesn’t"]),
        ("state-of-the-art, -5 %", ["state-of-the-art", "5"]),
        ("'quoted' -- end-", ["quoted", "end"]),
        ("GPT-2 in 2024", ["gpt-2", "in", "2024"]),
        ("ÉCOLE Straße", ["école", "straße"]),
        ("这部电影很好看,我喜欢。", ["这部电影很好看", "我喜欢"]),
        ("привет мир", ["привет", "мир"]),
        ("", []),
        (" \n\t…!?", []),
        ("\ud83d half an emoji 😀", ["half", "an", "emoji"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.lists(st.text(max_size=30), max_size=20))
def test_counts_are_those_of_a_naive_count(texts: list[str]) -> None:
    counts = count_words(texts)
    naive: Counter[int] = Counter()
    for text in texts:
        for word in words_of(text):
            naive[hash_of_word(word)] += 1
    assert as_dict(counts) == naive
    assert counts.total == naive.total()
    assert counts.hashes.tolist() == sorted(naive)
    assert (counts.hashes.dtype, counts.counts.dtype) == (np.uint32, np.int64)
    assert len(counts.hashes) == len(naive)


def test_the_most_frequent_words_are_kept_and_all_are_in_the_total() -> None:
    counts = count_words(["a a a b b c", "d a"], most=2)
    assert as_dict(counts) == {hash_of_word("a"): 4, hash_of_word("b"): 2}
    assert counts.total == 8


def test_two_words_of_one_hash_are_counted_together() -> None:
    one, other = "word71996", "word230072"
    assert hash_of_word(one) == hash_of_word(other)
    counts = count_words([f"{one} {other} {one}"])
    assert as_dict(counts) == {hash_of_word(one): 3}


def test_hashes_are_the_same_everywhere() -> None:
    """Those of the shipped datasets were made on another machine."""
    assert word_hashes(["the", "teacher", "学生"]).tolist() == [3162218338, 3076955600, 1619558462]


@pytest.mark.parametrize(
    ("kind", "row", "texts"),
    [
        ("classification", {"text": "one two", "label": 0}, ["one two"]),
        ("classification", {"text": "one", "text_pair": "two", "label": 0}, ["one", "two"]),
        ("regression", {"text": "one", "text_pair": "two", "label": 0.5}, ["one", "two"]),
        ("tagging", {"tokens": ["one", "two"], "tags": [0, 1]}, ["one two"]),
        (
            "question_answering",
            {"id": "0", "question": "who", "context": "one", "answers": {"text": ["one"], "answer_start": [0]}},
            ["who", "one"],
        ),
    ],
)
def test_every_text_of_the_training_rows_is_read(kind: TaskKind, row: dict[str, Any], texts: list[str]) -> None:
    held_out = {**row, **{name: "held out" for name in row if name in ("text", "question")}}
    assert list(texts_of(make_task(kind, [row], [held_out], labels=("no", "yes")))) == texts


def test_a_large_dataset_is_counted_in_seconds() -> None:
    dice = np.random.default_rng(0)
    vocabulary = np.array([f"word{place}" for place in range(30_000)])
    rows = [" ".join(words) for words in vocabulary[(30_000 * dice.random((100_000, 10)) ** 3).astype(int)]]
    with within(seconds=30):
        counts = count_words(rows)
    assert counts.total == 1_000_000
    assert len(counts.hashes) == 20_000
