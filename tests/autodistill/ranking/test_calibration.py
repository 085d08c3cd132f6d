"""Ratios and their intervals: what they are made of, and that they hold what they promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autodistill.evaluation.leave_one_out import leave_one_out
from autodistill.ranking.calibration import (
    LEVELS,
    Calibration,
    calibrate,
    gaps,
    left_out_standings,
    quantiles,
    weighted_quantiles,
)
from autodistill.ranking.mixed import fit_mixed
from autodistill.ranking.past import RunTable, target
from autodistill.ranking.simple import mean_rank
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.reference import calibration as reference


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(everywhere_the_same, datasets=12, noise=0.6)


def test_equal_weights_give_plain_quantiles() -> None:
    values = np.random.default_rng(0).standard_normal(4001)
    found = weighted_quantiles(values, np.ones(4001), (0.1, 0.5, 0.9))
    np.testing.assert_allclose(found, np.quantile(values, [0.1, 0.5, 0.9]), atol=1e-2)


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_weighted_quantiles(size: int) -> None:
    dice = np.random.default_rng(size)
    values, weights = dice.standard_normal(size), dice.uniform(0.1, 3, size)
    levels = (0.0, 0.05, 0.3, 0.5, 0.9, 1.0)
    expected = [reference.quantile(values.tolist(), weights.tolist(), level) for level in levels]
    np.testing.assert_allclose(weighted_quantiles(values, weights, levels), expected)


def test_a_weight_of_two_is_a_value_twice() -> None:
    values, weights = np.array([1.0, 2.0, 3.0, 10.0]), np.array([1.0, 2.0, 1.0, 1.0])
    (median,) = weighted_quantiles(values, weights, (0.5,))
    assert median == pytest.approx(2.25, abs=0.3)


def test_the_gap_is_the_way_from_the_bilstm_to_the_teacher(table: RunTable) -> None:
    np.testing.assert_allclose(gaps(table), 1 - 0.7 / 0.9)
    own = replace(table, runs=table.runs.assign(bilstm_score=0.45))
    np.testing.assert_allclose(gaps(own), 0.5)


@pytest.mark.parametrize("bilstm", [np.nan, 0.9, 0.95])
def test_without_a_way_between_them_the_gap_is_unknown(table: RunTable, bilstm: float) -> None:
    runs = table.runs.assign(bilstm_score=bilstm)
    datasets = {} if np.isnan(bilstm) else table.datasets
    assert np.isnan(gaps(replace(table, runs=runs, datasets=datasets))).all()
    ratios = calibrate(table, target(table.runs).to_numpy())(np.zeros(3), np.full(3, np.nan))
    assert np.isfinite(ratios).all()


@pytest.fixture(name="uneven", scope="module")
def _uneven(table: RunTable) -> RunTable:
    """Datasets of 1 to 18 runs, with gaps of 4 to 37 %, two of them unknown; some runs have no ratio."""
    runs, dice = table.runs[table.runs.dataset.isin([f"set{place}" for place in range(6)])], np.random.default_rng(0)
    kept = [group.head(size) for (_, group), size in zip(runs.groupby("dataset"), (1, 2, 5, 9, 12, 18), strict=True)]
    runs = pd.concat(kept).reset_index(drop=True)
    levels = {"set0": 0.57, "set1": 0.86, "set2": 0.7, "set3": 0.89, "set4": np.nan, "set5": 0.8}
    runs = runs.assign(bilstm_score=runs.dataset.map(levels), ratio=runs.ratio - 0.1 * dice.random(len(runs)))
    runs.loc[[4, 30], "ratio"] = np.nan
    return replace(table, runs=runs, datasets={})


@pytest.mark.parametrize("datasets", [6, 3, 2, 1])
def test_ratios_are_those_of_the_naive_reference(uneven: RunTable, datasets: int) -> None:
    names = [f"set{place}" for place in range(6)][-datasets:]
    table = replace(uneven, runs=uneven.runs[uneven.runs.dataset.isin(names)].reset_index(drop=True))
    standings = np.random.default_rng(1).standard_normal(len(table.runs))
    calibration = calibrate(table, standings)

    columns = zip(
        *(table.runs[name] for name in ("dataset", "ratio", "bilstm_score", "teacher_score")), standings, strict=True
    )
    names = ("dataset", "ratio", "bilstm", "teacher", "standing")
    past, usual = reference.learned([dict(zip(names, row, strict=True)) for row in columns])
    for name in ("standing", "gap", "loss", "weight"):
        np.testing.assert_allclose(calibration.past[name], [run[name] for run in past], err_msg=name)
    np.testing.assert_allclose([calibration.middle_gap, calibration.widening], [usual, reference.widening(past)])

    asked, own = np.array([-2.5, -0.4, 0.0, 0.3, 1.9]), np.array([0.05, 0.3, np.nan, 0.1, 0.4])
    expected = [reference.widened(past, usual, *each) for each in zip(asked, own, strict=True)]
    np.testing.assert_allclose(calibration(asked, own), expected, rtol=1e-6)


def test_a_higher_standing_gets_a_higher_ratio(table: RunTable) -> None:
    calibration = calibrate(table, target(table.runs).to_numpy())
    ratios = calibration(np.array([-1.5, 0.0, 1.5]), np.full(3, 0.2))
    assert (np.diff(ratios[:, 1]) > 0).all()
    assert (ratios[:, 0] <= ratios[:, 1]).all()
    assert (ratios[:, 1] <= ratios[:, 2]).all()


def test_a_wider_gap_loses_more(table: RunTable) -> None:
    past = calibrate(table, target(table.runs).to_numpy()).past
    near, far = quantiles(past, np.zeros(2), np.array([0.1, 0.3]))
    np.testing.assert_allclose(1 - far, 3 * (1 - near))


def test_with_too_few_datasets_there_is_no_interval(table: RunTable) -> None:
    few = replace(table, runs=table.runs[table.runs.dataset.isin(["set0", "set1"])])
    ratios = calibrate(few, target(few.runs).to_numpy())(np.zeros(2), np.full(2, 0.2))
    assert np.isnan(ratios[:, [0, 2]]).all()
    assert np.isfinite(ratios[:, 1]).all()


def test_with_too_few_datasets_there_is_none_outside_of_experience_either(table: RunTable) -> None:
    runs = table.runs[table.runs.dataset.isin(table.names[:1])]
    few = replace(table, runs=runs)
    found = calibrate(few, np.zeros(len(runs)))
    low, _, high = found(np.zeros(2), np.full(2, 0.2), np.array([True, False]), np.full((2, 2), 0.9)).T
    assert np.isnan([low, high]).all()


def test_a_single_run_of_a_dataset_counts_little(table: RunTable) -> None:
    runs = table.runs.copy()
    first = runs[runs.dataset == "set0"].index
    runs.loc[first, "ratio"] = 0.1
    alone = replace(table, runs=runs.drop(first[1:]))
    many = replace(table, runs=runs)
    lows = []
    for given in (alone, many):
        calibration = calibrate(given, target(given.runs).to_numpy())
        lows.append(calibration(np.zeros(1), np.full(1, 0.2))[0, 0])
    assert lows[1] < lows[0]


def test_intervals_hold_what_they_promise(table: RunTable) -> None:
    held = []
    for found in leave_one_out(fit_mixed, table):
        past = table.without(found.dataset)
        calibration = calibrate(past, left_out_standings(fit_mixed, found.rank, past))
        low, _, high = calibration(found.runs.predicted.to_numpy(), np.full(len(found.runs), 1 - 0.7 / 0.9)).T
        held.append(((low <= found.runs.ratio) & (found.runs.ratio <= high)).mean())
    assert 0.7 <= np.mean(held) <= 0.9


def test_predictors_that_know_no_left_out_standings_are_fitted_again(table: RunTable) -> None:
    standings = left_out_standings(mean_rank, mean_rank(table), table)
    for found in leave_one_out(mean_rank, table):
        inside = (table.runs.dataset == found.dataset).to_numpy()
        np.testing.assert_array_equal(standings[inside], found.runs.predicted)


def test_two_datasets_are_enough_to_leave_one_out(table: RunTable) -> None:
    two = replace(table, runs=table.runs[table.runs.dataset.isin(table.names[:2])])
    assert left_out_standings(mean_rank, mean_rank(two), two).any()
    one = replace(table, runs=table.runs[table.runs.dataset == table.names[0]])
    assert not left_out_standings(mean_rank, mean_rank(one), one).any()


def test_where_no_gap_is_known_it_is_that_of_a_teacher_over_nothing(table: RunTable) -> None:
    blind = replace(table, runs=table.runs.assign(teacher_score=np.nan))
    assert calibrate(blind, np.zeros(len(blind.runs))).middle_gap == 1.0


def test_outside_of_experience_the_interval_is_that_of_all_runs_and_of_no_teaching(table: RunTable) -> None:
    calibration = calibrate(table, target(table.runs).to_numpy())
    standings, gaps = np.array([2.0, 2.0, 0.0]), np.full(3, 0.2)
    inside, outside = (calibration(standings, gaps, np.full(3, far)) for far in (False, True))
    np.testing.assert_array_equal(inside, calibration(standings, gaps))
    np.testing.assert_array_equal(outside[:, 1], inside[:, 1])
    assert (outside[:, 0] < inside[:, 0]).all()
    assert (outside[:, 0] <= 1 - 0.2).all(), "nothing says that the student is better than the Bi-LSTM"
    assert (outside[:, 2] >= inside[:, 2]).all()
    one = calibration(standings, gaps, np.array([True, False, False]))
    np.testing.assert_array_equal(one, np.where(np.array([[True], [False], [False]]), outside, inside))


def test_outside_of_experience_the_interval_holds_what_was_reached_there(table: RunTable) -> None:
    calibration = calibrate(table, target(table.runs).to_numpy())
    standings, gaps, outside = np.zeros(4), np.full(4, 0.2), np.array([True, True, True, False])
    reached = np.array([[0.3, 1.4], [0.9, 0.9], [np.nan, np.nan], [0.3, 1.4]])
    known, wide = calibration(standings, gaps, outside, reached), calibration(standings, gaps, outside)
    np.testing.assert_array_equal(known[0, [0, 2]], [0.3, 1.4])
    np.testing.assert_array_equal(known[1:], wide[1:])
    np.testing.assert_array_equal(known[:, 1], wide[:, 1])


@pytest.mark.parametrize("losses", [[0.1, 0.3, 0.5, 0.7], [0.1, 0.6, 1.2, 3.0], [-0.5, -0.2, 0.1, 1.1]], ids=str)
def test_the_ends_outside_of_experience(losses: list[float]) -> None:
    """Teacher's and Bi-LSTM's ratio lie `gap` apart; a run loses a part of it, or gains where the part is negative."""
    weights = [1.0, 2.0, 1.0, 1.0]
    past = {"dataset": "a", "ratio": 0.9, "standing": 0.0, "gap": 0.2, "loss": losses, "weight": weights}
    calibration = Calibration(pd.DataFrame(past), middle_gap=0.3, widening=0.0)  # no wider than its median by itself
    known = np.array([0.2, 0.5, np.nan])
    low, middle, high = calibration(np.zeros(3), known, np.full(3, True)).T
    most, _, least = (reference.quantile(losses, weights, level) for level in LEVELS)
    gap = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(low, np.minimum(middle, 1 - gap * max(most, 1.0)))
    np.testing.assert_allclose(high, np.maximum(middle, 1 - gap * least))
    narrow = replace(calibration, widening=np.nan)(np.zeros(3), known, np.full(3, True))
    assert np.isnan(narrow[:, [0, 2]]).all(), "without an interval there is none outside, either"
