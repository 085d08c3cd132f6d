"""Sums of the loss, the guard against NaN, and the clock."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import NonFiniteLossError, RunError
from engine.training.meter import CHECKPOINT_SHARE, REPORT_SECONDS, Clock, Meter

finite = st.floats(-1e3, 1e3)


def terms(intermediate: float, prediction: float) -> dict[str, torch.Tensor]:
    return {
        "intermediate": torch.tensor(intermediate),
        "prediction": torch.tensor(prediction, requires_grad=True),
    }


@given(
    st.lists(st.lists(st.tuples(finite, finite), min_size=1, max_size=3), min_size=1, max_size=6), st.data()
)
def test_sums_are_those_of_the_steps_also_after_a_restart(steps: list, data: st.DataObject) -> None:
    restart = data.draw(st.integers(0, len(steps)))
    meter = Meter({})
    for number, passes in enumerate(steps, start=1):
        meter.add([terms(*values) for values in passes], number)
        if number == restart:
            meter = Meter(meter.sums())
    expected = [
        sum(torch.tensor(values[term]).item() for passes in steps for values in passes) for term in (0, 1)
    ]
    assert [*meter.sums()] == ["intermediate", "prediction"]
    assert [*meter.sums().values()] == pytest.approx(expected, rel=1e-5, abs=1e-3)
    means = [value / len(steps) for value in meter.sums().values()]
    assert [*meter.means(len(steps)).values()] == pytest.approx(means)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "broken, step, term",
    [({"prediction": 3}, 3, "prediction"), ({"intermediate": 2, "prediction": 3}, 2, "intermediate")],
)
def test_the_first_step_and_its_term_are_named(
    bad: float, broken: dict[str, int], step: int, term: str
) -> None:
    meter = Meter({})
    for number in range(1, 6):
        values = [bad if number >= broken.get(name, 9) else 1.0 for name in ("intermediate", "prediction")]
        meter.add([terms(1.0, 1.0), terms(*values)], number)
    for look in (meter.sums, lambda: meter.means(5)):
        with pytest.raises(
            NonFiniteLossError, match=f"the {term} loss is not a finite number at step {step}"
        ) as caught:
            look()
        assert (caught.value.step, caught.value.term) == (step, term)
        assert isinstance(caught.value, RunError)


def test_nothing_is_kept_of_the_graph() -> None:
    meter = Meter({})
    meter.add([terms(1.0, 2.0)], 1)
    assert not meter._sums.requires_grad


class Time:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr("engine.training.meter.time.monotonic", lambda: self.now)


def test_reports_are_due_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock, due = Clock(60), []
    for _ in range(30):
        time.now += REPORT_SECONDS / 10
        due.append(clock.report_due())
    assert sum(due) in (2, 3)
    assert not any(due[:9])


def test_checkpoints_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock = Clock(60)
    time.now += 59
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()
    time.now += 1  # written within a second
    clock.checkpoint_saved()
    time.now += 59
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()
    time.now += 10  # slow this time
    clock.checkpoint_saved()
    time.now += 10 * CHECKPOINT_SHARE - 1
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()


def test_at_zero_seconds_the_first_step_is_kept() -> None:
    assert Clock(0).checkpoint_due()


def test_passes_with_terms_of_their_own() -> None:
    """Originals and augmented examples of one step; a term's sum is that of the passes that have it."""
    meter = Meter({})
    for number in (1, 2):
        meter.add(
            [
                terms(1.0, 2.0),
                {"augmented": torch.tensor(3.0)},
                terms(4.0, 5.0),
                {"augmented": torch.tensor(6.0)},
            ],
            number,
        )
    assert meter.means(2) == {"intermediate": 5.0, "prediction": 7.0, "augmented": 9.0}
