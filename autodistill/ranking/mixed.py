"""The default predictor: what holds on every dataset, and how datasets deviate from it.

A Gaussian process whose covariance is a sum of parts with a variance each (a mixed model):

    y(run) = Σ_c effect of its value in column c            the same on every dataset
           + deviation of its dataset, for models, pair and pipeline
           + noise, of its own size on each dataset

Runs of one dataset share their deviation, so 271 runs of one dataset do not outvote 57 of another, and a
component counts as good when it is so on many datasets. The variances are found by maximum marginal
likelihood on the past runs. Where features of datasets are used, datasets that are near in them share
deviations too, and an effect may depend on the dataset; without them a new dataset gets what holds
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import pdist

from autodistill.history.table import MODEL_COLUMNS
from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.past import (
    FEWEST,
    MODELS,
    RunTable,
    agreement,
    as_words,
    configuration_columns,
    target,
)

SAME = "same"
FEATURE_SETS: tuple[tuple[str, ...], ...] = (
    (),
    ("descriptors",),
    ("embedding",),
    ("descriptors", "embedding"),
)

ALIKE = 0.3
"""Two pipelines that differ in one column are exp(−0.3) alike."""
MOST_RUNS = 1_200
"""Runs that the variances are found on; beyond them a random part of each dataset: the cost is cubic."""
FEWER_RUNS = 600
"""The same while feature sets are compared."""
ITERATIONS = 60
FEWEST_DATASETS = 3
"""With fewer that have runs enough for an order, feature sets are not compared."""
LEAST_GAIN = 0.02
"""In rank correlation. Where nothing depends on the dataset, feature sets differ by less than 0.01."""
SMALLEST, LARGEST = 1e-4, 20.0

Encoded = dict[str, np.ndarray]
"""Column → its values as numbers (n,)."""
Parts = dict[str, np.ndarray]
"""Part of the covariance → its value for each two runs (n, m)."""


@dataclass(frozen=True)
class Encoding:
    """How runs become arrays, learned from the past ones.

    Args:
        words: Column of names → the names that it holds; their places are the codes.
        numbers: Column of numbers → mean and deviation.
        sizes: The same of the logarithms of the models' sizes.
        space: Where datasets lie.
        lengths: Feature set → distance beyond which datasets have little in common.
    """

    words: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]
    sizes: Mapping[str, tuple[float, float]]
    space: DatasetSpace
    lengths: Mapping[str, float]

    @classmethod
    def of(cls, table: RunTable) -> Encoding:
        """Of all columns that vary."""
        runs = table.runs
        columns = configuration_columns(runs)
        varying = [name for name in columns if runs[name].nunique(dropna=False) > 1 or name in MODELS]
        words = {name: runs[name] for name in varying if not pd.api.types.is_numeric_dtype(runs[name])}
        return cls(
            {name: tuple(sorted(set(as_words(values.to_frame())[name]))) for name, values in words.items()},
            {name: _moments(runs[name]) for name in varying if name not in words},
            {name: _moments(np.log(runs[name])) for name in MODEL_COLUMNS},
            space := DatasetSpace.of(table),
            {name: _typical_distance(places) for name, places in _places(space, table).items()},
        )

    @property
    def pipeline_columns(self) -> list[str]:
        """Columns of the pipeline."""
        return [name for name in (*self.words, *self.numbers) if name not in MODELS]

    def __call__(self, table: RunTable) -> Encoded:
        """Runs as arrays: codes of names (−1: never seen), standardised numbers (NaN: missing), places."""
        runs = table.runs.reindex(columns=["dataset", *self.words, *self.numbers, *self.sizes])
        found = {"dataset": runs.dataset.to_numpy(dtype=str)}
        for name, known in self.words.items():
            codes = {word: code for code, word in enumerate(known)}
            found[name] = as_words(runs[[name]])[name].map(codes).fillna(-1).to_numpy(dtype=int)
        for name, moments in self.numbers.items():
            found[name] = _standardised(runs[name], moments)
        for role in MODELS:
            sizes = [name for name in self.sizes if name.startswith(role)]
            columns = [
                _standardised(runs[name].astype(float).map(np.log), self.sizes[name]) for name in sizes
            ]
            found[f"size of {role}"] = np.stack(columns, axis=1)
        for name, places in _places(self.space, table).items():
            found[name] = np.stack([places[dataset] for dataset in found["dataset"]]) / self.lengths[name]
        return found

    def alike(self, name: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """How alike the values of a column are, 0 to 1 (n, m)."""
        if name in self.words:
            return ((one[:, None] == other) & (one[:, None] >= 0)).astype(float)
        both_missing = np.isnan(one)[:, None] & np.isnan(other)
        return np.where(both_missing, 1.0, np.nan_to_num(np.exp(-0.5 * (one[:, None] - other) ** 2)))


def _places(space: DatasetSpace, table: RunTable) -> dict[str, dict[str, np.ndarray]]:
    """Feature set → dataset → where it lies."""
    kinds = {"descriptors": space.descriptors, "embedding": space.embedding}
    return {kind: {name: place(table, name) for name in table.names} for kind, place in kinds.items()}


def _typical_distance(places: Mapping[str, np.ndarray]) -> float:
    """Half of the median distance between two of the past datasets."""
    known = [place for place in places.values() if np.isfinite(place).all()]
    distances = pdist(np.stack(known)) if len(known) > 1 else np.ones(1)
    return float(np.median(distances)) / 2 or 1.0


def _standardised(values: Any, moments: tuple[float, float]) -> np.ndarray:
    mean, deviation = moments
    return (np.asarray(values, dtype=float) - mean) / deviation


def _moments(values: pd.Series) -> tuple[float, float]:
    """Mean and deviation; 1 for a deviation of zero."""
    mean, deviation = values.mean(), values.std(ddof=0)
    return (0.0 if pd.isna(mean) else float(mean)), (float(deviation) if deviation > 0 else 1.0)


def covariances(encoding: Encoding, one: Encoded, other: Encoded, relations: Sequence[str]) -> Parts:
    """The parts of the covariance between two sets of runs, each (n, m).

    Args:
        relations: Which relations of datasets there are deviations for: `same`, or a feature set.
    """
    names = [*MODELS, *encoding.pipeline_columns]
    found = {name: encoding.alike(name, one[name], other[name]) for name in names}
    pipeline = [found[name] for name in encoding.pipeline_columns]
    alike = np.exp(ALIKE * (np.sum(pipeline, axis=0) - len(pipeline)))
    pair = found["teacher"] * found["student"]
    deviating = {
        **{role: found[role] for role in MODELS},
        "pair": pair,
        "pipeline": alike,
        "run": pair * alike,
    }
    for role in MODELS:
        found[f"size of {role}"] = _near(one[f"size of {role}"], other[f"size of {role}"])
    for relation in relations:
        near = same(one, other) if relation == SAME else _near(one[relation], other[relation])
        found |= {f"{relation}: {name}": near * part for name, part in deviating.items()}
    return found


def same(one: Encoded, other: Encoded) -> np.ndarray:
    """1 where two runs are of one dataset (n, m)."""
    return (one["dataset"][:, None] == other["dataset"]).astype(float)


def _near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """exp(−½ distance²) of places (n, D) and (m, D); 0 where one is not known."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.nan_to_num(np.exp(-0.5 * squares.clip(min=0)))


