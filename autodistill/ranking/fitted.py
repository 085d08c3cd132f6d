"""The predictors by name, and one of them made ready: fitted, calibrated, compared with the mean rank.

Fitting takes seconds, and fitting without each dataset in turn up to minutes, so what a predictor answered is kept for
the runs that it was fitted on and the candidates that it was asked about; what was stopped goes on. Numbers alone are
kept, never a fitted model: models of scikit-learn, LightGBM and AutoGluon are pickles, which run code when they are
loaded. A new question fits again; the mixed model from its variances, which take longest, in a moment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from autodistill.history.table import MODEL_COLUMNS, REMARKS
from autodistill.ranking import simple, tabular
from autodistill.ranking.average import average_of
from autodistill.ranking.calibration import Calibration, calibrate, left_out_standings
from autodistill.ranking.mixed import mixed, mixed_of
from autodistill.ranking.past import Fit, Rank, RunTable, commonest_pair, folds, of_pair, rank_correlations
from engine.base.cache import keeping, kept, maker, recalled
from engine.base.errors import counted
from engine.base.progress import Reporter

PREDICTORS: dict[str, Fit] = {
    "average": average_of(tabular.ridge, tabular.lightgbm, simple.mean_rank),
    "ridge": tabular.ridge,
    "mixed": mixed,
    "autogluon": tabular.autogluon,
    "lightgbm": tabular.lightgbm,
    "mean_rank": simple.mean_rank,
    "portfolio": simple.portfolio,
    "nearest": simple.nearest_dataset,
    "random": simple.random_order,
}
"""Name → function from past runs to what ranks candidates; all see the same table and the same folds."""
AGAIN: dict[str, Callable[[RunTable, Any], Rank]] = {"mixed": mixed_of}
"""Name → function that makes it again in a moment, from the same runs and the plain values that it had `learned`."""
SIMPLE = "mean_rank"
"""The predictor that every other one has to beat."""
ANSWER = "answer.json"
Form = TypeVar("Form")
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


@dataclass(frozen=True)
class Kept:
    """A predictor for past runs that is fitted when it is asked what it was not asked before; answers are kept."""

    name: str
    past: RunTable
    cache: Path
    reporter: Reporter
    announced: bool = False
    """Whether the reporter is told when it is fitted."""

    @cached_property
    def _rank(self) -> Rank:
        if self.name not in AGAIN:
            return self._fit()
        return self.known("learned", lambda: self._fit().learned, partial(AGAIN[self.name], self.past))

    def _fit(self) -> Any:
        if self.announced:
            past = f"{counted(len(self.past.runs), 'run')} of {counted(len(self.past.names), 'dataset')}"
            self.reporter.message(f"fitting the predictor {self.name} on {past}")
        return PREDICTORS[self.name](self.past)

    def __call__(self, candidates: RunTable) -> np.ndarray:
        columns = sorted({*self.past.runs.columns, *MODEL_COLUMNS})  # a candidate has more that nobody looks at
        asked = _facts(replace(candidates, runs=candidates.runs.reindex(columns=columns)))
        size = len(candidates.runs)
        return self.known("answers", lambda: self._rank(candidates).tolist(), partial(_numbers, size=size), asked)

    @property
    def features(self) -> tuple[str, ...] | None:
        """The feature sets of datasets that it uses; None where it does not choose any."""
        return self.known("features", lambda: getattr(self._rank, "features", None), _optional(tuple))

    @property
    def left_out(self) -> np.ndarray | None:
        """The standing of each past run without its dataset (n,); None where it takes fitting again."""
        form = partial(_numbers, size=len(self.past.runs))
        return self.known("left out", lambda: _listed(getattr(self._rank, "left_out", None)), _optional(form))

    @cached_property
    def _facts(self) -> tuple[Any, ...]:
        return _facts(self.past)

    def known(self, what: str, answer: Callable[[], Any], form: Callable[[Any], Form], *about: Any) -> Form:
        """What was answered before, or is answered now, in its form; the answer itself is JSON.

        Raises:
            ValueError: No answer has this form.
        """
        made_by = maker(Path(__file__).parents[1], LIBRARIES)
        folder = kept(self.cache, "fits", self.name, self._facts, what, *about, made_by)
        before = recalled(
            folder, self.reporter, lambda folder: [form(json.loads((folder / ANSWER).read_text("utf-8")))]
        )
        if before is not None:
            return before[0]
        found = json.dumps(answer())
        with keeping(folder) as aside:
            (aside / ANSWER).write_text(found, "utf-8")
        return form(json.loads(found))


def _numbers(values: Any, size: int) -> np.ndarray:
    """So many numbers (size,); a `ValueError` or `TypeError` where they are none, or others."""
    return np.array(values, dtype=float).reshape(size)


def _optional(form: Callable[[Any], Form]) -> Callable[[Any], Form | None]:
    return lambda value: None if value is None else form(value)


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else values.tolist()


def _facts(table: RunTable) -> tuple[Any, ...]:
    """Everything that a table of runs tells a predictor."""
    columns = sorted({*table.runs.columns} - {*REMARKS})
    runs = table.runs.reindex(columns=columns).to_json(orient="split", double_precision=15)
    datasets = [table.datasets[each].descriptors.model_dump_json() for each in table.names if each in table.datasets]
    return runs, datasets, table.vectors.name


def kept_fit(name: str, cache: Path, reporter: Reporter) -> Fit:
    """A predictor's `Fit` that keeps what it answers, and fits the same runs once."""
    return lambda table: Kept(name, table, cache, reporter)


def fit_predictor(name: str, table: RunTable, cache: Path, reporter: Reporter) -> Fitted:
    """The predictor for a table of runs, which fits where it was not asked the same before."""
    pair = commonest_pair(table.runs)
    rank = Kept(name, table, cache, reporter, announced=True)
    calibration = calibrate(table, left_out_standings(kept_fit(name, cache, reporter), rank, table))
    own = agreement_of(name, table, pair, cache, reporter)
    simple = Agreement() if name == SIMPLE else agreement_of(SIMPLE, table, pair, cache, reporter)
    return Fitted(rank, calibration, own, simple, pair)


def agreement_of(name: str, table: RunTable, pair: tuple[str, str], cache: Path, reporter: Reporter) -> Agreement:
    """Of a predictor that sees nothing of the dataset left out, not even when it chooses its features and variances."""
    if len(table.names) < 2:  # nothing is left to learn from
        return Agreement()

    def measured() -> list[dict[str, float]]:
        stage, parts = f"{name}, each dataset left out", []
        reporter.start(stage, len(table.names), unit="datasets")
        for dataset, _, standings in folds(kept_fit(name, cache, reporter), table):
            parts.append(table.runs[table.runs.dataset == dataset].assign(standing=standings))
            reporter.advance(stage)
        reporter.finish(stage)
        runs = pd.concat(parts)
        return [rank_correlations(each, each.standing.to_numpy()) for each in (runs, runs[of_pair(runs, pair)])]

    return Kept(name, table, cache, reporter).known("agreement", measured, _correlations, *pair)


def _correlations(values: Any) -> Agreement:
    pooled, within_pair = ({name: float(value) for name, value in each.items()} for each in values)
    return Agreement(pooled, within_pair)
