"""Rows before anybody knows what they mean: where each stands, and how problems are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError, Problem, shown
from engine.data.files import read_file
from engine.data.rows import MAX_EXAMPLES, Findings, Origin, RawSplit, joined
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


# --- places ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
def test_a_row_is_named_by_its_own_file(sizes: list[int], data: st.DataObject) -> None:
    """Against the list of all places; files without lines count their rows."""
    lines = [data.draw(st.none() | st.just([10 * row + 2 for row in range(size)])) for size in sizes]
    origins = tuple(
        Origin(f"file{number}", size, lambda known=known: known)
        for number, (size, known) in enumerate(zip(sizes, lines, strict=True))
    )
    split = RawSplit(pa.table({"text": ["a"] * sum(sizes)}), origins)
    places = [
        f"file{number}:{known[row]}" if known is not None else f"file{number} row {row}"
        for number, (size, known) in enumerate(zip(sizes, lines, strict=True))
        for row in range(size)
    ]
    assert len(split) == len(places)
    assert [split.place(row) for row in range(len(split))] == places
    with pytest.raises(IndexError):
        split.place(len(split))


def test_lines_are_looked_for_once_and_only_where_a_message_needs_them() -> None:
    scans = []

    def scan() -> list[int]:
        scans.append("reviews.csv")
        return [2, 3]

    split = RawSplit(pa.table({"text": ["a", "b"]}), (Origin("reviews.csv", 2, scan),))
    assert (len(split), split.where, split.columns) == (2, "reviews.csv", {"text": ["a", "b"]})
    assert scans == []
    assert [split.place(row) for row in (1, 0, 1)] == ["reviews.csv:3", "reviews.csv:2", "reviews.csv:3"]
    assert scans == ["reviews.csv"]


def test_several_files_are_named_by_the_first() -> None:
    parts = [RawSplit(pa.table({"a": [number]}), (Origin(f"f{number}", 1),)) for number in range(3)]
    assert joined(parts).where == "f0 and 2 more files"
    assert joined(parts[:1]) is parts[0]
    assert [joined(parts).place(row) for row in range(3)] == ["f0 row 0", "f1 row 0", "f2 row 0"]


# --- problems ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["empty", "odd"])), max_size=40))
def test_a_few_problems_of_a_sort_are_shown_and_all_counted(noted: list[tuple[str, str]]) -> None:
    findings = Findings()
    for row, (where, what) in enumerate(noted):
        findings.add(Problem(f"{where}:{row}", what), where)
    counts = Counter(noted)
    assert len(findings.problems) == sum(min(count, MAX_EXAMPLES) + (count > MAX_EXAMPLES) for count in counts.values())
    for (where, what), count in counts.items():
        shown = [problem for problem in findings.problems if problem.place.startswith(where) and problem.what == what]
        rows = [row for row, sort in enumerate(noted) if sort == (where, what)]
        assert [problem.place for problem in shown] == [f"{where}:{row}" for row in rows[:MAX_EXAMPLES]]
        closing = Problem(where, f"{what}: {count} rows in all, the first {MAX_EXAMPLES} shown")
        assert (closing in findings.problems) == (count > MAX_EXAMPLES)
    if noted:
        with pytest.raises(InputError) as caught:
            findings.check()
        assert list(caught.value.problems) == findings.problems
    else:
        findings.check()


def test_a_value_in_a_message_is_short() -> None:
    for value in ("a" * 10_000_000, list(range(1_000_000)), {"a": "b" * 1000}):
        assert len(shown(value)) == 61
        assert repr(value[:200] if isinstance(value, str | list) else value).startswith(shown(value)[:-1])
    assert shown("short") == "'short'"
