"""What holds on every dataset, and how datasets deviate from it.

A Gaussian process whose covariance is a sum of parts with a variance each (a mixed model):

    y(run) = Σ_c effect of its value in column c            the same on every dataset
           + deviation of its dataset, for models, pair and pipeline
           + noise, of its own size on each dataset

Runs of one dataset share their deviation, so 271 runs of one dataset do not outvote 57 of another, and a component
counts as good when it is so on many datasets. The variances maximise the marginal likelihood of the past runs. Where
features of datasets are used, datasets that are near in them share deviations too, and an effect may depend on the
dataset; without them a new dataset gets what holds everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize
from scipy.spatial.distance import pdist

from autodistill.history.table import MODEL_COLUMNS
from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.past import MODELS, RunTable, as_words, log_sizes, rank_correlations, target, varying_columns

SAME = "same"
FEATURES = ("descriptors", "embedding")
ALIKE = 0.3
"""Two pipelines that differ in one column are exp(−0.3) alike."""
MOST_RUNS = 1_200
"""Runs that variances are estimated on; beyond them a random part of each dataset: the cost is cubic."""
FEWER_RUNS = 600
"""The same while feature sets are compared."""
ITERATIONS = 60
FEWEST_DATASETS = 3
"""With fewer that can tell an order from another, feature sets are not compared."""
LEAST_GAIN = 0.02
"""In rank correlation. Where nothing depends on the dataset, feature sets differ by less than 0.01."""
SMALLEST, LARGEST = 1e-4, 20.0
ROUNDING = 1e-9
"""Of numbers that are all the same the deviation is rarely 0, but less than this part of them."""

Encoded = dict[str, np.ndarray]
"""Column → its values as numbers (n,)."""
Parts = dict[str, np.ndarray]
"""Part of the covariance → its value for each two runs (n, m)."""


@dataclass(frozen=True)
class Encoding:
    """How runs become arrays, learned from the past ones.

    Args:
        words: Columns of names; `numbers`: of numbers.
        means: Of the numbers and of the logarithms of the models' sizes; `deviations` likewise.
        lengths: Feature set → distance beyond which datasets have little in common.
    """

    words: list[str]
    numbers: list[str]
    means: pd.Series
    deviations: pd.Series
    space: DatasetSpace
    lengths: Mapping[str, float]

    @classmethod
    def of(cls, table: RunTable) -> Encoding:
        """Of all columns that vary."""
        runs, space = table.runs, DatasetSpace.of(table)
        varying = list(dict.fromkeys([*MODELS, *varying_columns(runs)]))
        numbers = [name for name in varying if pd.api.types.is_numeric_dtype(runs[name])]
        words = [name for name in varying if name not in numbers]
        scaled = _numbers(runs, numbers)
        deviations = scaled.std(ddof=0)
        varies = deviations > ROUNDING * scaled.abs().max()
        lengths = {
            each: _typical_distance([getattr(space, each)(table, name) for name in table.names]) for each in FEATURES
        }
        return cls(words, numbers, scaled.mean().fillna(0.0), deviations.where(varies, 1.0), space, lengths)

    def __call__(self, table: RunTable) -> Encoded:
        """Runs as arrays: hashes of names, standardised numbers (NaN: missing), positions of datasets."""
        runs = table.runs.reindex(columns=["dataset", *self.words, *self.numbers, *MODEL_COLUMNS])
        numbers = (_numbers(runs, self.numbers) - self.means) / self.deviations
        datasets = runs.dataset.to_numpy(dtype=str)
        words = as_words(runs[self.words])
        encoded: Encoded = {name: pd.util.hash_array(words[name].to_numpy()) for name in self.words}
        encoded |= {name: numbers[name].to_numpy() for name in self.numbers} | {"dataset": datasets}
        for role in MODELS:
            sizes = [name for name in MODEL_COLUMNS if name.startswith(role)]
            encoded[f"size of {role}"] = np.ascontiguousarray(numbers[sizes])
        for features, length in self.lengths.items():
            positions = {name: getattr(self.space, features)(table, name) for name in table.names}
            encoded[features] = np.stack([positions[dataset] for dataset in datasets]) / length
        return encoded


def _numbers(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Columns of numbers and the logarithms of the models' sizes; NaN: missing."""
    return runs[[*names]].astype(float).join(log_sizes(runs))


