"""The mixed model: its likelihood, its shortcuts, and when it uses features of datasets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import approx_fprime, minimize
from scipy.stats import multivariate_normal

from autodistill.evaluation.leave_one_out import leave_one_out, means
from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.mixed import (
    FEATURES,
    FEWER_RUNS,
    MOST_RUNS,
    SAME,
    Encoding,
    _at_most,
    _typical_distance,
    covariances,
    find_variances,
    fit_mixed,
    mixed,
    mixed_of,
)
from autodistill.ranking.past import RunTable, rank_correlations, target
from autodistill.ranking.simple import mean_rank
from tests.autodistill.made_up import by_size, everywhere_the_same, made_up


def likelihood(variances: dict[str, float], parts: dict[str, np.ndarray], y: np.ndarray) -> float:
    covariance = sum(variances[name] * part for name, part in parts.items())
    return float(multivariate_normal(np.zeros(len(y)), covariance).logpdf(y))


@pytest.fixture(name="small", scope="module")
def _small() -> RunTable:
    return made_up(everywhere_the_same, datasets=4, noise=0.5)


def parts_of(table: RunTable) -> tuple[dict[str, np.ndarray], np.ndarray]:
    encoding = Encoding.of(table)
    runs = encoding(table)
    parts = covariances(encoding, runs, runs, (SAME,)) | {"noise": np.eye(len(table.runs))}
    return parts, target(table.runs).to_numpy()


def test_no_other_variances_are_more_likely(small: RunTable) -> None:
    parts, y = parts_of(small)
    found = find_variances(parts, y)
    best = likelihood(found, parts, y)
    for name in parts:
        for factor in (0.7, 1.4):
            other = found | {name: float(np.clip(found[name] * factor, 1e-4, 20))}
            assert likelihood(other, parts, y) <= best + 1e-3

    def loss(logs: np.ndarray) -> float:
        return -likelihood(dict(zip(parts, np.exp(logs), strict=True)), parts, y)

    start = np.full(len(parts), np.log(0.1))
    bounds = [(np.log(1e-4), np.log(20))] * len(parts)
    numeric = minimize(loss, start, method="L-BFGS-B", bounds=bounds)  # gradient by finite differences
    assert best >= -numeric.fun - 1e-3


def test_the_slope_of_the_likelihood(small: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, y = parts_of(small)
    seen: dict[str, Any] = {}

    def remembering(loss: Any, start: np.ndarray, **more: Any) -> Any:
        seen["loss"] = loss
        return minimize(loss, start, **more)

    monkeypatch.setattr(import_module("autodistill.ranking.mixed"), "minimize", remembering)
    find_variances(parts, y)
    logs = np.random.default_rng(0).uniform(-3, 0, len(parts))
    value, slope = seen["loss"](logs)
    numeric = approx_fprime(logs, lambda at: seen["loss"](at)[0], 1e-6)
    np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-4)
    constant = 0.5 * len(y) * np.log(2 * np.pi)
    variances = dict(zip(parts, np.exp(logs).tolist(), strict=True))
    assert value + constant == pytest.approx(-likelihood(variances, parts, y))


def test_parts_are_covariances(small: RunTable) -> None:
    parts, _ = parts_of(small)
    for name, part in parts.items():
        np.testing.assert_allclose(part, part.T, err_msg=name)
        assert np.linalg.eigvalsh(part).min() > -1e-8, name


def test_every_part_is_what_it_is_said_to_be() -> None:
    """Worked out run by run: datasets that have other words and sizes, a knob with numbers, some of them missing."""
    table = made_up(everywhere_the_same, datasets=4, distracting=True)
    knob = np.where(np.arange(len(table.runs)) % 3 == 0, np.nan, np.arange(len(table.runs)) % 5)
    table = replace(table, runs=table.runs.assign(**{"intermediate.alpha": knob}))
    encoding = Encoding.of(table)
    runs, rows = encoding(table), table.runs
    parts = covariances(encoding, runs, runs, (SAME, *FEATURES))
    names = [*encoding.words, *encoding.numbers]
    assert encoding.numbers == ["intermediate.alpha"]
    alike = {
        name: np.equal.outer(rows[name].to_numpy(), rows[name].to_numpy()).astype(float) for name in encoding.words
    }
    scaled = ((rows["intermediate.alpha"] - np.nanmean(knob)) / np.nanstd(knob)).to_numpy()
    for one, other in itertools.product(range(len(rows)), repeat=2):
        apart, missing = scaled[one] - scaled[other], np.isnan(scaled[[one, other]])
        wanted = float(missing.all()) if missing.any() else np.exp(-0.5 * apart**2)
        assert parts["intermediate.alpha"][one, other] == pytest.approx(wanted)
    alike["intermediate.alpha"] = parts["intermediate.alpha"]
    columns = [name for name in names if name not in ("teacher", "student")]
    pipeline = np.exp(0.3 * sum(alike[name] - 1 for name in columns))
    for name in encoding.words:
        np.testing.assert_array_equal(parts[name], alike[name])
    assert parts["intermediate"].dtype == float
    space, datasets = DatasetSpace.of(table), [*rows.dataset]
    for feature in FEATURES:
        places = {name: getattr(space, feature)(table, name) for name in table.names}
        between = {
            pair: np.linalg.norm(places[pair[0]] - places[pair[1]]) for pair in itertools.product(places, repeat=2)
        }
        half = np.median([between[pair] for pair in itertools.combinations(table.names, 2)]) / 2
        near = np.array([[np.exp(-0.5 * (between[a, b] / half) ** 2) for b in datasets] for a in datasets])
        assert 0 < near.min() < 0.5
        np.testing.assert_allclose(parts[f"{feature}: pipeline"], near * pipeline, atol=1e-6)
        np.testing.assert_allclose(parts[f"{feature}: run"], near * pipeline, atol=1e-6)  # one pair of models
    same = np.equal.outer(datasets, datasets)
    np.testing.assert_allclose(parts["same: pipeline"], same * pipeline)


def test_what_is_left_out_was_not_used(small: RunTable) -> None:
    """The short way gives what solving without the dataset's rows gives, with the same variances."""
    model = fit_mixed(small, ("descriptors",))
    runs = model.encoding(small)
    parts = covariances(model.encoding, runs, runs, (SAME, "descriptors"))
    whole = sum(model.variances[name] * part for name, part in parts.items())
    noise = np.array([model.variances[f"noise of {name}"] for name in runs["dataset"]])
    y = target(small.runs).to_numpy()
    for name in small.names:
        inside = runs["dataset"] == name
        kept = whole[np.ix_(~inside, ~inside)] + np.diag(noise[~inside])
        weights = cho_solve(cho_factor(kept), y[~inside])
        np.testing.assert_allclose(model.left_out[inside], whole[np.ix_(inside, ~inside)] @ weights, atol=1e-8)


