"""How long the texts of a task are: nearly all are read whole, whatever their alphabet."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.data.lengths import LONGEST, SAMPLE, SPECIAL, tokens_in, usual_length
from engine.data.task import Task
from tests.tasks import make_task
from tests.toys import ROWS, toy_task


def of_lengths(*lengths: int) -> Task:
    rows = [{"text": " ".join(["word"] * length), "label": 0} for length in lengths]
    return make_task("classification", rows, labels=("a",))


@pytest.mark.parametrize(
    "lengths, tokens",
    [
        ((4,), 8),
        ((5,), 16),
        ((20,) * 99 + (100,), 24),  # one in a hundred may be cut
        ((20,) * 98 + (100,) * 2, 104),
        ((900,) * 10, LONGEST),
        ((12,) * (3 * SAMPLE), 16),
    ],
)
def test_of_a_hundred_texts_99_are_read_whole(lengths: tuple[int, ...], tokens: int) -> None:
    assert usual_length(of_lengths(*lengths)) == tokens


@pytest.mark.parametrize("name", ROWS)
def test_all_texts_of_a_row_count(name: str) -> None:
    task = toy_task(name, rows=40, held_out=2)
    fields = [field for field in ("text", "text_pair", "tokens", "question", "context") if field in task.train[0]]
    row = {field: (["word"] * 50 if field == "tokens" else "word " * 50) for field in fields}
    long = replace(task, train=task.train.map(lambda _: row))
    assert usual_length(task) < 50
    assert usual_length(long) == 8 * math.ceil((50 * len(fields) + SPECIAL) / 8)


def test_no_text_takes_long() -> None:
    assert tokens_in("x " * 10**7) == LONGEST
    assert usual_length(of_lengths(10**6)) == LONGEST


@pytest.mark.parametrize("text, tokens", [("", 0), ("Überraschung!", 5), ("语言模型", 4), (["two", "words"], 3)])
def test_letters_of_other_alphabets_are_tokens(text: str | list[str], tokens: int) -> None:
    assert tokens_in(text) == tokens
