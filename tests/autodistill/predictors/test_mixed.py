"""The mixed model: its likelihood, its shortcuts, and when it uses features of datasets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from autodistill.predictors.mixed import SAME, Encoding, covariances, find_variances, fit_mixed, mixed
from autodistill.predictors.runs import RunTable, target
from autodistill.predictors.simple import mean_rank
from autodistill.validation import leave_one_out, mean_of
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
        np.testing.assert_allclose(
            model.left_out[inside], whole[np.ix_(inside, ~inside)] @ weights, atol=1e-8
        )


def test_many_runs_of_one_dataset_do_not_outvote_the_others() -> None:
    """On one dataset, run twenty times as often, mi_alpha is best; on the four others it is mse."""
    usual = made_up(everywhere_the_same, datasets=4, noise=0.2)
    odd = made_up(lambda *parts: -everywhere_the_same(*parts), datasets=1, repeats=20, noise=0.2, seed=1)
    renamed = odd.runs.assign(dataset="odd")
    both = replace(usual, runs=pd.concat([usual.runs, renamed], ignore_index=True))
    asked = usual.of("set0")
    places = pd.Series(fit_mixed(both.without("set0"))(asked), index=asked.runs.index)
    means = places.groupby(asked.runs.intermediate).mean()
    assert means.mse > means.mi_alpha


def test_it_finds_that_the_best_component_depends_on_the_dataset() -> None:
    table = made_up(by_size, datasets=12)
    found, simple = leave_one_out(mixed, table), leave_one_out(mean_rank, table)
    assert {held_out.rank.features for held_out in found} == {("descriptors",)}
    assert (mean_of(found, "spearman") or 0) > 0.5
    assert (mean_of(simple, "spearman") or 0) < 0.2


def test_where_nothing_depends_on_the_dataset_it_is_as_good_as_the_mean_rank() -> None:
    table = made_up(everywhere_the_same)
    found, simple = leave_one_out(mixed, table), leave_one_out(mean_rank, table)
    assert {held_out.rank.features for held_out in found} == {()}
    assert (mean_of(found, "spearman") or 0) > (mean_of(simple, "spearman") or 0) - 0.03
