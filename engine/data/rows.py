"""Rows as a source has them, before anybody knows what they mean, and where each row stands.

Decided here: how a row is named in a message (`reviews.csv:12` for lines of text, `train row 3`,
counted from 0, elsewhere), and that a message shows five rows of a sort and counts the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.base.errors import InputError, Problem
from engine.data.task import TaskKind

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Origin:
    """A run of rows that came from one place.

    Args:
        where: The file or split, as the user knows it.
        rows: How many rows came from it.
        lines: Line of each row, counted from 1; absent where the source has no lines.
    """

    where: str
    rows: int
    lines: Sequence[int] | None = None

    def place(self, row: int) -> str:
        """`row` of this origin in words.

        Example:
            >>> Origin("reviews.csv", 2, (2, 5)).place(1), Origin("train", 2).place(1)
            ('reviews.csv:5', 'train row 1')
        """
        return f"{self.where}:{self.lines[row]}" if self.lines is not None else f"{self.where} row {row}"


@dataclass(frozen=True)
class RawSplit:
    """Columns of equal length.

    Args:
        columns: Python values by column; a missing value is None.
        origins: Where the rows came from, in order.
        class_names: Names of the classes of columns that hold their indices.
    """

    columns: Mapping[str, list[Any]]
    origins: tuple[Origin, ...]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(origin.rows for origin in self.origins)

    @property
    def where(self) -> str:
        """The file or files that the rows came from."""
        first, *rest = dict.fromkeys(origin.where for origin in self.origins)
        return f"{first} and {len(rest)} more files" if rest else first

    def origin(self, row: int) -> tuple[Origin, int]:
        """The origin of a row, and the row's number there."""
        for origin in self.origins:
            if row < origin.rows:
                return origin, row
            row -= origin.rows
        raise IndexError(row)

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        origin, position = self.origin(row)
        return origin.place(position)


def joined(parts: Sequence[RawSplit]) -> RawSplit:
    """The rows of several files as one split; a column that a file lacks is missing there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {
        name: [value for part in parts for value in part.columns.get(name, [None] * len(part))]
        for name in names
    }
    class_names = {name: known for part in parts for name, known in part.class_names.items()}
    return RawSplit(columns, tuple(origin for part in parts for origin in part.origins), class_names)


@dataclass(frozen=True)
class Declared:
    """What a source says of itself: a `dataset.json`, or the table of benchmarks.

    Args:
        place: Who says so, for messages and notes.
        kind: The kind of task.
        labels: Class or tag names in the order of their indices.
        metric: The score that counts.
        columns: Field of the normal form → column.
        published: Whether the rows are a published benchmark's, which nobody can mend.
    """

    place: str = ""
    kind: TaskKind | None = None
    labels: tuple[str, ...] = ()
    metric: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    published: bool = False


@dataclass(frozen=True)
class Source:
    """Everything that was read: splits by name, and what the source declares."""

    name: str
    splits: Mapping[str, RawSplit]
    declared: Declared = Declared()
    notes: tuple[str, ...] = ()


class Findings:
    """Collects problems: `MAX_EXAMPLES` of each sort, and the count of the others."""

    def __init__(self) -> None:
        self._sorts: dict[tuple[str, str], list[Problem]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, problem: Problem, where: str = "") -> None:
        """Notes a problem; those of the same `where` and `what` are one sort."""
        sort = (where or problem.place, problem.what)
        self._counts[sort] = self._counts.get(sort, 0) + 1
        if self._counts[sort] <= MAX_EXAMPLES:
            self._sorts.setdefault(sort, []).append(problem)

    def row(self, split: RawSplit, row: int, what: str, got: str = "", **more: Any) -> None:
        """Notes a problem of one row."""
        origin, position = split.origin(row)
        self.add(Problem(origin.place(position), what, got, **more), origin.where)

    @property
    def problems(self) -> list[Problem]:
        """All that was found, with a closing line for each sort that was cut."""
        found: list[Problem] = []
        for sort, examples in self._sorts.items():
            found += examples
            if (count := self._counts[sort]) > len(examples):
                where, what = sort
                found.append(
                    Problem(where, f"{what}: {count:,} rows in all, the first {len(examples)} shown")
                )
        return found

    def check(self) -> None:
        """Raises what was found, if anything.

        Raises:
            InputError: With every problem.
        """
        if self._sorts:
            raise InputError(self.problems)


def shown(value: Any, longest: int = 60) -> str:
    """A value for a message, cut to `longest` characters.

    Example:
        >>> shown("a" * 100, longest=10)
        "'aaaaaaaaa…"
    """
    text = repr(value[: longest * 2] if isinstance(value, str | list) else value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN or a text without a letter.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), " ", 0, "a")]
        [True, True, True, False, False]
    """
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, float) and value != value)
