"""Limits of time. They are there for what grows with the square of its input or waits for a network that does
not answer, not for speed: several times what a quiet machine takes, so that a busy one keeps them too."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def within(seconds: float, clock: Callable[[], float] = time.process_time) -> Iterator[None]:
    """What happens inside takes less than that; by default of CPU time, so that waiting does not count."""
    began = clock()
    yield
    taken = clock() - began
    assert taken < seconds, f"{taken:.2f} s, at most {seconds} s"


class Hanging(BaseException):
    """Something takes too long; no handler of errors in the product may take it for one of its own."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """What happens inside is ended after so many seconds, by `Hanging`."""

    def late(*_: object) -> None:
        raise Hanging(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
