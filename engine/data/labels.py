"""Labels as they are written, and as indices.

Decided here: a label is known by its text, so that 1, "1" and 1.0 are the same class in every file format;
names are in the order of their numbers where all are whole numbers, otherwise in that of the alphabet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from engine.data.rows import is_missing

NUMBER = re.compile(
    r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf|infinity)\s*", re.IGNORECASE
)


def is_number(value: Any) -> bool:
    """Whether a cell is a number, or the text of one.

    Example:
        >>> [is_number(value) for value in (1, "2.5", "nan", True, "one", "1_000")]
        [True, True, True, False, False, False]
    """
    if isinstance(value, str):
        return NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def key_of(value: Any) -> str:
    """The name of a label.

    Example:
        >>> [key_of(value) for value in (1, 1.0, " 1 ", True, "yes", 0.5)]
        ['1', '1', '1', 'True', 'yes', '0.5']
    """
    name = str(value).strip()
    return name.split(".")[0] if re.fullmatch(r"-?\d+\.0+", name) else name


def class_names(values: Iterable[Any]) -> tuple[str, ...]:
    """The different labels, sorted; missing ones do not count.

    Example:
        >>> class_names([10, 9, None, 9]), class_names(["b", "a", "b"])
        (('9', '10'), ('a', 'b'))
    """
    names = {
        key_of(value) for value in values if not is_missing(value) and not isinstance(value, list | dict)
    }
    if all(re.fullmatch(r"-?\d+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


class LabelIndex:
    """Finds the index of a label.

    Args:
        names: Class names in the order of their indices.
        fixed: Whether the names were declared: then a whole number is an index, and a negative one
            marks a row without a label, as in the test sets of GLUE.
    """

    def __init__(self, names: Sequence[str], fixed: bool):
        self._by_name = {name: index for index, name in enumerate(names)}
        self._fixed = fixed

    def is_missing(self, value: Any) -> bool:
        """Whether a cell holds no label."""
        return is_missing(value) or (self._fixed and is_index(value) and int(value) < 0)

    def find(self, value: Any) -> int | None:
        """The index of a label; None where there is no such label.

        Example:
            >>> LabelIndex(("no", "yes"), fixed=True).find(1), LabelIndex(("1", "2"), fixed=False).find(1)
            (1, 0)
        """
        if isinstance(value, list | dict):
            return None
        if self._fixed and is_index(value) and value not in self._by_name:
            return int(value) if 0 <= int(value) < len(self._by_name) else None
        return self._by_name.get(key_of(value))


def is_index(value: Any) -> bool:
    """Whether a cell is a whole number, or the text of one."""
    if isinstance(value, str):
        return re.fullmatch(r"-?\d+", value.strip()) is not None
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
