"""Rows before anybody knows what they mean: where each stands, and how problems are counted."""

from __future__ import annotations

from pathlib import Path

from engine.data.files import read_file
from engine.data.rows import Findings, joined
from engine.data.sources import read_source
from tests.engine.data.written import written


def test_files_whose_columns_differ_in_type_are_joined(tmp_path: Path) -> None:
    parts = []
    for number, label in enumerate(('"1"', "2", "0.5")):
        (tmp_path / str(number)).mkdir()
        row = f'{{"label": {label}, "only{number}": 1}}\n'
        parts.append(read_file(written(tmp_path / str(number), ".jsonl", row), Findings()))
    assert joined(parts[1:]).columns["label"] == [2.0, 0.5]
    assert joined(parts).columns == {
        "label": ["1", 2, 0.5],
        "only0": [1, None, None],
        "only1": [None, 1, None],
        "only2": [None, None, 1],
    }


def test_rows_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,label\n"two\nlines",a\n\nlast,b\n')
    split = read_source(path).splits["train"]
    assert [split.place(row) for row in range(2)] == [f"{path}:2", f"{path}:5"]
