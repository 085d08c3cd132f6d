"""Predictors without a model, against what loops over dictionaries give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.ranking.distances import nearest
from autodistill.ranking.past import RunTable, configurations, target
from autodistill.ranking.simple import mean_rank, nearest_dataset, portfolio, random_order
from tests.autodistill.made_up import by_size, everywhere_the_same, made_up


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    """Two repeats of each run, and a random third of all runs missing."""
    whole = made_up(by_size, datasets=5, repeats=2, noise=0.5)
    return replace(whole, runs=whole.runs.sample(frac=0.67, random_state=0))


def known_targets(table: RunTable) -> dict[str, dict[str, float]]:
    """Dataset → configuration → mean target of its repeats."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = zip(table.runs.dataset, configurations(table.runs), target(table.runs), strict=True)
    for dataset, key, value in rows:
        found[dataset][key].append(value)
    return {
        dataset: {key: sum(values) / len(values) for key, values in each.items()} for dataset, each in found.items()
    }


def test_mean_rank_is_the_mean_over_datasets_not_over_runs(table: RunTable) -> None:
    past, asked = table.without("set2"), table.of("set2")
    known = known_targets(past).values()
    expected = []
    for key in configurations(asked.runs):
        values = [each[key] for each in known if key in each]
        expected.append(sum(values) / len(values) if values else 0.0)
    np.testing.assert_allclose(mean_rank(past)(asked), expected)


@pytest.mark.parametrize(("fit", "middle"), [(mean_rank, 0.0), (nearest_dataset, 0.0), (portfolio, 0.5)])
def test_what_was_never_run_stands_in_the_middle(fit: Callable[..., Callable], middle: float, table: RunTable) -> None:
    asked = table.of("set2")
    other = replace(asked, runs=asked.runs.assign(intermediate="brand_new"))
    np.testing.assert_array_equal(fit(table.without("set2"))(other), middle)


@pytest.mark.parametrize("fit", [mean_rank, nearest_dataset, portfolio])
def test_what_past_runs_do_not_know_of_candidates_is_not_looked_at(
    fit: Callable[..., Callable], table: RunTable
) -> None:
    asked, rank = table.of("set2"), fit(table.without("set2"))
    more = replace(asked, runs=asked.runs.assign(**{"intermediate.brand_new": 3.0}))
    np.testing.assert_array_equal(rank(more), rank(asked))
    assert len(set(rank(asked))) > 2


@pytest.mark.parametrize("fit", [mean_rank, portfolio, nearest_dataset])
def test_whole_numbers_are_the_same_however_they_are_stored(fit: Callable[..., Callable], table: RunTable) -> None:
    """A column of 3s holds integers, and floats as soon as another table leaves it empty."""
    asked = table.of("set2")
    past = replace(table, runs=table.runs.assign(**{"training.epochs": 3.0}))
    standings = [
        fit(past)(replace(asked, runs=asked.runs.assign(**{"training.epochs": epochs}))) for epochs in (3.0, 3)
    ]
    np.testing.assert_array_equal(*standings)
    assert len(set(standings[0])) > 1


def test_the_portfolio_takes_what_raises_the_best_so_far_the_most(table: RunTable) -> None:
    known = known_targets(table)
    keys = sorted({key for each in known.values() for key in each})
    lowest = min(value for each in known.values() for value in each.values())
    means = {key: np.mean([each[key] for each in known.values() if key in each]) for key in keys}
    chosen: list[str] = []
    for _ in range(10):

        def worth(key: str) -> tuple[float, float]:
            best = [max(each.get(other, lowest) for other in (*chosen, key)) for each in known.values()]
            return round(sum(best), 9), float(means[key])

        chosen.append(max((key for key in keys if key not in chosen), key=worth))
    rank = portfolio(table)
    found = pd.Series(rank(table), index=configurations(table.runs)).drop_duplicates()
    assert list(found.sort_values(ascending=False).index[:10]) == chosen
    rest = [key for key in found.sort_values(ascending=False).index if key not in chosen]
    assert rest == sorted(rest, key=lambda key: -means[key])


def test_the_portfolio_serves_every_dataset() -> None:
    """mse is best on half of the datasets and mi_alpha on the others: both are among the first three."""
    table = made_up(lambda size, *parts: by_size(float(np.sign(size)), *parts), datasets=6, noise=0.1)
    asked = table.of("set0")
    order = np.argsort(-portfolio(table)(asked))
    assert {"mse", "mi_alpha"} <= set(asked.runs.intermediate.iloc[order[:3]])


def sharing_words(table: RunTable, shared: dict[str, int]) -> RunTable:
    """Datasets of 60 words each, so many of them those of set0."""
    own = [f"word{place}" for place in range(60)]
    texts = {
        name: " ".join(own[:count] + [f"{name}x{place}" for place in range(60 - count)])
        for name, count in shared.items()
    }
    datasets = {name: Dataset(table.datasets[name].descriptors, count_words([texts[name]])) for name in texts}
    return replace(table, datasets=datasets)


def test_the_nearest_dataset_that_ran_it_counts() -> None:
    table = made_up(everywhere_the_same, datasets=4, noise=1.0)
    table = sharing_words(table, {"set0": 60, "set1": 40, "set2": 20, "set3": 0})
    past = table.without("set0")
    assert list(nearest(past, "set0")) == ["set1", "set2", "set3"]

    first = past.runs[past.runs.dataset == "set1"].index[:4]
    gappy = replace(past, runs=past.runs.drop(first))
    known = known_targets(gappy)
    asked = table.of("set0")
    expected = [
        next(known[name][key] for name in ("set1", "set2", "set3") if key in known[name])
        for key in configurations(asked.runs)
    ]
    np.testing.assert_allclose(nearest_dataset(gappy)(asked), expected)


def test_several_datasets_are_each_ranked_by_its_own_nearest(table: RunTable) -> None:
    rank = nearest_dataset(table.without("set2"))
    both = rank(table)
    for name in table.names:
        np.testing.assert_array_equal(both[(table.runs.dataset == name).to_numpy()], rank(table.of(name)))


def test_without_words_the_nearest_dataset_falls_back_on_the_mean_rank(table: RunTable) -> None:
    past = replace(table.without("set2"), datasets={})
    np.testing.assert_array_equal(nearest_dataset(past)(table.of("set2")), mean_rank(past)(table.of("set2")))


def test_a_random_order_is_the_same_each_time(table: RunTable) -> None:
    asked = table.of("set2")
    one, other = (random_order(table)(asked) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert len(set(one)) == len(asked.runs)
