"""Everything that can go wrong, as one small tree.

    AutoDistillerError
    ├── InputError            the user's input is wrong: nothing was loaded or trained (exit code 2)
    │   └── MemoryShort         it needs more memory than is free now
    └── RunError              a run failed after it had begun (exit code 1)
        ├── NonFiniteLossError  a term of the loss became NaN or infinite
        └── DiskError           a disk is full, or does not do what it should; the same run goes on from where it was

An `InputError` carries *all* problems that were found, each in one form:
place, what, got, allowed, nearest right name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MOST_SHOWN = 30  # names that a message lists
BYTES = {1e9: "GB", 1e6: "MB", 1e3: "kB"}


class AutoDistillerError(Exception):
    """Base of every error that this project raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input.

    Example:
        >>> print(Problem("mapping.kind", "unknown kind", "'skp'", ("skip", "last", "emd"), "skip"))
        mapping.kind: unknown kind; got 'skp'; allowed: skip, last, emd. Did you mean skip?
    """

    place: str  # where it stands: a key (`intermediate.alpha`), a file with its line, an option
    what: str  # what is wrong, in one clause without a full stop
    got: str = ""  # what was found there, as text; empty when there is nothing to show
    allowed: tuple[str, ...] = ()  # what may stand there: names or one range such as `0 to 1`
    suggestion: str = ""  # the nearest right name, or what to do instead

    def __str__(self) -> str:
        parts = [f"{self.place}: {self.what}" if self.place else self.what]
        if self.got:
            parts.append(f"got {self.got}")
        if self.allowed:
            parts.append(f"allowed: {listed(self.allowed)}")
        text = "; ".join(parts)
        if not self.suggestion:
            return text
        is_name = self.suggestion in self.allowed or " " not in self.suggestion
        return f"{text}. Did you mean {self.suggestion}?" if is_name else f"{text}. {self.suggestion}"


def unknown_name(place: str, what: str, got: str, allowed: Iterable[str]) -> Problem:
    """The problem of a name that does not exist, with the nearest one that does.

    Example:
        >>> print(unknown_name("--preset", "unknown preset", "tinybirt", ["tinybert", "pkd"]))
        --preset: unknown preset; got 'tinybirt'; allowed: tinybert, pkd. Did you mean tinybert?
    """
    names = tuple(allowed)
    return Problem(place, what, repr(got), names, nearest(got, names))


def nearest(got: str, names: Iterable[str], likeness: float = 0.5) -> str:
    """The name that is most like another, if it is as alike as `likeness` (0 to 1); else nothing."""
    return next(iter(difflib.get_close_matches(got, names, n=1, cutoff=likeness)), "")


def counted(number: int, noun: str) -> str:
    """A number with its noun, which ends in s unless there is one.

    Example:
        >>> counted(1, "member"), counted(2000, "answer"), counted(0, "row")
        ('1 member', '2,000 answers', '0 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def digits(value: float) -> str:
    """A figure in three digits, or all that stand before its point.

    Example:
        >>> digits(0.0642), digits(12.34), digits(999.7), digits(1341.2)
        ('0.0642', '12.3', '1,000', '1,341')
    """
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def in_bytes(count: float) -> str:
    """So many bytes, for people.

    Example:
        >>> in_bytes(12_345_678_901), in_bytes(54_321_234), in_bytes(4_096), in_bytes(7)
        ('12.3 GB', '54.3 MB', '4.1 kB', '7 bytes')
    """
    unit, name = next(((unit, name) for unit, name in BYTES.items() if count >= unit), (1, "bytes"))
    return f"{digits(count / unit)} {name}"


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first ones of very many.

    Example:
        >>> listed(["a", "b"]), listed(map(str, range(1000)))[-19:]
        ('a, b', '28, 29 and 970 more')
    """
    every = list(names)
    more = len(every) - MOST_SHOWN
    return ", ".join(every[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def shown(value: Any) -> str:
    """A value for a message, cut to 60 characters.

    Example:
        >>> len(shown("a" * 100)), shown(["b"]), shown(None)
        (61, "['b']", 'nothing')
    """
    if value is None:
        return "nothing"
    try:
        text = repr(value[:120] if isinstance(value, str | list) else value)
    except (RecursionError, ValueError):  # too deep, or more digits than Python writes
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"


class InputError(AutoDistillerError):
    """The input cannot be used. `problems` lists every reason at once."""

    def __init__(self, problems: Problem | Sequence[Problem]):
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(
        cls, place: str, what: str, got: object = "", allowed: Iterable[str] = (), suggestion: str = ""
    ) -> InputError:
        """An error with one problem; arguments as in `Problem`."""
        return cls(Problem(place, what, str(got), tuple(allowed), suggestion))


class MemoryShort(InputError):
    """What is asked for needs more memory than is free now."""


class RunError(AutoDistillerError):
    """A run failed after it had begun."""


class OutOfMemory(RunError):
    """A run needs more memory than there is."""


class NonFiniteLossError(RunError):
    """A term of the loss, such as `intermediate`, became NaN or infinite, first in this step, counted from 1."""

    def __init__(self, step: int, term: str):
        self.step, self.term = step, term
        what = f"the {term} loss is not a finite number at step {step}"
        super().__init__(f"{what}. A lower learning rate or --precision float32 usually helps.")


class DiskError(RunError):
    """A disk is full, cannot be written to, or gives back something else than was written; the run can go on later."""
