"""The measures of leaving one dataset out against slow ones, and what noise allows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from autodistill.evaluation.leave_one_out import (
    by_configuration,
    delivered,
    differences,
    interval_of,
    leave_one_out,
    lost,
    means,
    measures,
    noise_ceiling,
    oracle,
    regret,
    regret_of,
)
from autodistill.ranking.diverse import diverse
from autodistill.ranking.past import RunTable, commonest_pair
from autodistill.ranking.simple import mean_rank, random_order
from tests.autodistill.made_up import everywhere_the_same, made_up

pairs = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=5, max_size=30, unique_by=lambda pair: pair[0]
).filter(lambda found: len({ratio for _, ratio in found}) > 1)
"""Predicted standings, no two alike, and ratios."""


def group(found: list[tuple[float, float]]) -> pd.DataFrame:
    """Predicted standing and ratio of configurations that were each run once."""
    rows = pd.DataFrame(found, columns=["predicted", "ratio"]).astype(float)
    same = {"dataset": "a", "metric": "m", "held_out": "v", "teacher": "t", "student": "s"}
    return rows.assign(configuration=[str(row) for row in range(len(rows))], **same)


@given(pairs, st.integers(1, 10))
def test_regret(found: list[tuple[int, int]], picks: int) -> None:
    rows = group(found)
    best, middle = max(rows.ratio), float(np.median(rows.ratio))
    order = sorted(range(len(rows)), key=lambda row: -rows.predicted[row])
    got = max(rows.ratio[row] for row in order[:picks])
    value = regret(rows, picks)
    if best == middle:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(min(1.0, max(0.0, (best - got) / (best - middle))))


def test_what_is_lost_is_a_share_of_the_best_ratio() -> None:
    ratios = pd.Series([0.4, 0.8, 0.6])
    assert [lost(ratios, rows) for rows in ([0], [0, 2], [1])] == pytest.approx([0.5, 0.25, 0.0])
    assert lost(pd.Series([-0.3, 0.01]), [0]) == 1
    assert np.isnan([lost(ratios, []), lost(-ratios, [0]), lost(ratios * np.nan, [0])]).all()


@given(pairs)
def test_a_perfect_prediction_regrets_nothing(found: list[tuple[int, int]]) -> None:
    rows = group(found)
    rows = rows.assign(predicted=rows.ratio)
    assert np.nan_to_num(regret(rows, 1)) == 0
    assert measures(rows)["first_pick_percentile"] == 1


def test_repeats_count_as_one_configuration() -> None:
    rows = pd.DataFrame(
        {
            "predicted": [3.0, 3.0, 2.0, 1.0, 0.5, 0.2],
            "ratio": [0.2, 0.8, 0.6, 0.5, 0.4, 0.1],
            "configuration": ["a", "a", "b", "c", "d", "e"],
        }
    )
    assert regret(rows, 1) == pytest.approx((0.6 - 0.5) / (0.6 - 0.5))
    assert regret(rows, 2) == 0


def test_ratios_of_two_metrics_are_not_compared() -> None:
    table = made_up(everywhere_the_same, datasets=3)
    other = table.runs.assign(metric="f1", ratio=table.runs.ratio / 2)
    both = pd.concat([table.runs, other], ignore_index=True)
    found = measures(both[both.dataset == "set0"].assign(predicted=both.ratio, configuration="x"))
    assert found["spearman"] == pytest.approx(1.0, abs=0.2)
    perfect = oracle(RunTable(both, table.datasets, table.vectors))
    assert perfect["spearman"] == pytest.approx(1.0)


def test_within_the_commonest_pair_the_models_do_not_count() -> None:
    table = made_up(everywhere_the_same, datasets=4)
    small = table.runs.iloc[::2].assign(student="tiny", ratio=table.runs.ratio - 0.5)
    both = RunTable(pd.concat([table.runs, small], ignore_index=True), table.datasets, table.vectors)
    pair = commonest_pair(both.runs)
    assert pair == ("large", "small")
    found = leave_one_out(mean_rank, both, pair)
    assert means(found)["spearman"] > means(found)["within_pair_spearman"]


def test_a_random_order_is_worth_nothing() -> None:
    found = leave_one_out(random_order, made_up(everywhere_the_same, datasets=12))
    low, high = interval_of(found, "spearman") or (1.0, 1.0)
    assert low < 0 < high or abs(means(found)["spearman"]) < 0.3


def test_the_interval_holds_the_mean() -> None:
    found = leave_one_out(mean_rank, made_up(everywhere_the_same))
    low, high = interval_of(found, "spearman") or (1.0, 0.0)
    assert low <= means(found)["spearman"] <= high
    assert interval_of(found[:2], "spearman") is None


@pytest.mark.parametrize(("noise", "expected"), [(0.01, 1.0), (0.5, 0.75), (2.0, 0.24)])
def test_the_ceiling_is_the_correlation_of_the_truth_with_one_run(noise: float, expected: float) -> None:
    runs = made_up(everywhere_the_same, datasets=6, repeats=6, noise=noise).runs
    ceiling = float(np.mean(list(noise_ceiling(runs).values())))
    worth = [
        everywhere_the_same(0, *parts) for parts in zip(runs.intermediate, runs.mapping, runs.prediction, strict=True)
    ]
    each = runs.assign(worth=worth).groupby("dataset")
    truth = float(np.mean([spearmanr(found.worth, found.ratio)[0] for _, found in each]))
    assert ceiling == pytest.approx(expected, abs=0.2)
    assert ceiling == pytest.approx(truth, abs=0.15)


def test_repeats_that_differ_more_than_configurations_do_are_none() -> None:
    """An F1 beside an accuracy: the ceiling of 0.00 on MRPC, where predictors reach 0.40."""
    made = made_up(everywhere_the_same, datasets=1, repeats=6).runs
    runs = made.assign(**{"intermediate.alpha": made.seed})  # each is a configuration of its own
    best = runs.nlargest(15, "ratio")
    for difference, told in ((0.001, {"set0"}), (0.5, set())):
        again = best.assign(ratio=best.ratio - difference)
        assert set(noise_ceiling(pd.concat([runs, again], ignore_index=True))) == told


def test_differences_are_of_the_same_datasets() -> None:
    """Two predictors that share what is easy about a dataset differ by little, whatever each one's interval is."""
    table = made_up(everywhere_the_same, noise=1.0)
    one, other = leave_one_out(mean_rank, table), leave_one_out(random_order, table)
    mean, low, high = differences(one, other)["spearman"]
    assert mean == pytest.approx(means(one)["spearman"] - means(other)["spearman"])
    gains = [a.measures["spearman"] - b.measures["spearman"] for a, b in zip(one, other, strict=True)]
    dice = np.random.default_rng(1)
    drawn = [dice.choice(gains, len(gains)).mean() for _ in range(20_000)]
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert differences(one, one)["spearman"] == (0, 0, 0)
    assert differences(one[:2], other[:2]) == {}