def _typical_distance(positions: Sequence[np.ndarray]) -> float:
    """Half of the median distance between two of the past datasets."""
    known = [position for position in positions if np.isfinite(position).all()]
    distances = pdist(np.stack(known)) if len(known) > 1 else np.ones(1)
    return float(np.median(distances)) / 2 or 1.0


def covariances(encoding: Encoding, one: Encoded, other: Encoded, relations: Sequence[str]) -> Parts:
    """The parts of the covariance of two sets of runs, each (n, m); a relation is `same` or a feature set."""
    columns = [name for name in (*encoding.words, *encoding.numbers) if name not in MODELS]
    parts = {name: _alike(one[name], other[name]) for name in (*MODELS, *columns)}
    pipeline = np.exp(ALIKE * (np.sum([parts[name] for name in columns], axis=0) - len(columns)))
    pair = parts["teacher"] * parts["student"]
    deviating = {role: parts[role] for role in MODELS} | {"pair": pair, "pipeline": pipeline, "run": pair * pipeline}
    parts |= {name: _near(one[name], other[name]) for name in (f"size of {role}" for role in MODELS)}
    for relation in relations:
        near = _alike(one["dataset"], other["dataset"]) if relation == SAME else _near(one[relation], other[relation])
        parts |= {f"{relation}: {name}": near * part for name, part in deviating.items()}
    return parts


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How alike the values (n,) and (m,) of a column are, 0 to 1 (n, m)."""
    if one.dtype.kind != "f":
        return (one[:, None] == other).astype(float)
    both_missing = np.isnan(one)[:, None] & np.isnan(other)
    return np.where(both_missing, 1.0, np.nan_to_num(np.exp(-0.5 * (one[:, None] - other) ** 2)))


def _near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """exp(−½ distance²) of positions (n, D) and (m, D); 0 where one is not known."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.nan_to_num(np.exp(-0.5 * squares.clip(min=0)))


def find_variances(parts: Parts, y: np.ndarray) -> dict[str, float]:
    """The variance of each part with the largest marginal likelihood.

    Equation:
        log p(y) = −½ yᵀA⁻¹y − ½ log|A| + const,  A = Σ_k θ_k K_k   (Rasmussen and Williams 2006, eq. 2.30)
    """
    rows, columns = np.triu_indices(len(y))  # all is symmetric, so its upper half is enough
    stack = np.stack([part[rows, columns] for part in parts.values()])
    twice = np.where(rows == columns, 1.0, 2.0)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        variances = np.exp(logs)
        matrix = np.zeros((len(y), len(y)))
        matrix[rows, columns] = variances @ stack
        factor, failed = lapack.dpotrf(matrix)
        if failed:
            raise np.linalg.LinAlgError("the covariance of the runs is not positive definite")
        inverse, _ = lapack.dpotri(factor)
        weights = inverse @ y + np.triu(inverse, 1).T @ y
        slope = stack @ (twice * (weights[rows] * weights[columns] - inverse[rows, columns]))
        value = 0.5 * y @ weights + np.log(np.diag(factor)).sum()
        return value, -0.5 * variances * slope

    start = np.full(len(stack), np.log(0.1))
    bounds = [(np.log(SMALLEST), np.log(LARGEST))] * len(stack)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    return dict(zip(parts, np.exp(best.x).tolist(), strict=True))


@dataclass(frozen=True)
class Mixed:
    """The fitted predictor.

    Args:
        features: The feature sets of datasets that it uses.
        variances: Of each part.
        runs: The past ones, encoded.
        weights: A⁻¹y (n,).
        left_out: What each past run would have been predicted without the runs of its dataset (n,).
    """

    encoding: Encoding
    features: tuple[str, ...]
    variances: Mapping[str, float]
    runs: Encoded
    weights: np.ndarray
    left_out: np.ndarray

    @property
    def learned(self) -> dict[str, Any]:
        """What took long to find, as plain values, for `mixed_of`."""
        return {"features": list(self.features), "variances": dict(self.variances)}

    def __call__(self, candidates: RunTable) -> np.ndarray:
        parts = covariances(self.encoding, self.encoding(candidates), self.runs, (SAME, *self.features))
        return sum(self.variances[name] * part for name, part in parts.items()) @ self.weights


