"""Picks that are good, and differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autodistill.ranking.diverse import diverse, likeness, percentiles
from tests.autodistill.made_up import FRAME, STANDINGS


def a_space(spread: float) -> tuple[np.ndarray, pd.DataFrame]:
    """600 candidates whose standings are sums of what their components add, from best to worst `spread` apart."""
    knobs = {"intermediate": 10, "mapping": 3, "prediction": 4, "augmentation": 5}
    frame = pd.MultiIndex.from_product([range(count) for count in knobs.values()], names=[*knobs]).to_frame(index=False)
    standings = -(frame / frame.max()).mul([4, 2, 1, 1]).sum(axis=1).to_numpy()
    frame = frame.astype(str).assign(teacher="t", student="s")
    return spread * standings / np.ptp(standings), frame


@pytest.mark.parametrize("spread", [0.004, 0.43, 40.0])
def test_every_pick_is_a_good_one_whatever_the_scale_of_the_order(spread: float) -> None:
    """A deduction that is larger than the spread of the order made picks of its lower half."""
    standings, frame = a_space(spread)
    rows = diverse(standings, frame, 5)
    assert rows == diverse(standings / spread, frame, 5)
    assert rows[0] == standings.argmax()
    assert (percentiles(standings)[rows] >= 0.95).all()
    assert list(standings[rows]) == sorted(standings[rows], reverse=True)


def test_good_picks_differ_more_than_the_best_do() -> None:
    standings, frame = a_space(0.43)
    best, picked = np.argsort(-standings)[:5], diverse(standings, frame, 5)
    alike = likeness(frame)
    shared = [np.mean([alike(row)[[each for each in rows if each != row]] for row in rows]) for rows in (best, picked)]
    assert shared[1] < shared[0] - 0.1


def test_of_few_candidates_the_best_are_picked() -> None:
    assert diverse(STANDINGS, FRAME, 3) == [0, 1, 2]


def test_equal_standings_share_a_percentile() -> None:
    assert percentiles(np.array([2.0, 1.0, 2.0, 0.0])).tolist() == [1.0, 0.5, 1.0, 0.25]


def test_there_are_no_more_picks_than_candidates() -> None:
    assert sorted(diverse(STANDINGS, FRAME, 20)) == list(range(8))
