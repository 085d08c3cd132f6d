"""The cells of Arrow columns: read piece by piece, and what they mean.

Decided here: a column becomes Python objects in pieces only, and one whose cells have several types holds them as
JSON. A cell is missing where it is null, NaN or a text without a letter. A label is known by its text, so that 1,
"1" and 1.0 are the same class in every file format.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import counted
from engine.base.mapped import count_read
from engine.base.text import HALF

PIECE = 16_384
SAMPLE = 200  # cells that are looked at
MANY = 20  # different numbers: said as a range
TRUTHS = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf|infinity)\s*", re.IGNORECASE)


def is_missing(value: Any) -> bool:
    """Whether a cell is empty.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), " ", 0, "a")]
        [True, True, True, False, False]
    """
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, float) and value != value)


def is_number(value: Any) -> bool:
    """Whether a cell is a number, or the text of one.

    Example:
        >>> [is_number(value) for value in (1, "2.5", "nan", True, "one", "1_000")]
        [True, True, True, False, False, False]
    """
    if isinstance(value, str):
        return NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_index(value: Any) -> bool:
    """Whether a cell is a whole number, its text, or the decimal number that Arrow made of it."""
    if isinstance(value, str):
        return re.fullmatch(r"-?\d{1,18}", value.strip()) is not None
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def are_tags(value: Any) -> bool:
    """Whether a cell is a list of tags: their names or indices."""
    return isinstance(value, list) and all(isinstance(tag, str) or is_index(tag) for tag in value)


def label_of(value: Any) -> str:
    """The name of a label.

    Example:
        >>> [label_of(value) for value in (1, 1.0, " 1 ", True, "yes", 0.5)]
        ['1', '1', '1', 'True', 'yes', '0.5']
    """
    name = str(value).strip()
    return name.split(".")[0] if re.fullmatch(r"-?\d+\.0+", name) else name


def are_names(value: Any) -> bool:
    """Whether a value is a list of different names of classes.

    Example:
        >>> [are_names(value) for value in (["a", "b"], ["a", " a "], [], "ab", [1, 2], [""])]
        [True, False, True, False, False, False]
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    names = {label_of(name) for name in value}
    return len(names) == len(value) and not any(is_missing(name) or HALF.search(name) for name in names)


def class_names(values: Iterable[Any]) -> tuple[str, ...]:
    """The different labels in the order of their numbers, or of the alphabet; missing ones do not count.

    Example:
        >>> class_names([10, 9, None, 9]), class_names(["b", "a", "b"])
        (('9', '10'), ('a', 'b'))
    """
    names = {label_of(value) for value in values if not (is_missing(value) or isinstance(value, list | dict))}
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (Decimal(name), name)))  # of any number of digits
    return tuple(sorted(names))


def in_shares(counts: Mapping[str, int], most: int = 10, rows: int | None = None) -> str:
    """How often each of several values occurs, the first ones in words; of `rows`, where a row has several or none.

    Example:
        >>> in_shares({"bad": 199, "good": 600, "odd": 1}), in_shares({"a": 1, "b": 1, "c": 2}, most=2)
        ('bad (25 %), good (75 %), odd (<1 %)', 'a (25 %), b (25 %), …')
    """
    total = rows or sum(counts.values())
    shares = {name: 100 * count / total for name, count in list(counts.items())[:most]}
    shown = (f"{name} ({'<1' if 0 < share < 0.5 else format(share, '.0f')} %)" for name, share in shares.items())
    return ", ".join([*shown, *["…"] * (len(counts) > most)])


def column_of(values: Sequence[Any]) -> pa.Array:
    """Python values as a column; as JSON where Arrow has no one type for all of them."""
    try:
        if not {bool, float} <= set(map(type, values)):  # Arrow would take True for 1.0
            return pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):  # mixed types, half a character, 2 ** 64
        pass
    texts = [None if value is None else json.dumps(value, default=_plain) for value in values]
    return pa.array(texts, pa.json_())


def _plain(value: Any) -> Any:
    """What JSON does not know, as pandas may hold it: arrays and their numbers; else a text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def values_of(cells: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Cells as Python values.

    Example:
        >>> values_of(column_of([1, "one", None]))
        [1, 'one', None]
    """
    if pa.types.is_string(cells.type):
        texts: list[Any] = cells.to_numpy(zero_copy_only=False).tolist()  # twice as fast as to_pylist
        return texts
    return _decoded(cells.type, cells.to_pylist())


