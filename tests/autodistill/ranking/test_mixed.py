"""The mixed model: its likelihood, its shortcuts, and when it uses features of datasets."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import approx_fprime, minimize
from scipy.stats import multivariate_normal

from autodistill.evaluation.leave_one_out import leave_one_out, means
from autodistill.ranking.mixed import SAME, Encoding, _at_most, covariances, find_variances, fit_mixed, mixed
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
    assert list(rows) == sorted(set(rows))
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
