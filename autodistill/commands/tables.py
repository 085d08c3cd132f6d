"""How a table is laid out in a width.

Decided here: no word, figure or interval is broken. Texts break between words; where that does not suffice, a table is
divided, with its first column in each part; where even one column beside the first is too wide, so is the table.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GLUED = re.compile(r"(?<=\d) (?=to [-+]?\d|(?:[kMG]B?|ms|s|min|h|%)(?!\w))|(?<=\d to) (?=[-+]?\d)")
"""Spaces inside a figure: before its unit, and in its interval."""
GLUE = "\ue000"  # stands for such a space; nobody's text has it
PLAIN = Console()
BETWEEN, AROUND = 3, 1
"""Characters that rich draws for each column, and for the table."""
WHOLE = 200
"""Characters up to which a word is not broken."""
NARROW = 8
"""Least width of a script without spaces between its words."""


def laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Table]:
    """A table as one that fits, or several, each with its `width`.

    Args:
        rows: Cells, as many as there are heads; a line break in a cell stays.
        width: In characters.
    """
    columns = [[glued(cell) for cell in column] for column in zip(heads, *rows, strict=True)]
    for part in _parts([_least(column) for column in columns], width):
        frame = BETWEEN * len(part) + AROUND
        cells = _wrapped([columns[index] for index in part], width - frame)
        table = Table(box=box.SIMPLE_HEAD)
        for head, *_ in cells:
            table.add_column(Text(head))
        for row in zip(*(column[1:] for column in cells), strict=True):
            table.add_row(*map(Text, row))
        table.width = sum(map(_used, cells)) + frame
        yield table


def glued(text: str) -> str:
    """A text in which figures, their units and their intervals hang together."""
    return GLUED.sub(GLUE, text)


def wrapped(text: str, width: int) -> str:
    """A glued text in lines of so many characters.

    Example:
        >>> wrapped(glued("0.9000 (0.880 to 0.930)"), 18)
        '0.9000\\n(0.880 to 0.930)'
    """
    lines = Text(text).wrap(PLAIN, width, overflow="fold")
    return "\n".join(line.plain.rstrip() for line in lines).replace(GLUE, " ")


def _least(column: Sequence[str]) -> int:
    """Width of the longest word."""
    return max((_of_word(word) for cell in column for word in cell.split()), default=0)


def _of_word(word: str) -> int:
    """Width that a word needs; where characters are wide, it may break after each."""
    return min(cell_len(word), WHOLE if cell_len(word) == len(word) else NARROW)


def _used(column: Sequence[str]) -> int:
    """Width of the longest line."""
    return max((cell_len(line) for cell in column for line in cell.splitlines()), default=0)


def _parts(least: Sequence[int], width: int) -> Iterator[list[int]]:
    """Columns that stand beside each other, the first one in each part.

    Example:
        >>> list(_parts([10, 20, 20, 90], width=60)), list(_parts([50, 20, 20], width=80))
        ([[0, 1, 2, 3]], [[0, 1], [0, 2]])
    """

    def fits(part: Sequence[int]) -> bool:
        return sum(least[index] + BETWEEN for index in part) + AROUND <= width

    part = [0]
    for index in range(1, len(least)):
        if fits([0, index]) and not fits([*part, index]):
            yield part
            part = [0]
        part.append(index)
    yield part


def _wrapped(columns: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """Columns in so much room: the wide ones get the same of it, but their longest word at least."""

    def at_most(most: int) -> list[list[str]]:
        return [[wrapped(cell, max(most, _least(column))) for cell in column] for column in columns]

    fitting = bisect(range(1, room + 1), room, key=lambda most: sum(map(_used, at_most(most))))
    return at_most(max(fitting, 1))
