"""How long something takes on this machine."""

import time
from collections.abc import Callable, Sequence

import torch

from engine.base.machine import Machine

SLOW_SECONDS = 5.0
"""What takes longer the first time is not repeated: what is warmed up by then matters little."""


def now(machine: Machine) -> float:
    """The time at which everything that the device was given is done, in seconds."""
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
    return time.perf_counter()


def timed(machine: Machine, acts: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of each act but the first, which warms up; of this one alone where it is slow.

    Example:
        >>> from engine.base.machine import machine_for
        >>> from engine.base.options import RunOptions
        >>> len(timed(machine_for(RunOptions(device="cpu")), [list] * 3))
        2
    """
    seconds: list[float] = []
    for act in acts:
        started = now(machine)
        act()
        seconds.append(now(machine) - started)
        if seconds[0] > SLOW_SECONDS:
            return seconds
    return seconds[1:]
