"""How long trainings will take."""

from __future__ import annotations

import numpy as np
import pytest

from autodistill.recommend.pace import FEW_PIECES, line_through, pace_of, planned
from autodistill.recommend.search_record import Known, SearchRecord, Trained
from tests.records import made_prior

EPOCHS = 10


def record(*pieces: tuple[str, int, float, bool]) -> SearchRecord:
    """Pieces: candidate, epoch, seconds, whether it failed."""
    steps = [
        Trained(candidate=name, epochs=until, score=None if failed else 0.5, seconds=taken, over=False, choice="a",
                failed="NaN" * failed)
        for name, until, taken, failed in pieces
    ]  # fmt: skip
    known = {name: Known(seconds=20.0, before=5.0, expected=0.0, latency_ms=1.0) for name in "abcdefgh"}
    about = {"identity": "0", "task": "t", "metric": "accuracy", "teacher": "big", "error": None, "prepared": 10.0}
    return SearchRecord(prior=made_prior(), candidates=known, steps=steps, **about)


def test_what_comes_before_the_first_epoch_is_planned_once() -> None:
    made = record(("a", 2, 1.0, False))
    assert planned(made, "b", 5, EPOCHS) == 5 + 10
    assert planned(made, "a", 5, EPOCHS) == 6
    assert planned(made, "a", 1, EPOCHS) == 0
    closed = made.model_copy(update={"closed": ["a"]})
    assert planned(closed, "a", 5, EPOCHS) == 15, "nothing is left to go on from"
    over = made.model_copy(update={"steps": [made.steps[0].model_copy(update={"over": True})]})
    assert planned(over, "a", EPOCHS, EPOCHS) == 0


def test_the_pace_is_that_of_most_pieces() -> None:
    """Three times as long as predicted, and two seconds beside; one has made what all use, and one failed at once."""
    pieces = [
        (name, until, 3 * (5 + 2 * until) + 2, False) for name, until in zip("abcdef", (1, 2, 3, 4, 5, 6), strict=True)
    ]
    made = record(*pieces, ("g", 3, 200.0, False), ("h", 5, 0.1, True))
    assert pace_of(made, dict.fromkeys("abcdefgh", EPOCHS)) == pytest.approx((3.0, 2.0))


def test_with_few_pieces_what_was_predicted_counts() -> None:
    made = record(*[("a", until, 50.0, False) for until in range(1, FEW_PIECES)])
    assert pace_of(made, {"a": EPOCHS}) == (1.0, 0.0)


def test_equal_plans_have_no_slope() -> None:
    assert line_through(np.ones(5), np.full(5, 4.0)) == (1.0, 3.0)
    assert line_through(np.arange(5.0), -np.arange(5.0)) == (0.0, 0.0)
