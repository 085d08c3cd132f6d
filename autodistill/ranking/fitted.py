"""The predictors by name, and one of them made ready: fitted, calibrated, compared with the mean rank.

Fitting takes seconds, and fitting without each dataset in turn up to minutes, so each is done once for a table of runs
and kept; what was stopped goes on. A pickle is loaded only from the tool's own cache, under a hash of everything that
it was made from, and only if its own hash is the one that was written beside it.
"""

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from autodistill.ranking import simple, tabular
from autodistill.ranking.calibration import Calibration, calibrate, left_out_standings
from autodistill.ranking.mixed import mixed
from autodistill.ranking.past import Fit, Rank, RunTable, commonest_pair, folds, of_pair, rank_correlations
from engine.base.cache import kept, maker
from engine.base.errors import counted
from engine.base.files import write_text, written_atomically
from engine.base.progress import Reporter

PREDICTORS: dict[str, Fit] = {
    "mixed": mixed,
    "autogluon": tabular.autogluon,
    "lightgbm": tabular.lightgbm,
    "ridge": tabular.ridge,
    "mean_rank": simple.mean_rank,
    "portfolio": simple.portfolio,
    "nearest": simple.nearest_dataset,
    "random": simple.random_order,
}
"""Name → function from past runs to what ranks candidates; all see the same table and the same folds."""
SIMPLE = "mean_rank"
"""The predictor that every other one has to beat."""
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "autogluon.tabular")


@dataclass(frozen=True)
class Agreement:
    """Past dataset → rank correlation with what came out; each is left out, and all is fitted anew.

    Those whose runs cannot tell are absent.
    """

    pooled: Mapping[str, float] = field(default_factory=dict)
    """Among all runs of a dataset: it says much about models, little about pipelines."""
    within_pair: Mapping[str, float] = field(default_factory=dict)
    """Among those of the commonest pair of models: it says what a choice of pipelines for given models is worth."""


class Trust(NamedTuple):
    """How far the order of candidates can be trusted: means of the `Agreement` that answers the question asked."""

    pair: str
    """The student ← teacher within which it was measured, as for one student; empty: among all runs."""
    agreement: float | None
    """None: the runs cannot tell."""
    mean_rank: float | None
    """Of the mean rank of exact configurations; None too where that is the predictor."""
    datasets: int
    """That the runs can tell of."""


@dataclass(frozen=True)
class Fitted:
    """What a recommendation is made with."""

    rank: Rank
    calibration: Calibration
    agreement: Agreement
    mean_rank_agreement: Agreement
    """The same of the mean rank of exact configurations; empty where that is the predictor."""
    pair: tuple[str, str]
    """The teacher and student with the most past runs."""

    def trust(self, students: int) -> Trust:
        """What its order is worth where so many students are compared."""
        pair = "" if students > 1 else f"{self.pair[1]} ← {self.pair[0]}"
        both = (each.within_pair if pair else each.pooled for each in (self.agreement, self.mean_rank_agreement))
        own, simple = ([*each.values()] for each in both)
        return Trust(pair, _mean(own), _mean(simple), len(own))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def fit_predictor(name: str, table: RunTable, cache: Path, reporter: Reporter) -> Fitted:
    """The predictor for a table of runs, from the cache where it is there."""
    return _kept(_place("predictors", name, table, cache), lambda: _fitted(name, table, cache, reporter))


def kept_fit(name: str, cache: Path) -> Fit:
    """A predictor's `Fit` that keeps what it fitted, and fits the same runs once."""
    return lambda table: _kept(_place("ranks", name, table, cache), lambda: PREDICTORS[name](table))


def _fitted(name: str, table: RunTable, cache: Path, reporter: Reporter) -> Fitted:
    past = f"{counted(len(table.runs), 'run')} of {counted(len(table.names), 'dataset')}"
    reporter.message(f"fitting the predictor {name} on {past}")
    pair = commonest_pair(table.runs)
    rank = PREDICTORS[name](table)
    calibration = calibrate(table, left_out_standings(kept_fit(name, cache), rank, table))
    own = _agreement(name, table, pair, cache, reporter)
    simple = Agreement() if name == SIMPLE else _agreement(SIMPLE, table, pair, cache, reporter)
    return Fitted(rank, calibration, own, simple, pair)


def _agreement(name: str, table: RunTable, pair: tuple[str, str], cache: Path, reporter: Reporter) -> Agreement:
    """Of a predictor that sees nothing of the dataset left out, not even when it chooses its features and variances."""
    if len(table.names) < 2:  # nothing is left to learn from
        return Agreement()
    stage, parts = f"{name}, each dataset left out", []
    reporter.start(stage, len(table.names), unit="datasets")
    for dataset, _, standings in folds(kept_fit(name, cache), table):
        parts.append(table.runs[table.runs.dataset == dataset].assign(standing=standings))
        reporter.advance(stage)
    reporter.finish(stage)
    runs = pd.concat(parts)
    inside = runs[of_pair(runs, pair)]
    return Agreement(*(rank_correlations(each, each.standing.to_numpy()) for each in (runs, inside)))


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """What lies there; where nothing does, or something else than was written, it is made and put there."""
    digest = path.with_suffix(".sha256")
    if path.is_file() and digest.is_file():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest.read_text("utf-8"):
            return pickle.loads(content)
    made = make()
    content = pickle.dumps(made)
    with written_atomically(path) as aside:
        aside.write_bytes(content)
    write_text(digest, hashlib.sha256(content).hexdigest())
    return made


def _place(kind: str, name: str, table: RunTable, cache: Path) -> Path:
    """Where it is kept: it follows from runs, datasets, vectors, the code of this package and the libraries."""
    runs = table.runs.reindex(columns=sorted(table.runs.columns)).to_json(orient="split", double_precision=15)
    datasets = [table.datasets[each].descriptors.model_dump_json() for each in table.names if each in table.datasets]
    made_by = maker(Path(__file__).parents[1], LIBRARIES)
    return kept(cache, kind, name, runs, datasets, table.vectors.name, made_by).with_suffix(".pickle")