def _decoded(kind: pa.DataType, cells: list[Any]) -> list[Any]:
    return [cell and json.loads(cell) for cell in cells] if _is_json(kind) else cells


def _is_json(kind: pa.DataType) -> bool:
    return getattr(kind, "extension_name", "") == "arrow.json"


def pieces(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """A column in pieces of at most `PIECE` rows, whose pages are given back when they are passed."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), PIECE):
            piece = chunk.slice(start, PIECE)
            yield piece
            count_read(piece.nbytes)


def coded(cells: pa.Array) -> tuple[list[Any], np.ndarray]:
    """The different values of a piece, and each cell's position among them; of lists, every one counts."""
    if pa.types.is_nested(cells.type):
        return cells.to_pylist(), np.arange(len(cells))
    stored = cells.storage if _is_json(cells.type) else cells
    codes = pc.dictionary_encode(stored, null_encoding="encode")
    return _decoded(cells.type, codes.dictionary.to_pylist()), codes.indices.to_numpy()


def different(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values of a column, each of them once or a few times."""
    for piece in pieces(column):
        yield from coded(piece)[0]


def missing(cells: pa.Array) -> np.ndarray:
    """Which cells are missing, as `is_missing` has it."""
    if _is_json(cells.type):
        return np.array([is_missing(value) for value in values_of(cells)], dtype=bool)
    if pa.types.is_string(cells.type):
        letters = pc.binary_length(pc.utf8_trim_whitespace(cells))
        return pc.fill_null(pc.equal(letters, 0), True).to_numpy(zero_copy_only=False)
    return pc.is_null(cells, nan_is_null=True).to_numpy(zero_copy_only=False)


def present(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The cells of a column that are not missing, in pieces."""
    return (piece.filter(pa.array(~missing(piece))) for piece in pieces(column))


def looks(column: pa.ChunkedArray, fits: Callable[[Any], bool]) -> bool:
    """Whether most cells of a column fit, of the first ones that are not missing."""
    first = present(column[: 10 * SAMPLE])
    cells = [cell for piece in first for cell in values_of(piece)][:SAMPLE]
    return bool(cells) and 2 * sum(map(fits, cells)) > len(cells)


def numbers(cells: pa.Array) -> pa.Array:
    """Cells as 64-bit floats; null where `is_number` has none.

    Example:
        >>> numbers(column_of(["1", " 2.5", "three", None])).to_pylist()
        [1.0, 2.5, None, None]
    """
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
        return cells.cast(pa.float64(), safe=False)
    values, codes = coded(cells)
    found = [_float(value) if is_number(value) else None for value in values]
    return pa.array(found, pa.float64()).take(pa.array(codes))


def truths(cells: pa.Array) -> np.ndarray:
    """Which cells are true, 1.0, and which are not, 0.0, also where 1 and 0 or a text say so; NaN elsewhere (n,).

    Example:
        >>> truths(column_of(["1", "0.0", " True ", "false", "yes", None])).tolist()
        [1.0, 0.0, 1.0, 0.0, nan, nan]
    """
    values, codes = coded(cells)
    return np.array([TRUTHS.get(label_of(value).lower(), math.nan) for value in values])[codes]


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


def in_words(column: pa.ChunkedArray) -> str:
    """What a column holds: the shares of its commonest values, or the range of its numbers.

    Example:
        >>> in_words(pa.chunked_array([["a", "b", "b", None]])), in_words(pa.chunked_array([range(90)]))
        ('2 values: b (67 %), a (33 %)', '90 numbers from 0 to 89')
    """
    counts: Counter[str] = Counter()
    for cells in present(column):
        values = pc.list_flatten(cells) if pa.types.is_list(cells.type) else cells
        counts.update(label_of(value) for value in values_of(values) if not isinstance(value, list | dict))
    if len(counts) > MANY and all(map(is_number, counts)):
        return f"{len(counts):,} numbers from {min(map(float, counts)):g} to {max(map(float, counts)):g}"
    return f"{counted(len(counts), 'value')}: {in_shares(dict(counts.most_common()), most=5)}"