def test_many_runs_of_one_dataset_do_not_outvote_the_others() -> None:
    """On one dataset, run twenty times as often, mi_alpha is best; on the four others it is mse."""
    usual = made_up(everywhere_the_same, datasets=4, noise=0.2)
    odd = made_up(lambda *parts: -everywhere_the_same(*parts), datasets=1, repeats=20, noise=0.2, seed=1)
    renamed = odd.runs.assign(dataset="odd")
    both = replace(usual, runs=pd.concat([usual.runs, renamed], ignore_index=True))
    asked = usual.of("set0")
    standings = pd.Series(fit_mixed(both.without("set0"))(asked), index=asked.runs.index)
    means = standings.groupby(asked.runs.intermediate).mean()
    assert means.mse > means.mi_alpha


@pytest.mark.slow
def test_it_finds_that_the_best_component_depends_on_the_dataset() -> None:
    table = made_up(by_size, datasets=12)
    found, simple = leave_one_out(mixed, table), leave_one_out(mean_rank, table)
    assert {held_out.rank.features for held_out in found} == {("descriptors",)}
    assert means(found)["spearman"] > 0.5
    assert means(simple)["spearman"] < 0.2


@pytest.mark.slow
def test_where_nothing_depends_on_the_dataset_it_is_as_good_as_the_mean_rank() -> None:
    table = made_up(everywhere_the_same)
    found, simple = leave_one_out(mixed, table), leave_one_out(mean_rank, table)
    assert {held_out.rank.features for held_out in found} == {()}
    assert means(found)["spearman"] > means(simple)["spearman"] - 0.03


