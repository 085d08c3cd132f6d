"""How long something takes."""

from __future__ import annotations

import time
from functools import partial

import pytest

from engine.base.machine import machine_for
from engine.base.options import RunOptions
from engine.run import timing
from engine.run.timing import timed

MACHINE = machine_for(RunOptions(device="cpu"))


def test_the_first_one_warms_up() -> None:
    first, second = timed(MACHINE, [partial(time.sleep, seconds) for seconds in (0.2, 0.0, 0.05)])
    assert first < 0.05 <= second


def test_what_is_slow_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SLOW_SECONDS", 0.01)
    (only,) = timed(MACHINE, [partial(time.sleep, 0.02)] * 3)
    assert only >= 0.02
