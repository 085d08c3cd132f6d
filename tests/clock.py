"""Limits of time. They are there for what grows with the square of its input or waits for a network that does
not answer, not for speed: several times what a quiet machine takes, so that a busy one keeps them too."""

from __future__ import annotations

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