def many(count: int) -> pd.DataFrame:
    """Configurations of two components and a knob in an order that says something, each run once."""
    names = ["intermediate", "mapping", "intermediate.alpha"]
    parts = pd.MultiIndex.from_product([range(4), range(5), range(5)], names=names)
    frame = parts.to_frame(index=False)[:count]
    standings = -frame.to_numpy() @ [1.0, 0.2, 0.03]
    noise = 0.5 * np.random.default_rng(0).standard_normal(count)
    rows = group([*zip(standings, standings + noise, strict=True)])
    return rows.assign(**frame.astype(str).to_dict("series"))


def test_the_picks_that_are_measured_are_those_that_are_delivered() -> None:
    """The best twentieth of a table's few configurations are five or fewer: it was the regret of the first five."""
    rows = many(100)
    order = by_configuration(rows)
    picked = delivered(rows)
    assert len(picked) == 5
    assert max(picked) < 25
    assert set(picked) != set(range(5))
    runs = rows.set_index("configuration").loc[order.index]
    assert picked == diverse(order.predicted.to_numpy(), runs, 5, lowest=0.75)
    best, middle, ratios = order.ratio.max(), order.ratio.median(), order.ratio.iloc[picked]
    found = measures(rows, ("t", "s"))
    assert found["regret_of_5_picks"] == pytest.approx((best - ratios.max()) / (best - middle))
    assert found["within_pair_regret_of_5_picks"] == found["regret_of_5_picks"] != found["regret_at_5"]
    share = np.mean([(order.ratio <= ratio).mean() for ratio in ratios])
    assert found["picks_percentile"] == pytest.approx(share)


