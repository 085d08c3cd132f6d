"""What is known of a run before it is made, and may decide which pipeline suits: the circumstances.

Decided here: which they are. How near a Bi-LSTM comes to the teacher says how hard the task is for small models; pairs
of texts are read together by some students alone; and with more rows other things help. A ranked target leaves nothing
of what all runs of a dataset share, so in a line circumstances count only together with the form of the student, which
is worth more in one place than in another. Together with components they were tried there, too: what helped on one
table of past runs did harm on another. What the student reaches alone, without a teacher, says most of what it will
reach with one: among several students, which of them leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from autodistill.ranking.past import RunTable
from engine.models.names import start_of_name

GAPS = {"bilstm": "bilstm_score", "linear": "linear_score", "trivial": "trivial_score", "alone": "student_alone_score"}
"""Model that learns without a teacher → the column of its score: simple ones, and the student itself."""
CIRCUMSTANCES = ("gap", "pair", "rows")
LEAD = 0.02
"""Share of the teacher's score by which one student alone is clearly ahead of another."""
FARTHEST = 3.0
"""Standard deviations at which what lies outside of all that was seen is taken to lie."""


@dataclass(frozen=True)
class Circumstances:
    """Circumstances of runs, standardised by those of the past ones.

    Args:
        means, deviations: Of the past runs (3,).
    """

    means: pd.Series
    deviations: pd.Series

    @classmethod
    def of(cls, table: RunTable) -> Circumstances:
        """Learned from past runs."""
        found = _circumstances(table)
        deviations = found.std(ddof=0)
        return cls(found.mean().fillna(0.0), deviations.where(deviations > 0, np.inf))

    def __call__(self, table: RunTable) -> pd.DataFrame:
        """A column for each of `CIRCUMSTANCES` (n, 3); 0, the mean, where it is not known, or never varied."""
        found = (_circumstances(table) - self.means) / self.deviations
        return found.fillna(0.0).clip(-FARTHEST, FARTHEST)


def conditions(table: RunTable) -> pd.DataFrame:
    """What the level of a run depends on: `form` of its student, and a gap for each of `GAPS`; NaN: not known."""
    runs = table.runs
    teacher = runs.teacher_score.astype(float)
    teacher = teacher.where(teacher > 0)
    described = {name: dataset.descriptors.bilstm_score for name, dataset in table.datasets.items()}
    scores = {name: _column(runs, column) for name, column in GAPS.items()}
    scores["bilstm"] = scores["bilstm"].fillna(runs.dataset.map(described).astype(float))
    scores["linear"] = scores["linear"].fillna(scores["bilstm"])  # of words one by one there is no such model
    return pd.DataFrame(
        {
            "form": runs.student.map({each: start_of_name(str(each)) for each in runs.student.unique()}),
            **{name: (1 - score / teacher).clip(-1, 1) for name, score in scores.items()},
        },
        index=runs.index,
    )


def leads(table: RunTable) -> pd.Series:
    """How far the student of each run is ahead of the others of its dataset and rows, each alone: −1 to 1 (n,).

    0 where it is the only one, or what it reaches alone is not known.
    """
    runs = table.runs.reindex(columns=["dataset", "n_train", "student"])
    alone = -conditions(table).alone
    own = alone.groupby([runs.dataset, runs.n_train, runs.student.map(str)]).transform("mean")
    each = own[~runs.duplicated() & own.notna()]
    middle = each.groupby([runs.dataset, runs.n_train]).mean().rename("middle")
    found = own - runs.join(middle, on=["dataset", "n_train"]).middle
    return np.tanh(found.fillna(0.0) / LEAD)


def _column(runs: pd.DataFrame, name: str) -> pd.Series:
    return runs[name].astype(float) if name in runs else pd.Series(np.nan, runs.index)


def forms(table: RunTable) -> pd.Series:
    """How the student of each run starts (n,)."""
    return conditions(table).form


def _circumstances(table: RunTable) -> pd.DataFrame:
    """As numbers; NaN: not known."""
    runs = table.runs.reindex(columns=["dataset", "n_train"])
    pairs = {name: float(each.descriptors.pair) for name, each in table.datasets.items()}
    found = [conditions(table).bilstm, runs.dataset.map(pairs).astype(float), np.log(runs.n_train.astype(float))]
    return pd.DataFrame(dict(zip(CIRCUMSTANCES, found, strict=True)), index=runs.index)
