"""The target, rank correlations and folds, against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodistill.history.table import REMARKS
from autodistill.ranking.past import (
    FEWEST,
    RunTable,
    as_words,
    configurations,
    folds,
    gaussian_ranks,
    joined,
    rank_correlations,
    spearman,
    target,
    varying_columns,
)
from autodistill.ranking.simple import mean_rank
from tests.autodistill.made_up import everywhere_the_same, made_up


def ranks(values: list[float]) -> list[float]:
    """1 for the smallest; equal values share the mean of their ranks."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def slow_spearman(one: list[float], other: list[float]) -> float:
    """The correlation of ranks, in loops."""
    xs, ys = ranks(one), ranks(other)
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    products = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    squares = sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys)
    return products / squares**0.5


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(everywhere_the_same, datasets=4, repeats=2)


@pytest.mark.parametrize("values", [60, 4], ids=["few ties", "many ties"])
def test_spearman(values: int) -> None:
    number = st.integers(0, values).map(float)

    @given(st.lists(st.tuples(number, number), min_size=2, max_size=30))
    def agrees(rows: list[tuple[float, float]]) -> None:
        predicted, actual = ([*column] for column in zip(*rows, strict=True))
        value = spearman(pd.Series(predicted), pd.Series(actual))
        if len(set(actual)) < 2:
            assert np.isnan(value)
        elif len(set(predicted)) < 2:
            assert value == 0
        else:
            assert value == pytest.approx(slow_spearman(predicted, actual))

    agrees()


def test_with_a_missing_value_there_is_no_correlation() -> None:
    assert np.isnan(spearman(pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, np.nan, 3.0])))


def test_rank_correlations_are_those_of_each_dataset_that_can_tell(table: RunTable) -> None:
    """set1 is not ordered, set2 came out the same everywhere, set3 has too few runs."""
    runs = table.runs.drop(table.runs[table.runs.dataset == "set3"].index[FEWEST - 1 :])
    runs = runs.assign(ratio=runs.ratio.mask(runs.dataset == "set2", 0.9))
    standings = np.random.default_rng(0).integers(0, 9, len(runs)).astype(float)
    standings[runs.dataset == "set1"] = 2.0
    inside = (runs.dataset == "set0").to_numpy()
    expected = slow_spearman(standings[inside].tolist(), runs.ratio[inside].tolist())
    assert rank_correlations(runs, standings) == {"set0": pytest.approx(expected), "set1": 0.0}


def test_ratios_of_two_metrics_are_correlated_apart(table: RunTable) -> None:
    """Each in a perfect order, and one of them 12 runs of 36: in one order they would have to be interleaved."""
    (runs,) = (each for name, each in table.runs.groupby("dataset") if name == "set0")
    other = runs.assign(metric="f1", ratio=-runs.ratio)[:12]
    both = pd.concat([runs, other], ignore_index=True)
    assert rank_correlations(both, both.ratio.to_numpy()) == {"set0": pytest.approx(1)}
    turned = np.where(both.metric == "f1", -1, 1) * both.ratio.to_numpy()
    assert rank_correlations(both, turned) == {"set0": pytest.approx((24 - 12) / 36)}


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40, unique=True))
def test_gaussian_ranks_keep_the_order_and_have_no_level(values: list[float]) -> None:
    found = gaussian_ranks(pd.Series(values))
    assert list(np.argsort(found)) == list(np.argsort(values))
    assert abs(found.mean()) < 1e-9


def test_ratios_are_ranked_within_dataset_metric_and_held_out_set(table: RunTable) -> None:
    other = table.runs.assign(metric="f1", ratio=table.runs.ratio / 2)
    both = target(pd.concat([table.runs, other], ignore_index=True))
    half = len(table.runs)
    np.testing.assert_allclose(both[:half], target(table.runs))
    np.testing.assert_allclose(both[half:], both[:half])


def test_a_fold_is_fitted_on_the_others(table: RunTable) -> None:
    for name, rank, standings in folds(mean_rank, table):
        np.testing.assert_array_equal(standings, rank(table.of(name)))
        np.testing.assert_array_equal(standings, mean_rank(table.without(name))(table.of(name)))
    assert [name for name, _, _ in folds(mean_rank, table)] == table.names


def test_repeats_share_a_configuration_and_its_models_count(table: RunTable) -> None:
    keys = configurations(table.runs)
    assert keys.value_counts().tolist() == [4 * 2] * 12
    other = replace(table, runs=table.runs.assign(student="tiny"))
    assert not set(keys) & set(configurations(other.runs))


def test_candidates_have_no_outcome_whatever_was_noted_of_past_runs(table: RunTable) -> None:
    """A table of before has none of the remarks of today."""
    bare = replace(table, runs=table.runs.drop(columns=["seconds", *REMARKS], errors="ignore"))
    asked = bare.of("set0").runs
    assert len(asked) == (table.runs.dataset == "set0").sum()
    assert not {"score", "ratio", "seconds", *REMARKS} & {*asked.columns}


def test_as_few_runs_as_are_needed_are_enough(table: RunTable) -> None:
    runs = pd.concat([each[:FEWEST] for _, each in table.runs.groupby("dataset")], ignore_index=True)
    assert rank_correlations(runs, runs.ratio.to_numpy()).keys() == {*table.names}


def test_a_knob_that_is_not_always_there_varies() -> None:
    runs = pd.DataFrame({"teacher": "t", "student": "s", "intermediate": "mse", "intermediate.alpha": [0.5, np.nan]})
    assert varying_columns(runs) == ["intermediate.alpha"]


def test_an_equal_number_is_the_same_word_however_it_is_stored() -> None:
    cells = pd.DataFrame({"a": [1, 1.0, True, "1", None, np.nan, pd.NA], "b": ["x", "", "x", "x", "x", None, "x"]})
    words = as_words(cells)
    assert words.a.tolist() == ["1.0", "1.0", "1.0", "1", "", "", ""]
    assert joined(cells).tolist() == [f"{a}\x1f{b}" for a, b in zip(words.a, words.b, strict=True)]
    assert joined(cells)[[0, 2]].nunique() == 1
    assert as_words(cells[:0]).shape == (0, 2)
    assert joined(cells[:0]).empty
