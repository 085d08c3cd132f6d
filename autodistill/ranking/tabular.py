"""Predictors that are models of tables: ridge, LightGBM, and AutoGluon's ensemble.

All three see the same table: a run's models and pipeline, the models' sizes, the form of its student and whether that
leads among the students, its circumstances and the descriptors of its dataset. Decided here: their settings, and what
ridge makes of it: trees find by themselves which student suits which circumstances, a linear model needs a column for
it. Everything that they learn, scales included, comes from the runs that they are fitted on.
"""

from __future__ import annotations

import io
import shutil
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from autodistill.history.table import MODEL_COLUMNS
from autodistill.ranking.circumstances import CIRCUMSTANCES, Circumstances, forms, leads
from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.past import RunTable, as_words, log_sizes, target, varying_columns

RIDGE_PENALTY = 10.0
AUTOGLUON: dict[str, Any] = {
    "hyperparameters": {"RF": {}, "XT": {}, "GBM": {}, "LR": {}},
    "num_bag_sets": 1,
    "validation_structure": {"group_on": "dataset"},
    "dynamic_stacking": False,
    "num_stack_levels": 0,
    "refit_full": True,
    "set_best_to_refit_full": True,
    "save_bag_folds": False,
    "num_cpus": 1,
    "ag_args_ensemble": {"fold_fitting_strategy": "sequential_local"},
}
MOST_FOLDS = 8
FEWEST_FOR_TREES = 2
"""Runs."""


@dataclass(frozen=True)
class Inputs:
    """Runs as a table of words (the columns of models and pipeline) and numbers, learned from past ones.

    A knob has few values, and no order of theirs needs to be the right one, so they count as words.
    """

    words: list[str]
    space: DatasetSpace
    circumstances: Circumstances

    @classmethod
    def of(cls, table: RunTable) -> Inputs:
        """Of all columns that vary."""
        return cls(varying_columns(table.runs), DatasetSpace.of(table), Circumstances.of(table))

    def __call__(self, table: RunTable) -> pd.DataFrame:
        """The table (n, columns)."""
        runs = table.runs.reindex(columns=["dataset", *self.words, *MODEL_COLUMNS])
        known = {name: self.space.descriptors(table, name) for name in table.names}
        about = pd.DataFrame([known[name] for name in runs["dataset"]], index=runs.index)
        words = as_words(runs[self.words]).assign(form=forms(table).to_numpy(), lead=leads(table).to_numpy())
        return words.join([log_sizes(runs), self.circumstances(table), about.add_prefix("descriptor ")])


@dataclass(frozen=True)
class Products:
    """The table of a linear model: in place of what all runs of a dataset share, which no order depends on, a column
    for each circumstance that a form of student meets.

    Args:
        forms: Of the students in past runs.
    """

    inputs: Inputs
    forms: Sequence[str]

    @classmethod
    def of(cls, table: RunTable) -> Products:
        """Of all columns that vary."""
        return cls(Inputs.of(table), sorted({*forms(table)}))

    def __call__(self, table: RunTable) -> pd.DataFrame:
        """The table (n, columns)."""
        found = self.inputs(table)
        products = {
            f"{form} × {circumstance}": (found.form == form) * found[circumstance]
            for form in self.forms
            for circumstance in CIRCUMSTANCES
        }
        shared = [name for name in map(str, found) if name in CIRCUMSTANCES or name.startswith("descriptor ")]
        return found.drop(columns=shared).join(pd.DataFrame(products, index=found.index))


@dataclass(frozen=True)
class Model:
    """A model of a table, with what turns runs into one."""

    inputs: Inputs | Products
    model: Any

    def __call__(self, candidates: RunTable) -> np.ndarray:
        return np.asarray(self.model.predict(self.inputs(candidates)), dtype=float)


def _fitted(table: RunTable, inputs: Inputs | Products, numbers: Any, model: Any) -> Model:
    """Fits `model` on a column for each name, products as they are, and other numbers that go through `numbers`."""
    from sklearn.compose import make_column_selector, make_column_transformer  # these take most of a second
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (words, make_column_selector(dtype_include=[object, "string"])),
        ("passthrough", make_column_selector(" × ")),
        (numbers, make_column_selector("^[^×]*$", dtype_include="number")),
    )
    y = target(table.runs).fillna(0.0)
    return Model(inputs, make_pipeline(columns, model).fit(inputs(table), y.to_numpy()))


def ridge(table: RunTable) -> Model:
    """A linear model: every component adds its share, whatever the others are, and a form of student its own in each
    circumstance."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return _fitted(table, Products.of(table), numbers, Ridge(alpha=RIDGE_PENALTY))


def lightgbm(table: RunTable) -> Model:
    """Boosted trees on the ranked target; of a single run, from which they learn nothing, its middle."""
    from lightgbm import LGBMRegressor
    from sklearn.dummy import DummyRegressor

    if len(table.runs) < FEWEST_FOR_TREES:
        return _fitted(table, Inputs.of(table), "passthrough", DummyRegressor())
    size = {"n_estimators": 200, "num_leaves": 15, "colsample_bytree": 0.5}
    trees = LGBMRegressor(**size, learning_rate=0.05, reg_lambda=1.0, random_state=0, n_jobs=1, verbose=-1)
    return _fitted(table, Inputs.of(table), "passthrough", trees)


@dataclass(frozen=True)
class AutoGluon:
    """AutoGluon's predictor; its files, which it reads for each answer, are held as one archive and nowhere else."""

    inputs: Inputs
    archive: bytes

    def __call__(self, candidates: RunTable) -> np.ndarray:
        from autogluon.tabular import TabularPredictor

        rows = self.inputs(candidates).assign(dataset=candidates.runs.dataset.astype(str))
        with TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(self.archive)) as files:
            files.extractall(folder)
            return TabularPredictor.load(folder, verbosity=0).predict(rows).to_numpy(dtype=float)


def autogluon(table: RunTable) -> AutoGluon:
    """Random forests, extremely randomised trees, LightGBM and a linear model, weighted by AutoGluon.

    Its folds are whole datasets, and the dataset's name is no input.
    """
    from autogluon.tabular import TabularPredictor

    inputs = Inputs.of(table)
    rows = inputs(table).assign(dataset=table.runs.dataset.astype(str), target=target(table.runs).fillna(0.0))
    settings = {"problem_type": "regression", "verbosity": 0, "learner_kwargs": {"ignored_columns": ["dataset"]}}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries below, about sizes that are as they should be
        path = f"{folder}/model"
        predictor = TabularPredictor("target", path=path, **settings)
        predictor.fit(rows, num_bag_folds=min(MOST_FOLDS, len(table.names)), **AUTOGLUON)
        return AutoGluon(inputs, Path(shutil.make_archive(path, "zip", path)).read_bytes())
