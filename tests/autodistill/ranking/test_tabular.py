"""Models of tables: what they see, and the linear one against its normal equations."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from autodistill.history.table import MODEL_COLUMNS
from autodistill.ranking import tabular
from autodistill.ranking.circumstances import CIRCUMSTANCES
from autodistill.ranking.past import RunTable, target
from autodistill.ranking.tabular import AUTOGLUON, RIDGE_PENALTY, Inputs, Products, ridge
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


def test_a_product_is_a_circumstance_where_its_form_is(table: RunTable) -> None:
    table = replace(table, runs=table.runs.assign(student=np.tile(["lstm:hidden=8", "layers:2", "static"], 16)))
    rows, products = Inputs.of(table)(table), Products.of(table)(table)
    for form in ("lstm", "pretrained", "static"):
        for circumstance in CIRCUMSTANCES:
            wanted = np.where(rows.form == form, rows[circumstance], 0.0)
            np.testing.assert_allclose(products[f"{form} × {circumstance}"], wanted)
    assert not {*products} & {*CIRCUMSTANCES}
    assert products.filter(like="descriptor ").empty
    of_new = Products.of(table)(replace(table, runs=table.runs.assign(student="scratch:layers=2")))
    assert (of_new.filter(like=" × ") == 0).all(axis=None)


def test_ridge_solves_the_normal_equations(table: RunTable) -> None:
    """Of students that differ in size, too: a number counts as much as any, whatever its unit is."""
    table = replace(table, runs=table.runs.assign(student_parameters=np.tile([1e4, 5e6, 2e9], 16)))
    rows = Products.of(table)(table)
    products = rows.filter(like=" × ")
    numbers = rows.drop(columns=products.columns).select_dtypes("number")
    assert [*numbers] == ["lead", *MODEL_COLUMNS]
    spread = numbers.std(ddof=0)
    scaled = (numbers - numbers.mean()) / spread.where(spread > 1e-9, 1.0)
    design = pd.get_dummies(rows.select_dtypes(object)).join([scaled, products]).to_numpy(dtype=float)
    y = target(table.runs).to_numpy()
    centred = design - design.mean(axis=0)
    penalty = RIDGE_PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean()))
    np.testing.assert_allclose(ridge(table)(table), y.mean() + centred @ weights, atol=1e-9)


class ScriptedPredictor:
    """Stands in for AutoGluon's: writes down how it was called, and answers with what lay in its files."""

    calls: ClassVar[dict[str, Any]] = {}

    def __init__(self, label: str, path: str, **settings: Any):
        self.calls.update(label=label, settings=settings, folder=Path(path))

    def fit(self, rows: pd.DataFrame, **how: Any) -> None:
        warnings.warn("so many rows are not many", UserWarning, stacklevel=2)
        self.calls.update(rows=rows, how=how)
        (self.calls["folder"] / "models").mkdir(parents=True)
        (self.calls["folder"] / "models" / "answer").write_text("0.25", "utf-8")

    @classmethod
    def load(cls, folder: str, verbosity: int) -> ScriptedPredictor:
        made = cls.__new__(cls)
        cls.calls.update(read_from=Path(folder), verbosity=verbosity)
        return made

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        self.calls["asked"] = rows
        answer = float((self.calls["read_from"] / "models" / "answer").read_text("utf-8"))
        return pd.Series(answer, index=rows.index, dtype="float32")


@pytest.mark.filterwarnings("error")
def test_what_the_ensemble_is_given_and_asked(table: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = ScriptedPredictor.calls
    monkeypatch.setitem(sys.modules, "autogluon.tabular", SimpleNamespace(TabularPredictor=ScriptedPredictor))
    past = replace(table, runs=table.runs.assign(ratio=[np.nan, *table.runs.ratio[1:]]))
    rank = tabular.autogluon(past)

    rows = calls["rows"]
    assert calls["label"] == "target"
    assert calls["settings"]["problem_type"] == "regression"
    assert calls["settings"]["learner_kwargs"] == {"ignored_columns": ["dataset"]}
    assert calls["settings"]["verbosity"] == 0
    pd.testing.assert_frame_equal(rows.drop(columns=["dataset", "target"]), Inputs.of(past)(past))
    assert rows.dataset.tolist() == past.runs.dataset.tolist()
    np.testing.assert_array_equal(rows.target, target(past.runs).fillna(0.0))
    assert calls["how"] == {"num_bag_folds": 4, **AUTOGLUON}
    assert not calls["folder"].exists()

    asked = past.of("set1")
    answers = rank(asked)
    assert answers.tolist() == [0.25] * len(asked.runs)
    assert answers.dtype == np.float64
    assert calls["verbosity"] == 0
    assert set(calls["asked"].dataset) == {"set1"}
    pd.testing.assert_frame_equal(calls["asked"].drop(columns="dataset"), rank.inputs(asked))
    assert not calls["read_from"].exists()


def test_the_ensemble_takes_at_most_eight_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autogluon.tabular", SimpleNamespace(TabularPredictor=ScriptedPredictor))
    tabular.autogluon(made_up(by_size, datasets=9))
    assert ScriptedPredictor.calls["how"]["num_bag_folds"] == 8


def test_trees_are_fitted_with_these_settings(table: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Regressor(DummyRegressor):  # type: ignore[misc]  # scikit-learn has no types
        def __init__(self, **settings: Any):
            seen.update(settings)
            super().__init__()

    monkeypatch.setitem(sys.modules, "lightgbm", SimpleNamespace(LGBMRegressor=Regressor))
    tabular.lightgbm(table)
    sizes = {"n_estimators": 200, "num_leaves": 15, "colsample_bytree": 0.5, "learning_rate": 0.05, "reg_lambda": 1.0}
    assert seen == {**sizes, "random_state": 0, "n_jobs": 1, "verbose": -1}


def test_names_of_models_may_hold_any_character(table: RunTable) -> None:
    named = table.runs.student.map('{{"{}": [1, 2]}}'.format)
    odd = replace(table, runs=table.runs.assign(student=named))
    for fit in (tabular.ridge, tabular.lightgbm):
        np.testing.assert_allclose(fit(odd)(odd), fit(table)(table))