@pytest.mark.slow
def test_descriptors_that_decide_nothing_do_not_hide_the_one_that_does() -> None:
    """It takes more datasets than where descriptors differ in nothing else."""
    table = made_up(by_size, datasets=14, distracting=True)
    found, simple = leave_one_out(mixed, table), leave_one_out(mean_rank, table)
    assert sum("descriptors" in held_out.rank.features for held_out in found) > 7
    assert means(found)["spearman"] > means(simple)["spearman"] + 0.3


@pytest.mark.parametrize("seed", range(3))
def test_descriptors_that_decide_nothing_are_not_chosen(seed: int) -> None:
    table = made_up(everywhere_the_same, distracting=True, seed=seed)
    found = mixed(table)
    assert found.features == ()
    assert np.mean([*rank_correlations(table.runs, found.left_out).values()]) > 0.7


@pytest.mark.parametrize("sizes", [(700, 1), (75,) * 8 + (1,), (601,), (300, 300), (1000, 100, 10, 1)], ids=str)
def test_a_part_of_the_runs_has_some_of_every_dataset(sizes: tuple[int, ...]) -> None:
    datasets = np.repeat([f"set{place}" for place in range(len(sizes))], sizes)
    rows = _at_most(datasets, 600)
    assert 600 - len(sizes) <= len(rows) <= 600 + len(sizes)
    assert list(rows) == sorted(set(rows)) == list(_at_most(datasets, 600))
    kept = pd.Series(datasets[rows]).value_counts()
    share = min(1, 600 / len(datasets))
    for place, size in enumerate(sizes):
        assert kept[f"set{place}"] == pytest.approx(share * size, abs=1)
        assert kept[f"set{place}"] >= 1


@pytest.mark.parametrize("runs", [1, 4])
def test_with_hardly_any_runs_no_features_are_compared(runs: int) -> None:
    table = made_up(everywhere_the_same, datasets=3)
    few = replace(table, runs=table.runs.groupby("dataset").head(runs))
    found = mixed(few)
    assert found.features == ()
    assert np.isfinite(found(table.of("set0"))).all()


BOTH = ("descriptors", "embedding")
NOTHING: dict[tuple[str, ...], float] = dict.fromkeys((("descriptors",), ("embedding",), BOTH), 0.0)


