"""Models of tables: what they see, and the linear one against its normal equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autodistill.ranking.past import RunTable, target
from autodistill.ranking.tabular import RIDGE_PENALTY, Inputs, ridge
from tests.autodistill.made_up import by_size, made_up


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    whole = made_up(by_size, datasets=4)
    return replace(whole, runs=whole.runs.assign(**{"intermediate.alpha": np.tile([0.1, 0.5, np.nan], 16)}))


def test_a_table_holds_what_was_run_the_sizes_and_the_dataset(table: RunTable) -> None:
    inputs = Inputs.of(table)
    rows = inputs(table)
    assert set(inputs.words) == {"intermediate", "mapping", "prediction", "intermediate.alpha"}
    assert rows["intermediate.alpha"].tolist() == ["0.1", "0.5", ""] * 16
    np.testing.assert_allclose(rows.student_parameters, np.log(5_000_000))
    about = rows.filter(like="descriptor ")
    np.testing.assert_allclose(about.mean(), 0, atol=1e-12)
    for _, group in about.groupby(table.runs.dataset):
        assert len(group.drop_duplicates()) == 1
    assert len(about.drop_duplicates()) == 4
    assert "dataset" not in rows


def test_what_is_missing_from_candidates_is_empty(table: RunTable) -> None:
    asked = table.of("set1")
    rows = Inputs.of(table)(replace(asked, runs=asked.runs.drop(columns=["mapping", "student_layers"])))
    assert set(rows.mapping) == {""}
    assert rows.student_layers.isna().all()


def test_ridge_solves_the_normal_equations(table: RunTable) -> None:
    rows = Inputs.of(table)(table)
    numbers = rows.select_dtypes("number")
    spread = numbers.std(ddof=0)
    scaled = (numbers - numbers.mean()) / spread.where(spread > 1e-9, 1.0)
    design = pd.get_dummies(rows.select_dtypes(object)).join(scaled).to_numpy(dtype=float)
    y = target(table.runs).to_numpy()
    centred = design - design.mean(axis=0)
    penalty = RIDGE_PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean()))
    np.testing.assert_allclose(ridge(table)(table), y.mean() + centred @ weights, atol=1e-9)
