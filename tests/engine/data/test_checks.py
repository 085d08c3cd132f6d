"""Rows in normal form: what makes one unusable, and that it is named."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest

from engine.base.errors import InputError
from engine.data.load import load_task
from engine.data.rows import MAX_EXAMPLES
from tests.engine.data.written import GOOD


def test_all_problems_come_at_once_and_are_counted(tmp_path: Path) -> None:
    empty = '{"text": "", "label": 1}\n'
    (tmp_path / "train.jsonl").write_text(GOOD + empty * 40 + '{"text": "a"}\n')
    (tmp_path / "validation.jsonl").write_text(GOOD + '{"text": "a", "label": 5}\n')
    with pytest.raises(InputError) as caught:
        load_task(tmp_path)
    problems = [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert problems[:2] == [
        "train.jsonl:10: empty text in column 'text'; got ''",
        "train.jsonl:11: empty text in column 'text'; got ''",
    ]
    assert problems[MAX_EXAMPLES] == "train.jsonl: empty text in column 'text': 40 rows in all, the first 5 shown"
    assert problems[MAX_EXAMPLES + 1 :] == [
        "train.jsonl:50: no label in column 'label'; got None",
        "validation.jsonl:10: label in column 'label' does not occur in training; got 5; allowed: 0, 1",
    ]


def test_rows_of_objects_are_named_by_split_and_number() -> None:
    frame = pd.DataFrame({"text": ["a", "b", ""], "label": ["x", "y", "x"]})
    with pytest.raises(InputError, match=r"^train row 2: empty text"):
        load_task(frame)


def test_an_id_stands_once() -> None:
    answer = {"text": ["Ada"], "answer_start": [0]}
    rows = {"id": ["p", "q", "p"], "question": ["?"] * 3, "context": ["Ada"] * 3, "answers": [answer] * 3}
    with pytest.raises(InputError, match="train row 2: an id that stands twice; got 'p', also in train row 0"):
        load_task(datasets.Dataset.from_dict(rows))
