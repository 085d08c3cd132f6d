"""Columns of 0 and 1 are labels, in the order they are named in; anything else in them is refused with its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from engine.data.label_columns import gathered
from engine.data.load import load_task
from engine.data.rows import Declared, Origin, RawSplit, Source
from tests.engine.data.label_rows import SETS, frame, names_of, problem


def columns(**changed: Any) -> pd.DataFrame:
    texts = [f"text number {row}" for row in range(60)]
    marks = {name: [int(name in SETS[row % 6]) for row in range(60)] for name in ("joy", "love", "anger")}
    return pd.DataFrame({"text": texts, **marks, **changed})


@pytest.mark.parametrize("as_type", [int, float, bool])
def test_columns_are_labels_in_the_order_they_are_named_in(as_type: type) -> None:
    data = columns()
    data = data.astype(dict.fromkeys(("joy", "love", "anger"), as_type))
    task = load_task(data, label="love, joy,anger")
    assert (task.kind, task.labels) == ("multi_label", ("love", "joy", "anger"))
    assert names_of(task)["text number 5"] == ["joy", "anger"]
    assert task.columns == {"text": "text", "label": "love, joy,anger"}
    assert "label: 3 columns of 0 and 1, one for each label" in task.notes


@pytest.mark.parametrize("as_type", [int, bool])
def test_columns_of_a_csv_file(as_type: type, tmp_path: Path) -> None:
    data = columns().astype(dict.fromkeys(("joy", "love", "anger"), as_type))
    data.to_csv(tmp_path / "rows.csv", index=False)
    task = load_task(tmp_path / "rows.csv", label="joy,love,anger")
    assert task.labels == ("joy", "love", "anger")
    assert names_of(task)["text number 5"] == ["joy", "anger"]
    assert "of labels that are columns of 0 and 1 all: --label a,b" in problem(tmp_path / "rows.csv")


@pytest.mark.parametrize("cell", [2, -1, 0.5, "yes", None])
def test_a_cell_that_is_neither_0_nor_1_is_named_with_its_row(cell: Any) -> None:
    data = columns(love=[0, 1, 0, cell] + [0] * 56)
    found = problem(data, label="joy,love,anger")
    assert found.startswith("train row 3: column 'love' must hold 0 or 1; got ")
    assert "row 2" not in found


def test_columns_that_do_not_exist_or_stand_twice() -> None:
    found = problem(columns(), label="joy,lovee,joy")
    assert "--label: no such column; got 'lovee'" in found
    assert "Did you mean love?" in found
    assert "--label: one column is named twice; got 'joy'" in found


def test_a_column_whose_name_has_a_comma_is_one_column() -> None:
    data = frame().rename(columns={"labels": "joy,love"})
    assert load_task(data, label="joy,love").labels == ("anger", "joy", "love")


def test_a_split_without_these_columns_is_left_as_it_is() -> None:
    table = pa.table({"text": ["a"], "joy": [1], "love": [0]})
    bare = pa.table({"text": ["b"]})
    splits = {name: RawSplit(each, (Origin(name, 1),)) for name, each in (("train", table), ("test", bare))}
    found = gathered(Source("made", splits, Declared("made")), "joy,love").splits
    assert found["train"].table["joy,love"].to_pylist() == [[0]]
    assert found["test"].names == ["text"]
