"""Picks that are good, and differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from autodistill.history.table import flat
from autodistill.ranking.diverse import diverse, likeness, percentiles
from autodistill.ranking.past import varying_columns
from autodistill.recommend.space import pipelines
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


def test_picks_are_the_farthest_first_of_the_good_ones() -> None:
    """Against a slow one; the former rule's picks of the recommender's space differed in α alone."""
    standings, frame = a_space(0.43)
    alike, good = likeness(frame), [row for row in range(len(frame)) if percentiles(standings)[row] >= 0.95]
    expected = [int(standings.argmax())]
    while len(expected) < 5:
        left = [row for row in good if row not in expected]
        expected.append(min(left, key=lambda row: (max(alike(row)[expected]), -standings[row])))
    assert sorted(diverse(standings, frame, 5)) == sorted(expected)


def test_good_picks_differ_more_than_the_best_do() -> None:
    standings, frame = a_space(0.43)
    best, picked = np.argsort(-standings)[:5], diverse(standings, frame, 5)
    alike = likeness(frame)
    shared = [np.mean([alike(row)[[each for each in rows if each != row]] for row in rows]) for rows in (best, picked)]
    assert shared[1] < shared[0] - 0.1


def test_picks_of_the_recommenders_space_never_differ_in_one_knob_alone() -> None:
    """One kind of each component is best by far, and α decides hardly anything: picks differed in α alone."""
    frame = pd.DataFrame([flat(each.model_dump()) for each in pipelines("classification")])
    frame = frame.assign(teacher="t", student="s")
    worth = {"intermediate": "mi_alpha", "mapping": "skip", "prediction": "ce"}
    standings = np.sum([frame[name] == kind for name, kind in worth.items()], axis=0) + 0.3 * frame[
        ["augmentation.random", "augmentation.mixup", "augmentation.contextual"]
    ].notna().sum(axis=1)
    standings = (standings + 0.01 * frame["intermediate.alpha"].fillna(0)).to_numpy()
    rows = diverse(standings, frame, 5)
    columns = frame[varying_columns(frame)].astype(str).to_numpy()
    assert min((columns[one] != columns[other]).sum() for one, other in combinations(rows, 2)) > 1
    assert (percentiles(standings)[rows] >= 0.95).all()


def test_a_component_of_another_kind_is_not_alike_at_all() -> None:
    """mse and cos, which have no knobs, were alike in every knob of mi_alpha."""
    frame = pd.DataFrame(
        {
            "intermediate": ["mse", "cos", "mi_alpha", "mi_alpha"],
            "intermediate.alpha": [None, None, 0.1, 0.9],
            "intermediate.critic": [None, None, "mlp", "mlp"],
            "mapping": ["skip", "skip", "skip", "emd"],
        }
    ).assign(teacher="t", student="s")
    alike = likeness(frame)
    np.testing.assert_allclose(alike(0), [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(alike(2), [0.5, 0.5, 1, (2 / 3 + 0) / 2])


def test_of_few_candidates_the_best_are_picked() -> None:
    assert diverse(STANDINGS, FRAME, 3) == [0, 1, 2]


def test_equal_standings_share_the_middle_of_their_ranks() -> None:
    """Of candidates that are all tied, each was called better than the whole rest."""
    assert percentiles(np.array([2.0, 1.0, 2.0, 0.0])).tolist() == [0.875, 0.5, 0.875, 0.25]
    assert percentiles(np.zeros(999)).tolist() == [pytest.approx(0.5, abs=0.001)] * 999


@pytest.mark.parametrize("best", [0, 3])
def test_where_all_or_nearly_all_are_tied_picks_differ_all_the_same(best: int) -> None:
    """A deduction in units of the spread was none where there is no spread: picks differed in one knob."""
    _, frame = a_space(1.0)
    standings = np.where(np.arange(len(frame)) < best, 1.0, 0.0)
    rows = diverse(standings, frame, 5)
    assert set(range(best)) <= set(rows)
    alike = likeness(frame)
    assert max(alike(row)[other] for row in rows[best:] for other in rows if row != other) <= 1 / 3


def test_there_are_no_more_picks_than_candidates() -> None:
    assert sorted(diverse(STANDINGS, FRAME, 20)) == list(range(8))
