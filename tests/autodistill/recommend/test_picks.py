"""What speaks for a pick, what is neither better nor cheaper, and what was never run."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autodistill.recommend.picks import contributions, pareto, unseen_kinds, with_a_team
from tests.autodistill.made_up import FRAME, STANDINGS


def test_contributions_are_differences_to_what_differs_in_one_component() -> None:
    found = contributions(STANDINGS, FRAME, 0)
    assert list(found) == ["intermediate", "mapping", "prediction"]
    np.testing.assert_allclose(list(found.values()), [1.0 - 0.6, 1.0 - 0.8, 1.0 - 0.9])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=20))
def test_the_front(pairs: list[tuple[int, int]]) -> None:
    standings, seconds = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    front = pareto(standings, seconds)
    for row in range(len(pairs)):
        no_worse = (standings >= standings[row]) & (seconds <= seconds[row])
        beaten = (no_worse & ((standings > standings[row]) | (seconds < seconds[row]))).any()
        twin = any(standings[row] == standings[other] and seconds[row] == seconds[other] for other in front)
        assert twin == (not beaten)
    assert list(seconds[front]) == sorted(seconds[front])


def test_kinds_without_any_past_run_are_named() -> None:
    past = FRAME[FRAME.intermediate == "mse"]
    assert unseen_kinds(FRAME.iloc[-1], past) == ["intermediate"]
    assert unseen_kinds(FRAME.iloc[0], past) == []


def test_the_best_team_is_among_the_picks_where_there_is_one() -> None:
    """No past run has one, so none stood among the best, and what was asked for was not offered."""
    alone = FRAME.assign(team="single")
    assert with_a_team([0, 1], STANDINGS, alone) == [0, 1]
    taught = alone.assign(team=["single"] * 4 + ["average", "single", "weighted", "single"])
    assert with_a_team([0, 1], STANDINGS, taught) == [0, 1, 4]
    assert with_a_team([0, 5], STANDINGS, taught) == [0, 4, 5], "in the order of preference"
    assert with_a_team([0, 6], STANDINGS, taught) == [0, 6], "there is one already"