def find_variances(parts: Parts, y: np.ndarray) -> dict[str, float]:
    """The variance of each part with the largest marginal likelihood.

    Equation:
        log p(y) = −½ yᵀA⁻¹y − ½ log|A| + const,  A = Σ_k θ_k K_k   (Rasmussen and Williams 2006, eq. 2.30)
    """
    stack = np.stack(list(parts.values()))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        variances = np.exp(logs)
        factor = cho_factor(np.tensordot(variances, stack, 1), lower=True)
        inverse = cho_solve(factor, np.eye(len(y)))
        weights = inverse @ y
        slope = np.tensordot(stack, np.outer(weights, weights) - inverse, axes=2)
        value = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum()
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
        variances: Part → its variance.
        runs: The past runs, encoded.
        weights: A⁻¹y (n,).
        left_out: What each past run would have been predicted without the runs of its dataset (n,).
        gains: Feature sets → what they add to the rank correlation on past datasets when left out.
    """

    encoding: Encoding
    features: tuple[str, ...]
    variances: Mapping[str, float]
    runs: Encoded
    weights: np.ndarray
    left_out: np.ndarray
    gains: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, candidates: RunTable) -> np.ndarray:
        """How high each candidate stands (n,)."""
        asked = self.encoding(candidates)
        parts = covariances(self.encoding, asked, self.runs, (SAME, *self.features))
        return sum(self.variances[name] * part for name, part in parts.items()) @ self.weights


def mixed(table: RunTable) -> Mixed:
    """The predictor with the feature sets that predict unseen datasets best, if they clearly do.

    Each of the past datasets is left out in turn (`Mixed.left_out`). Features are used where their mean
    rank correlation is above that without any by `LEAST_GAIN` and by more than two standard errors: with few
    datasets, chance picks features easily, and wrong ones do harm.
    """
    comparable = (table.runs.groupby("dataset").size() >= FEWEST).sum()
    if comparable < FEWEST_DATASETS:
        return fit_mixed(table)
    plain, *richer = (fit_mixed(table, features, FEWER_RUNS) for features in FEATURE_SETS)
    without = agreement(table.runs, plain.left_out)
    gains = {model.features: agreement(table.runs, model.left_out) - without for model in richer}
    clear = {features: gain.mean() for features, gain in gains.items() if _clear(gain)}
    chosen = max(clear, key=lambda features: clear[features]) if clear else ()
    model = fit_mixed(table, chosen)
    measured = {" and ".join(features): float(gain.mean()) for features, gain in gains.items()}
    return replace(model, gains=measured)


def _clear(gain: np.ndarray) -> bool:
    """Whether differences in rank correlation speak for a feature set (datasets,)."""
    error = np.std(gain, ddof=1) / np.sqrt(len(gain))
    return bool(gain.mean() > max(LEAST_GAIN, 2 * error))


def fit_mixed(table: RunTable, features: Sequence[str] = (), most_runs: int = MOST_RUNS) -> Mixed:
    """Fits the predictor with the given feature sets of datasets.

    Args:
        features: `descriptors`, `embedding`, both or none: what holds on every dataset is then all that a
            new one gets.
        most_runs: Runs that the variances are found on.
    """
    encoding = Encoding.of(table)
    runs, y = encoding(table), target(table.runs).fillna(0).to_numpy()
    parts = covariances(encoding, runs, runs, (SAME, *features))
    for name in table.names:
        parts[f"noise of {name}"] = np.diag((runs["dataset"] == name).astype(float))
    rows = _at_most(runs["dataset"], most_runs)
    variances = find_variances({name: value[np.ix_(rows, rows)] for name, value in parts.items()}, y[rows])
    factor = cho_factor(sum(variances[name] * value for name, value in parts.items()), lower=True)
    inverse = cho_solve(factor, np.eye(len(y)))
    weights = inverse @ y
    left_out = _left_out(inverse, weights, y, runs["dataset"])
    return Mixed(encoding, tuple(features), variances, runs, weights, left_out)


def _at_most(datasets: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most `most` runs, the same share of each dataset, in order."""
    if len(datasets) <= most:
        return np.arange(len(datasets))
    rows = pd.DataFrame({"dataset": datasets})
    share = most / len(rows)
    parts = [
        group.sample(max(1, int(share * len(group))), random_state=0) for _, group in rows.groupby("dataset")
    ]
    return np.sort(pd.concat(parts).index.to_numpy())


def _left_out(inverse: np.ndarray, weights: np.ndarray, y: np.ndarray, datasets: np.ndarray) -> np.ndarray:
    """What each run would be predicted from the runs of the other datasets, without fitting again.

    Equation:
        ŷ_I = y_I − (A⁻¹_II)⁻¹ (A⁻¹y)_I for the runs I of a dataset
        (Rasmussen and Williams 2006, section 5.4.2)
    """
    found = np.empty_like(y)
    for name in np.unique(datasets):
        rows = np.flatnonzero(datasets == name)
        found[rows] = y[rows] - np.linalg.solve(inverse[np.ix_(rows, rows)], weights[rows])
    return found