@pytest.mark.parametrize(("count", "told"), [(20, False), (21, True)])
def test_picks_are_measured_where_they_are_chosen_from_more_than_five(count: int, told: bool) -> None:
    found = measures(many(count))
    assert ("regret_of_5_picks" in found, "picks_percentile" in found) == (told, told)
    assert "regret_at_5" in found


def test_without_repeats_there_is_no_ceiling() -> None:
    assert noise_ceiling(made_up(everywhere_the_same, datasets=3).runs) == {}


def test_among_equal_ratios_there_is_nothing_to_regret() -> None:
    assert np.isnan(regret(group([(standing, 1) for standing in range(6)]), 1))


@given(pairs)
def test_percentile_and_top_five(found: list[tuple[int, int]]) -> None:
    rows = group(found)
    got = measures(rows)
    order = sorted(range(len(rows)), key=lambda row: -rows.predicted[row])
    first = rows.ratio[order[0]]
    assert got["first_pick_percentile"] == pytest.approx(sum(rows.ratio <= first) / len(rows))
    assert got["top_5_ratio"] == pytest.approx(sum(rows.ratio[row] for row in order[:5]) / 5)
    assert got["random_5_ratio"] == pytest.approx(sum(rows.ratio) / len(rows))


def test_groups_count_by_their_runs_and_tiny_ones_not_at_all() -> None:
    def part(metric: str, ratios: list[float]) -> pd.DataFrame:
        return group([*enumerate(ratios)]).assign(metric=metric)

    right, wrong = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.5, 0.4, 0.3, 0.2, 0.1]
    both = pd.concat([part("f1", right), part("accuracy", wrong)], ignore_index=True)
    assert measures(both)["spearman"] == pytest.approx((6 * 1 + 5 * -1) / 11)
    assert measures(both)["regret_at_1"] == pytest.approx((6 * 0 + 5 * 1) / 11)
    tiny = pd.concat([both, part("other", [9.0, 8.0, 7.0, 6.0])], ignore_index=True)
    assert measures(tiny) == measures(both)
    assert measures(part("f1", right[:4])) == {}
    assert "within_pair_spearman" not in measures(both)
    assert "within_pair_spearman" not in measures(both, ("t", "another"))
    for name in ("spearman", "regret_at_1"):
        assert measures(both, ("t", "s"))[f"within_pair_{name}"] == measures(both)[name]


def test_the_interval_draws_datasets_again() -> None:
    found = leave_one_out(mean_rank, made_up(everywhere_the_same, noise=1.0))
    values = np.array([each.measures["spearman"] for each in found])
    dice = np.random.default_rng(1)
    drawn = [dice.choice(values, len(values)).mean() for _ in range(20_000)]
    assert interval_of(found, "spearman") == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)


def test_a_dataset_whose_ratios_nobody_knows_has_no_regret() -> None:
    """As where its teacher scores 0; a warning would be an error here."""
    assert np.isnan(regret_of(pd.Series([np.nan] * 3), [0]))
