"""How long the texts of a task are: nearly all are read whole, whatever their alphabet."""

from __future__ import annotations

import pytest

from engine.data.lengths import LONGEST, SAMPLE, SPECIAL, tokens_in, usual_length
from engine.data.task import Task
from tests.tasks import make_task
from tests.tokenizers import wordpiece
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
    tokenizer = wordpiece()
    fields = [column for column in ("text", "text_pair", "tokens", "question", "context") if column in task.train[0]]

    def tokens(row) -> int:
        texts = [row[field] if isinstance(row[field], str) else " ".join(row[field]) for field in fields]
        return len(tokenizer(*texts)["input_ids"])

    words = max(sum(len(str(row[field]).split()) for field in fields) for row in task.train)
    assert words + SPECIAL <= usual_length(task)
    assert tokens(task.train[0]) <= usual_length(task)


def test_no_text_takes_long() -> None:
    assert tokens_in("x " * 10**7) == LONGEST
    assert usual_length(of_lengths(10**6)) == LONGEST


@pytest.mark.parametrize("text, tokens", [("", 0), ("Überraschung!", 5), ("语言模型", 4), (["two", "words"], 3)])
def test_letters_of_other_alphabets_are_tokens(text: str | list[str], tokens: int) -> None:
    assert tokens_in(text) == tokens
