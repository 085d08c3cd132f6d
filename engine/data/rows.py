"""Rows as a source has them, before anybody knows what they mean, and where each row stands.

Decided here: how a row is named in a message (`reviews.csv:12` for lines of text, `train row 3`, counted from 0,
elsewhere), and that a message shows five rows of a sort and counts the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa

from engine.base.errors import InputError, Problem, counted
from engine.base.mapped import batches_of
from engine.data.cells import PIECE, column_of, values_of
from engine.data.task import TaskKind

MAX_EXAMPLES = 5
MAX_COLUMNS = 10_000
"""Of a file; each of them is looked at."""
IMPOSSIBLE = "is_impossible"
"""The column by which SQuAD 2.0 marks questions without an answer; where it says so, answers are only plausible."""


@dataclass(frozen=True)
class Origin:
    """A run of rows that came from one place.

    Args:
        where: The file or split, as the user knows it.
        rows: How many rows came from it.
        scan: Finds the line of each row, counted from 1, once a message needs it; nothing where the source has no
            lines.
    """

    where: str
    rows: int
    scan: Callable[[], Sequence[int] | None] = lambda: None

    def place(self, row: int) -> str:
        """`row` of this origin in words.

        Example:
            >>> Origin("reviews.csv", 2, lambda: (2, 5)).place(1), Origin("train", 2).place(1)
            ('reviews.csv:5', 'train row 1')
        """
        return f"{self.where}:{self.lines[row]}" if self.lines is not None else f"{self.where} row {row}"

    @cached_property
    def lines(self) -> Sequence[int] | None:
        """The line of each row."""
        return self.scan()


@dataclass(frozen=True)
class RawSplit:
    """The rows of one split.

    Args:
        table: Their columns; a missing value is null.
        origins: Where the rows came from, in order.
        class_names: Names of the classes of columns that hold their indices.
    """

    table: pa.Table
    origins: tuple[Origin, ...]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(origin.rows for origin in self.origins)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.table.column_names

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """Python values by column, for rows that are few."""
        return {name: values_of(self.table[name]) for name in self.names}

    @property
    def where(self) -> str:
        """The file or files that the rows came from."""
        first, *rest = dict.fromkeys(origin.where for origin in self.origins)
        return f"{first} and {counted(len(rest), 'more file')}" if rest else first

    def pieces(self, *columns: str) -> Iterator[tuple[int, list[pa.Array]]]:
        """The first row of each piece, and the cells of some columns."""
        start = 0
        for batch in batches_of(self.table.select(columns), PIECE):
            yield start, batch.columns
            start += len(batch)

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


def check_columns(where: str, count: int) -> None:
    """Raises an `InputError` where a source has more columns than a dataset of texts can need."""
    if count > MAX_COLUMNS:
        raise InputError.of(where, "too many columns", f"{count:,}", (f"at most {MAX_COLUMNS:,}",))


def joined(parts: Sequence[RawSplit]) -> RawSplit:
    """The rows of several files as one split; a column that a file lacks is missing there."""
    if len(parts) == 1:
        return parts[0]
    try:
        table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    except pa.ArrowException:  # a column has another type in another file
        names = dict.fromkeys(name for part in parts for name in part.names)
        cells = {name: [part.columns.get(name, [None] * len(part)) for part in parts] for name in names}
        table = pa.table({name: column_of(list(chain(*columns))) for name, columns in cells.items()})
    class_names = {name: known for part in parts for name, known in part.class_names.items()}
    return RawSplit(table, tuple(origin for part in parts for origin in part.origins), class_names)


@dataclass(frozen=True)
class Declared:
    """What a source says of itself: a `dataset.json`, or the table of benchmarks.

    Args:
        place: Who says so, for messages and notes.
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
    hub: str = ""  # repository and configuration on the hub; empty where it did not come from there


class Findings:
    """Collects problems: `MAX_EXAMPLES` of each sort, and the count of the others."""

    def __init__(self) -> None:
        self._examples: dict[tuple[str, str], list[Problem]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._rows: set[tuple[str, int]] = set()

    def add(self, problem: Problem, where: str = "") -> None:
        """Notes a problem; those of the same `where` and `what` are one sort."""
        sort = (where or problem.place, problem.what)
        self._counts[sort] += 1
        if self._counts[sort] <= MAX_EXAMPLES:
            self._examples.setdefault(sort, []).append(problem)

    def row(self, split: RawSplit, row: int, what: str, got: str = "", **more: Any) -> None:
        """Notes a problem of one row."""
        origin, position = split.origin(row)
        self._rows.add((origin.where, position))
        self.add(Problem(origin.place(position), what, got, **more), origin.where)

    @property
    def problems(self) -> list[Problem]:
        """All that was found, with a closing line for each sort that was cut."""
        found: list[Problem] = []
        for (where, what), examples in self._examples.items():
            found += examples
            if (count := self._counts[where, what]) > len(examples):
                found.append(Problem(where, f"{what}: {count:,} rows in all, the first {len(examples)} shown"))
        return found

    def check(self) -> None:
        """Raises an `InputError` with every problem, if any was noted; where rows are unusable, with the way out."""
        if self._rows:
            them = "it" if len(self._rows) == 1 else "them"
            hint = f"Mend {them}, or leave {them} out of the data."
            closing = Problem("", f"{counted(len(self._rows), 'row')} cannot be used", suggestion=hint)
            raise InputError([*self.problems, closing])
        if self._examples:
            raise InputError(self.problems)


def text_of(row: Mapping[str, Any]) -> str:
    """The texts of a row in normal form, the second one behind a bar; of a tagged sentence its words.

    Example:
        >>> text_of({"text": "One.", "text_pair": "Two.", "label": 1})
        'One. | Two.'
    """
    fields = ("text", "text_pair", "question", "context")
    return " ".join(row["tokens"]) if "tokens" in row else " | ".join(row[name] for name in fields if name in row)
