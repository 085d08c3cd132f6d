"""The labels of a text that may have several, and how a cell holds them.

Decided here: a cell holds a list, a list as JSON or Python writes it, or labels that are joined by `|`; those joined by
`;` or `,` are known where the kind of task is named, since a class may well have such a sign in its name. An empty list
means that no label applies; where labels are joined, so does an empty cell. A row belongs, where classes shall keep
their shares, to its rarest label.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import InputError, counted
from engine.data.cells import are_tags, class_names, different, is_missing, looks, pieces

if TYPE_CHECKING:
    from engine.data.rows import Declared, RawSplit

SEPARATORS = ("|", ";", ",")
SURE = SEPARATORS[:1]
"""Those that show by themselves that cells hold several labels."""
MANY = 50  # labels, whatever the number of rows
LONGEST = 10_000  # letters of a list that is written as text
SIDE_BY_SIDE = re.compile(r"""['"]\s+['"]""")
"""Between the labels of a list as numpy writes it, which Python would read as one."""


def written_list(cell: Any) -> list[Any] | None:
    """The list that a text is, as JSON or Python writes it.

    Example:
        >>> written_list('["a", "b"]'), written_list("['a']"), written_list("['a' 'b']"), written_list("a")
        (['a', 'b'], ['a'], None, None)
    """
    if not isinstance(cell, str) or len(cell) > LONGEST or cell.strip()[:1] != "[":
        return None
    found: Any = None
    with suppress(ValueError, RecursionError):
        found = json.loads(cell)
    if found is None and not SIDE_BY_SIDE.search(cell):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            found = ast.literal_eval(cell.strip())
    return found if isinstance(found, list) else None


def label_set(cell: Any, separator: str = "") -> list[Any] | None:
    """The labels in a cell; None where it holds none, and does not say so.

    Example:
        >>> label_set("joy | love", "|"), label_set("", "|"), label_set([]), label_set("joy"), label_set(None)
        (['joy', 'love'], [], [], ['joy'], None)
    """
    if isinstance(cell, list):
        return cell
    if (written := written_list(cell)) is not None:
        return written
    if is_missing(cell):
        return [] if separator else None
    return _parts(cell, separator) if isinstance(cell, str) and separator else [cell]


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def separator_of(values: Iterable[Any], separators: Iterable[str] = SEPARATORS) -> str:
    """What joins the labels of a column; empty where nothing does.

    Args:
        values: The different cells. Of those that are joined, at least half of the parts must be in others, too.

    Example:
        >>> separator_of(["joy", "joy|love", "love"]), separator_of(["rock|pop", "jazz"])
        ('|', '')
    """
    texts = {value for value in values if isinstance(value, str)}
    for separator in separators:
        parts = [{*_parts(text, separator)} for text in texts]
        counts = Counter(part for some in parts for part in some)
        joined = [part for some in parts if len(some) > 1 for part in some]
        if joined and 2 * sum(counts[part] > 1 for part in joined) >= len(joined):
            return separator
    return ""


def holds_lists(column: pa.ChunkedArray) -> bool:
    """Whether most cells of a column are lists of labels, also where these are written as text."""
    return looks(column, lambda cell: are_tags(cell if isinstance(cell, list) else written_list(cell)))


class Labels(NamedTuple):
    """The labels of a column and how its cells hold them, in the words of `engine.data.schema.Schema`."""

    labels: tuple[str, ...]
    fixed_labels: bool
    separator: str


def labels_of(train: RawSplit, column: str, declared: Declared) -> Labels:
    """The different labels of a column, or those that are declared.

    Raises:
        InputError: They are too many to be labels.
    """
    cells = train.table[column]
    separator = "" if holds_lists(cells) else separator_of(different(cells)) or SEPARATORS[0]
    if known := declared.labels or train.class_names.get(column, ()):
        return Labels(known, True, separator)
    found = class_names(label for cell in different(cells) for label in label_set(cell, separator) or ())
    if len(found) > max(MANY, len(train)):
        got = f"{len(found):,} different ones in {counted(len(train), 'row')}"
        place = f"{train.where}: column '{column}'"
        raise InputError.of(place, "too many different labels", got, suggestion="Name another column with --label.")
    return Labels(found, False, separator)


def rarest(column: pa.ChunkedArray, labels: int) -> np.ndarray:
    """The rarest label of each row of a column of lists (n,), `labels` for those without one.

    Example:
        >>> rarest(pa.chunked_array([[[0, 1], [0], [], [1, 0], [0]]]), labels=2)
        array([1, 0, 2, 1, 0])
    """
    found, rows = pc.list_flatten(column).to_numpy(), _rows_of(column)
    ranks = np.argsort(np.argsort(-np.bincount(found, minlength=labels), kind="stable"))
    best = np.full(len(column), -1)
    np.maximum.at(best, rows, ranks[found])
    return np.append(np.argsort(ranks), labels)[best]


def _rows_of(column: pa.ChunkedArray) -> np.ndarray:
    """The row of each label."""
    return np.repeat(np.arange(len(column)), pc.list_value_length(column).to_numpy())


def why_nothing(column: pa.ChunkedArray) -> str:
    """Why the sets of labels of the training rows teach nothing; empty where they do."""
    first = next((cell for cells in pieces(column) for cell in cells.to_pylist()), None)
    if any(cell != first for cells in pieces(column) for cell in cells.to_pylist()):
        return ""
    return f"{'all rows have the same labels' if first else 'no row has a label'}: nothing to learn"
