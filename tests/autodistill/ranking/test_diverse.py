"""Picks that are good, and differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autodistill.history.table import flat
from autodistill.ranking.diverse import diverse, kinds, percentiles
from autodistill.recommend.space import pipelines
from tests.autodistill.made_up import FRAME, STANDINGS


def a_space(spread: float) -> tuple[np.ndarray, pd.DataFrame]:
    """600 candidates whose standings are sums of what their components add, from best to worst `spread` apart."""
    knobs = {"intermediate": 10, "intermediate.alpha": 2, "mapping": 3, "prediction": 5, "prediction.temperature": 2}
    frame = pd.MultiIndex.from_product([range(count) for count in knobs.values()], names=[*knobs]).to_frame(index=False)
    standings = -(frame / frame.max()).mul([4, 0.1, 2, 1, 0.2]).sum(axis=1).to_numpy()
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


def test_picks_are_the_highest_of_each_kind() -> None:
    """Against a slow one; the former rule's picks of the recommender's space differed in α alone."""
    standings, frame = a_space(0.43)
    expected, seen = [], set()
    for row in sorted(frame.index, key=lambda row: -standings[row]):
        kind = tuple(frame.loc[row, ["intermediate", "mapping", "prediction"]])
        if kind not in seen and len(expected) < 5:
            expected.append(row)
            seen.add(kind)
    assert diverse(standings, frame, 5) == expected


def test_where_good_ones_are_of_too_few_kinds_the_highest_of_the_others_follow() -> None:
    """They are better than those below the 95th percentile."""
    frame = pd.DataFrame({"intermediate": ["mi_alpha"] * 97 + ["mse", "cos", "none"], "intermediate.alpha": range(100)})
    frame = frame.assign(teacher="t", student="s")
    standings = -np.arange(100.0)
    assert diverse(standings, frame, 3) == [0, 1, 2]
    assert diverse(standings, frame, 3, lowest=0.0) == [0, 97, 98]


def test_picks_of_the_recommenders_space_never_differ_in_knobs_alone() -> None:
    """One kind of each component is best by far, and α decides hardly anything: picks differed in α alone."""
    frame = pd.DataFrame([flat(each.model_dump()) for each in pipelines("classification")])
    frame = frame.assign(teacher="t", student="s")
    worth = {"intermediate": "mi_alpha", "mapping": "skip", "prediction": "ce"}
    standings = np.sum([frame[name] == kind for name, kind in worth.items()], axis=0) + 0.1 * frame[
        ["augmentation.random", "augmentation.mixup", "augmentation.contextual"]
    ].notna().sum(axis=1)
    standings = (standings + 0.01 * frame["intermediate.alpha"].fillna(0)).to_numpy()
    rows = diverse(standings, frame, 5)
    good = percentiles(standings) >= 0.95
    assert kinds(frame).iloc[rows].nunique() == min(5, kinds(frame)[good].nunique()) > 1
    assert (percentiles(standings)[rows] >= 0.95).all()


def test_a_kind_is_what_the_components_are() -> None:
    """Weights have knobs alone, so these tell kinds apart."""
    frame = pd.DataFrame(
        {
            "intermediate": ["mse", "cos", "mi_alpha", "mi_alpha", "mi_alpha"],
            "intermediate.alpha": [None, None, 0.1, 0.9, 0.9],
            "weights.hard_label": [0.0, 0.0, 0.0, 0.0, 1.0],
        }
    )
    assert kinds(frame.assign(teacher="t", student="s")).nunique() == 4
    assert kinds(frame.assign(teacher="t", student=list("aabbc"))).nunique() == 4
    assert kinds(frame.assign(teacher="t", student=list("aabcc"))).nunique() == 5
    assert kinds(frame.iloc[:1].assign(teacher="t", student="s")).nunique() == 1


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
    assert rows[0] == 0
    assert kinds(frame).iloc[rows].is_unique


def test_of_equal_candidates_the_first_are_picked() -> None:
    frame = pd.DataFrame({"intermediate": [f"kind {place % 7}" for place in range(700)]}).assign(
        teacher="t", student="s"
    )
    standings = np.where(np.arange(700) % 2, 1.0, 0.0)
    assert diverse(standings, frame, 6) == [1, 3, 5, 7, 9, 11]


def test_the_lowest_percentile_may_be_picked() -> None:
    """Of 20 candidates the second is at 95 %."""
    frame = pd.DataFrame({"intermediate": ["mse"] * 19 + ["cos"]}).assign(teacher="t", student="s")
    standings = np.array([*range(19, 0, -1), 19.5])  # cos is the best, the first mse the second
    assert diverse(standings, frame, 2) == [19, 0]
    assert diverse(standings, frame, 2, lowest=0.951) == [19, 0], "too few are good enough: the first ones"


def test_there_are_no_more_picks_than_candidates() -> None:
    assert sorted(diverse(STANDINGS, FRAME, 20)) == list(range(8))