@pytest.mark.parametrize(
    ("gains", "spread", "runs", "chosen", "most_runs"),
    [
        (NOTHING | {("descriptors",): 0.05, ("embedding",): 0.3, BOTH: 0.2}, 0.0, 48, ("embedding",), MOST_RUNS),
        (NOTHING | {("descriptors",): 0.3, ("embedding",): 0.05}, 0.0, 48, ("descriptors",), MOST_RUNS),
        (NOTHING | {BOTH: 0.05}, 0.0, 48, BOTH, MOST_RUNS),
        (NOTHING | {BOTH: 0.05}, 0.0, FEWER_RUNS + 1, BOTH, MOST_RUNS),
        (NOTHING | {BOTH: 0.019}, 0.0, 48, (), FEWER_RUNS),
        (NOTHING | {BOTH: 0.02}, 0.0, 48, (), FEWER_RUNS),
        (NOTHING | {BOTH: 0.019}, 0.0, FEWER_RUNS, (), FEWER_RUNS),
        (NOTHING | {BOTH: 0.019}, 0.0, FEWER_RUNS + 1, (), MOST_RUNS),
        (NOTHING | {BOTH: 0.12}, 0.0625, 48, (), FEWER_RUNS),  # by 1.9 standard errors
        (NOTHING | {BOTH: 0.15}, 0.0625, 48, BOTH, MOST_RUNS),  # by 2.4 of them
    ],
)
def test_the_features_that_gain_most_are_chosen_where_they_clearly_gain(
    gains: dict[tuple[str, ...], float],
    spread: float,
    runs: int,
    chosen: tuple[str, ...],
    most_runs: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three datasets, on which all features together gain their mean, and that less and plus `spread` · √3: `spread` is
    then the standard error of the mean."""
    module = import_module("autodistill.ranking.mixed")

    def fitted(table: RunTable, features: tuple[str, ...] = (), most_runs: int = MOST_RUNS) -> Any:
        return SimpleNamespace(features=tuple(features), most_runs=most_runs, left_out=tuple(features))

    def correlations(_: pd.DataFrame, standings: Any) -> dict[str, float]:
        gain = 0.0 if isinstance(standings, np.ndarray) else gains.get(standings, 0.0)
        wide = spread * np.sqrt(3) if gain else 0.0
        return {"a": gain - wide, "b": gain, "c": gain + wide}

    monkeypatch.setattr(module, "fit_mixed", fitted)
    monkeypatch.setattr(module, "rank_correlations", correlations)
    found = mixed(SimpleNamespace(runs=pd.DataFrame(index=range(runs))))  # type: ignore[arg-type]
    assert (found.features, found.most_runs) == (chosen, most_runs)  # type: ignore[attr-defined]


def test_what_was_learned_is_not_estimated_again(small: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit_mixed(small, ("embedding",))
    monkeypatch.setattr(import_module("autodistill.ranking.mixed"), "find_variances", None)
    again = mixed_of(small, first.learned)
    assert (again.features, again.variances) == (first.features, first.variances)
    np.testing.assert_array_equal(again(small), first(small))


def test_variances_are_estimated_on_a_part_of_many_runs(small: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot be compared with any other is as good as the average, which is 0."""
    alone = small.runs.iloc[:1].assign(metric="f1")
    table = replace(small, runs=pd.concat([small.runs, alone], ignore_index=True))
    seen: dict[str, Any] = {}

    def remembering(parts: dict[str, np.ndarray], y: np.ndarray) -> dict[str, float]:
        seen.update(shapes={part.shape for part in parts.values()}, y=y)
        return dict.fromkeys(parts, 0.1)

    monkeypatch.setattr(import_module("autodistill.ranking.mixed"), "find_variances", remembering)
    fit_mixed(table)
    assert seen["shapes"] == {(49, 49)}
    assert np.flatnonzero(seen["y"] == 0).tolist() == [48]
    fit_mixed(table, most_runs=24)
    assert seen["shapes"] == {(len(seen["y"]), len(seen["y"]))}
    assert 20 <= len(seen["y"]) <= 28


def test_numbers_are_standardised_and_what_never_varies_is_zero(small: RunTable) -> None:
    rates = np.tile([1e-5, 3e-5], len(small.runs) // 2)
    table = replace(small, runs=small.runs.assign(**{"intermediate.alpha": rates}))
    encoding = Encoding.of(table)
    assert "intermediate.alpha" in encoding.numbers
    assert "intermediate" in encoding.words
    runs = encoding(table)
    np.testing.assert_allclose(np.unique(runs["intermediate.alpha"].round(9)), [-1, 1])
    np.testing.assert_allclose(runs["size of teacher"], 0, atol=1e-9)
    np.testing.assert_allclose(runs["size of student"], 0, atol=1e-9)


@pytest.mark.parametrize(
    ("places", "distance"), [([0, 6, 18], 6.0), ([0, 4], 2.0), ([0, 0, 0], 1.0), ([5], 0.5), ([0, np.nan], 0.5)]
)
def test_half_of_the_median_distance(places: list[float], distance: float) -> None:
    assert _typical_distance([np.array([place]) for place in places]) == distance


def test_parts_that_are_no_covariances() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="^the covariance of the runs is not positive definite"):
        find_variances({"odd": np.array([[1.0, 2.0], [2.0, 1.0]])}, np.ones(2))


def test_models_of_another_size_than_all_before_are_not_infinitely_far(small: RunTable) -> None:
    encoding = Encoding.of(small)
    wider = replace(small, runs=small.runs.assign(teacher_hidden_size=1024))
    parts = covariances(encoding, encoding(small), encoding(wider), (SAME,))
    np.testing.assert_allclose(parts["size of teacher"], np.exp(-0.5 * np.log(1024 / 768) ** 2))
