"""Ratios and their intervals: what they are made of, and that they hold what they promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill.evaluation.leave_one_out import leave_one_out
from autodistill.ranking.calibration import BY_BILSTM, LEAST_SPREADS, calibrate, left_out_standings, weighted_quantiles
from autodistill.ranking.circumstances import GAPS, conditions
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


def test_a_gap_is_the_way_from_a_simple_model_to_the_teacher(table: RunTable) -> None:
    np.testing.assert_allclose(conditions(table).bilstm, 1 - 0.7 / 0.9)
    own = replace(table, runs=table.runs.assign(bilstm_score=0.45, trivial_score=0.09))
    np.testing.assert_allclose(conditions(own).bilstm, 0.5)
    np.testing.assert_allclose(conditions(own).trivial, 0.9)


def test_where_there_is_no_linear_model_it_is_taken_for_the_bi_lstm(table: RunTable) -> None:
    assert conditions(table).linear.equals(conditions(table).bilstm)
    own = replace(table, runs=table.runs.assign(linear_score=0.45))
    np.testing.assert_allclose(conditions(own).linear, 0.5)


def test_the_form_of_a_student_is_what_its_name_says(table: RunTable) -> None:
    names = ["lstm:hidden=64", "static", "scratch:layers=2,hidden=128", "layers:2", "bert-base-uncased"]
    runs = table.runs.head(5).assign(student=names)
    assert [*conditions(replace(table, runs=runs)).form] == ["lstm", "static", "scratch", "pretrained", "pretrained"]


@pytest.mark.parametrize("teacher", [np.nan, 0.0, -0.2])
def test_without_a_teacher_worth_the_name_no_gap_is_known(table: RunTable, teacher: float) -> None:
    blind = replace(table, runs=table.runs.assign(teacher_score=teacher))
    assert conditions(blind)[[*GAPS]].isna().all(axis=None)
    ratios = calibrate(table, target(table.runs).to_numpy())(np.zeros(len(blind.runs)), blind)
    assert np.isfinite(ratios).all()
    known = calibrate(blind, np.zeros(len(blind.runs)))
    assert known.line.usual == dict.fromkeys(BY_BILSTM, 1.0)
    assert np.isfinite(known(np.zeros(len(blind.runs)), blind)).all()


def test_a_bi_lstm_may_be_ahead_of_the_teacher_by_any_factor(table: RunTable) -> None:
    far = replace(table, runs=table.runs.assign(bilstm_score=0.9, teacher_score=0.01))
    np.testing.assert_array_equal(conditions(far).bilstm, -1)


@pytest.fixture(name="uneven", scope="module")
def _uneven(table: RunTable) -> RunTable:
    """Datasets of 1 to 18 runs of three forms of students, with gaps of −10 to 37 %; some are unknown, and some runs
    have no ratio."""
    runs, dice = table.runs[table.runs.dataset.isin([f"set{place}" for place in range(6)])], np.random.default_rng(0)
    kept = [group.head(size) for (_, group), size in zip(runs.groupby("dataset"), (1, 2, 5, 9, 12, 18), strict=True)]
    runs = pd.concat(kept).reset_index(drop=True)
    levels = {"set0": 0.57, "set1": 0.86, "set2": 0.7, "set3": 0.99, "set4": np.nan, "set5": 0.8}
    runs = runs.assign(bilstm_score=runs.dataset.map(levels), ratio=runs.ratio - 0.1 * dice.random(len(runs)))
    runs["linear_score"] = np.where(dice.random(len(runs)) < 0.3, np.nan, 0.5 + 0.3 * dice.random(len(runs)))
    runs["trivial_score"] = runs.dataset.map({"set1": 0.5, "set2": 0.3, "set5": 0.6})
    runs["student"] = dice.choice(["small", "lstm", "scratch:layers=1"], len(runs))
    runs.loc[[4, 30], "ratio"] = np.nan
    return replace(table, runs=runs, datasets={})


@pytest.mark.parametrize("known", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("datasets", [6, 3, 2, 1])
def test_ratios_are_those_of_the_naive_reference(uneven: RunTable, datasets: int, known: float) -> None:
    """With what students reach alone known of so many runs."""
    names = [f"set{place}" for place in range(6)][-datasets:]
    dice = np.random.default_rng(3)
    alone = np.where(dice.random(len(uneven.runs)) < known, 0.6 + 0.3 * dice.random(len(uneven.runs)), np.nan)
    uneven = replace(uneven, runs=uneven.runs.assign(student_alone_score=alone))
    table = replace(uneven, runs=uneven.runs[uneven.runs.dataset.isin(names)].reset_index(drop=True))
    standings = np.random.default_rng(1).standard_normal(len(table.runs))
    asked = replace(uneven, runs=uneven.runs.assign(student=uneven.runs.student.replace("lstm", "static")))
    own = np.random.default_rng(2).standard_normal(len(asked.runs))

    past = reference.learned(_plain(table, standings))
    expected = [reference.ratios(past, each) for each in _plain(asked, own)[::5]]
    np.testing.assert_allclose(calibrate(table, standings)(own, asked)[::5], expected, rtol=1e-6)


def _plain(table: RunTable, standings: np.ndarray) -> list[dict[str, Any]]:
    """Runs as the reference reads them."""
    scores = {name: table.runs[f"{name}_score"] for name in ("bilstm", "linear", "trivial", "teacher")}
    scores["alone"] = table.runs.student_alone_score
    columns = {"dataset": table.runs.dataset, "ratio": table.runs.ratio, "form": conditions(table).form, **scores}
    return pd.DataFrame(columns).assign(standing=standings).to_dict("records")


def test_a_higher_standing_gets_a_higher_ratio(table: RunTable) -> None:
    calibration = calibrate(table, target(table.runs).to_numpy())
    ratios = calibration(np.array([-1.5, 0.0, 1.5]), _first(table, 3))
    assert (np.diff(ratios[:, 1]) > 0).all()
    assert (ratios[:, 0] <= ratios[:, 1]).all()
    assert (ratios[:, 1] <= ratios[:, 2]).all()


def _first(table: RunTable, count: int, **more: object) -> RunTable:
    """The first candidates, with these columns."""
    return replace(table, runs=table.runs.head(count).assign(**more))


def test_a_form_of_students_has_its_own_level(table: RunTable) -> None:
    """Where a small transformer learns little, a Bi-LSTM may be ahead of the teacher."""
    own = np.arange(len(table.runs)) % 2 == 0
    students = np.where(own, "lstm", "scratch:layers=1")
    runs = table.runs.assign(student=students, ratio=table.runs.ratio + np.where(own, 0.2, -0.2))
    calibration = calibrate(replace(table, runs=runs), np.zeros(len(runs)))
    low, middle, high = calibration(np.zeros(2), _first(table, 2, student=["lstm", "scratch:layers=1"])).T
    assert middle[0] - middle[1] == pytest.approx(0.4, abs=0.05)
    assert high[1] < low[0]
    unseen = calibration(np.zeros(1), _first(table, 1, student="static"))
    assert middle[1] < unseen[0, 1] < middle[0]


def test_what_is_far_from_what_was_seen_is_less_sure(table: RunTable) -> None:
    levels = dict(zip(table.names, np.linspace(0.6, 0.8, len(table.names)), strict=True))
    past = replace(table, runs=table.runs.assign(bilstm_score=table.runs.dataset.map(levels)))
    calibration = calibrate(past, np.zeros(len(past.runs)))
    low, _, high = calibration(np.zeros(3), _first(table, 3, bilstm_score=[0.7, 0.3, 0.05])).T
    assert (np.diff(high - low) > 0).all()


def test_where_simple_models_come_near_the_teacher_ratios_spread_less(table: RunTable) -> None:
    dice = np.random.default_rng(0)
    gaps = dict(zip(table.names, np.linspace(0.02, 0.5, len(table.names)), strict=True))
    gap = table.runs.dataset.map(gaps)
    runs = table.runs.assign(bilstm_score=0.9 * (1 - gap), ratio=1 - gap * (0.5 + 0.2 * dice.standard_normal(len(gap))))
    calibration = calibrate(replace(table, runs=runs), np.zeros(len(runs)))
    assert calibration.line.least_spread == min(LEAST_SPREADS)
    low, _, high = calibration(np.zeros(2), _first(table, 2, bilstm_score=[0.85, 0.5])).T
    assert 3 * (high - low)[0] < (high - low)[1]


def test_with_too_few_datasets_there_is_no_interval(table: RunTable) -> None:
    few = replace(table, runs=table.runs[table.runs.dataset.isin(["set0", "set1"])])
    ratios = calibrate(few, target(few.runs).to_numpy())(np.zeros(2), _first(table, 2))
    assert np.isnan(ratios[:, [0, 2]]).all()
    assert np.isfinite(ratios[:, 1]).all()


def test_with_too_few_datasets_there_is_none_outside_of_experience_either(table: RunTable) -> None:
    runs = table.runs[table.runs.dataset.isin(table.names[:1])]
    found = calibrate(replace(table, runs=runs), np.zeros(len(runs)))
    low, _, high = found(np.zeros(2), _first(table, 2), np.array([True, False]), np.full((2, 2), 0.9)).T
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
        lows.append(calibration(np.zeros(1), _first(table, 1))[0, 0])
    assert lows[1] < lows[0]


def test_intervals_hold_what_they_promise(table: RunTable) -> None:
    held = []
    for found in leave_one_out(fit_mixed, table):
        past = table.without(found.dataset)
        calibration = calibrate(past, left_out_standings(fit_mixed, found.rank, past))
        low, _, high = calibration(found.runs.predicted.to_numpy(), replace(table, runs=found.runs)).T
        held.append(((low <= found.runs.ratio) & (found.runs.ratio <= high)).mean())
    assert 0.7 <= np.mean(held) <= 0.95


def test_most_datasets_have_most_of_their_runs_inside(table: RunTable) -> None:
    """Of every fourth dataset the level is another one: four fifths of all runs lie near the others' level, and yet a
    fourth of the datasets would be missed."""
    dice = np.random.default_rng(0)
    apart = {name: 0.3 * (place % 4 == 0) for place, name in enumerate(table.names)}
    ratios = 0.8 + table.runs.dataset.map(apart) + 0.01 * dice.standard_normal(len(table.runs))
    past = replace(table, runs=table.runs.assign(ratio=ratios))
    low, _, high = calibrate(past, np.zeros(len(ratios)))(np.zeros(1), _first(table, 1)).T
    assert low < 0.8
    assert high > 1.1


def test_every_dataset_has_three_fifths_of_its_runs_inside(table: RunTable) -> None:
    """One of sixteen is far above, and holds too few of all runs to count by anything else."""
    dice = np.random.default_rng(0)
    ratios = 0.8 + 0.01 * dice.standard_normal(len(table.runs)) + 0.3 * (table.runs.dataset == "set3")
    past = replace(table, runs=table.runs.assign(ratio=ratios))
    calibration = calibrate(past, np.zeros(len(ratios)))
    _, _, high = calibration(np.zeros(len(ratios)), past).T
    assert (ratios <= high)[table.runs.dataset == "set3"].mean() >= 0.6


def test_what_the_student_reaches_alone_says_what_it_will_reach(table: RunTable) -> None:
    """The Bi-LSTM says nothing here: with it alone every dataset is expected to be the same."""
    dice = np.random.default_rng(0)
    alone = table.runs.dataset.map({name: 0.4 + 0.03 * place for place, name in enumerate(table.names)})
    runs = table.runs.assign(student_alone_score=alone, teacher_score=0.9, bilstm_score=0.5)
    runs = runs.assign(ratio=alone / 0.9 + 0.005 * dice.standard_normal(len(alone)))
    calibration = calibrate(replace(table, runs=runs), np.zeros(len(runs)))
    asked = _first(table, 2, student_alone_score=[0.45, np.nan], teacher_score=0.9, bilstm_score=0.5)
    (near, of_all), low, high = (calibration(np.zeros(2), asked)[:, place] for place in (1, 0, 2))
    assert near == pytest.approx(0.5, abs=0.02)
    assert of_all == pytest.approx(runs.ratio.mean(), abs=0.05)
    assert 3 * (high - low)[0] < (high - low)[1]


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


def test_outside_of_experience_the_interval_is_the_widest_and_holds_most_ratios_and_no_teaching(
    uneven: RunTable,
) -> None:
    calibration = calibrate(uneven, np.zeros(len(uneven.runs)))
    asked = replace(uneven, runs=uneven.runs[uneven.runs.bilstm_score.notna()])
    standings, count = np.full(len(asked.runs), 2.0), len(asked.runs)
    inside, outside = (calibration(standings, asked, np.full(count, far)) for far in (False, True))
    np.testing.assert_array_equal(inside, calibration(standings, asked))
    np.testing.assert_array_equal(outside[:, 1], inside[:, 1])
    untaught = (asked.runs.bilstm_score / asked.runs.teacher_score).to_numpy()
    assert ((outside[:, 0] <= untaught) & (untaught <= outside[:, 2])).all()
    assert (outside[:, 0] <= inside[:, 0]).all()
    assert (outside[:, 2] >= inside[:, 2]).all()
    past = uneven.runs[uneven.runs.ratio.notna()]
    counts = past.dataset.map(past.dataset.value_counts())
    rows = past.ratio.tolist(), (1 / (counts + 5)).tolist()
    ends = [reference.quantile(*rows, level) for level in (0.1, 0.9)]
    np.testing.assert_allclose(calibration.most, ends)
    assert (outside[:, 0] <= ends[0]).all()
    assert (outside[:, 2] >= ends[1]).all()
    widest = max(calibration.spreads, key=lambda form: calibration.spreads[form])
    assert ((outside != inside).any(axis=1) | (conditions(asked).form == widest)).all()
    some = np.arange(count) % 2 == 0
    np.testing.assert_array_equal(calibration(standings, asked, some), np.where(some[:, None], outside, inside))


def test_outside_of_experience_the_interval_holds_what_was_reached_there(table: RunTable) -> None:
    calibration = calibrate(table, target(table.runs).to_numpy())
    standings, asked, outside = np.zeros(4), _first(table, 4), np.array([True, True, True, False])
    reached = np.array([[0.3, 1.4], [0.9, 0.9], [np.nan, np.nan], [0.3, 1.4]])
    known, wide = calibration(standings, asked, outside, reached), calibration(standings, asked, outside)
    np.testing.assert_array_equal(known[0, [0, 2]], [0.3, 1.4])
    np.testing.assert_array_equal(known[1:], wide[1:])
    np.testing.assert_array_equal(known[:, 1], wide[:, 1])