def mixed(table: RunTable) -> Mixed:
    """The predictor with the feature sets that predict unseen datasets best, if they clearly do.

    Each of the past datasets is left out in turn (`Mixed.left_out`). Features are used where their mean rank
    correlation is above that without any by `LEAST_GAIN` and by more than two standard errors: with few datasets,
    chance picks features easily, and wrong ones do harm.
    """
    from scipy.stats import sem  # takes most of a second

    if len(rank_correlations(table.runs, np.zeros(len(table.runs)))) < FEWEST_DATASETS:
        return fit_mixed(table)
    plain, *richer = (fit_mixed(table, each, FEWER_RUNS) for each in ((), *((name,) for name in FEATURES), FEATURES))
    without = _left_out_correlations(table, plain)
    gains = {model.features: _left_out_correlations(table, model) - without for model in richer}
    means = {features: float(gain.mean()) for features, gain in gains.items()}
    clear = [features for features, gain in gains.items() if means[features] > max(LEAST_GAIN, 2 * sem(gain))]
    chosen = max(clear, key=means.__getitem__, default=())
    return plain if not chosen and len(table.runs) <= FEWER_RUNS else fit_mixed(table, chosen)


def _left_out_correlations(table: RunTable, model: Mixed) -> np.ndarray:
    """Of the datasets that can tell, which are the same for every model (datasets,)."""
    return np.array([*rank_correlations(table.runs, model.left_out).values()])


def mixed_of(table: RunTable, learned: Mapping[str, Any]) -> Mixed:
    """The predictor for the same runs from what it had learned of them; nothing is estimated."""
    return fit_mixed(table, learned["features"], variances=learned["variances"])


def fit_mixed(
    table: RunTable,
    features: Sequence[str] = (),
    most_runs: int = MOST_RUNS,
    variances: Mapping[str, float] | None = None,
) -> Mixed:
    """Fits the predictor with some of `FEATURES`; its variances, unless given, are estimated on `most_runs` at most."""
    encoding = Encoding.of(table)
    runs, y = encoding(table), target(table.runs).fillna(0).to_numpy()
    parts = covariances(encoding, runs, runs, (SAME, *features))
    parts |= {f"noise of {name}": np.diag((runs["dataset"] == name).astype(float)) for name in table.names}
    if variances is None:
        rows = _at_most(runs["dataset"], most_runs)
        variances = find_variances({name: value[np.ix_(rows, rows)] for name, value in parts.items()}, y[rows])
    factor = cho_factor(sum(variances[name] * value for name, value in parts.items()), lower=True)
    inverse = cho_solve(factor, np.eye(len(y)))
    return Mixed(encoding, tuple(features), variances, runs, inverse @ y, _left_out(inverse, y, runs["dataset"]))


def _at_most(datasets: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most `most` runs, the same share of each dataset, in order."""
    if len(datasets) <= most:
        return np.arange(len(datasets))
    rows, share = pd.Series(datasets), most / len(datasets)
    parts = [group.sample(max(1, int(share * len(group))), random_state=0) for _, group in rows.groupby(rows)]
    return np.sort(pd.concat(parts).index.to_numpy())


def _left_out(inverse: np.ndarray, y: np.ndarray, datasets: np.ndarray) -> np.ndarray:
    """What each run would be predicted from the runs of the other datasets, without fitting again.

    Equation:
        ŷ_I = y_I − (A⁻¹_II)⁻¹ (A⁻¹y)_I for the runs I of a dataset (Rasmussen and Williams 2006, section 5.4.2)
    """
    weights, predicted = inverse @ y, np.empty_like(y)
    for name in np.unique(datasets):
        rows = np.flatnonzero(datasets == name)
        predicted[rows] = y[rows] - np.linalg.solve(inverse[np.ix_(rows, rows)], weights[rows])
    return predicted
