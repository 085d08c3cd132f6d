"""Where the evidence for a recommendation is thin, in sentences.

Decided here: what counts as thin. A caveat never hides a recommendation; it stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autodistill.recommend.experience import experience
from autodistill.recommend.record import WEAK_ORDER
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.datasets.known import Dataset
    from autodistill.ranking.fitted import Trust
    from autodistill.ranking.past import RunTable
    from engine.data.task import Task

FEW_DATASETS = 5
FEW_ROWS = 200
FEW_COMMON_WORDS = 0.5
"""Share of a dataset's words that any past dataset has."""


def caveats(task: Task, dataset: Dataset, table: RunTable, candidates: pd.DataFrame, trust: Trust) -> list[str]:
    """Every reason to trust a recommendation less, the weightiest first."""
    return [
        *_of_the_teacher(dataset, candidates),
        *_of_the_past(task, table),
        *_of_the_order(trust, candidates),
        *_of_the_rows(task),
        *_of_the_pool(task),
        *_of_the_words(dataset, table),
        *_of_the_runs(candidates, table),
    ]


def _of_the_teacher(dataset: Dataset, candidates: pd.DataFrame) -> Iterator[str]:
    bilstm, teacher = dataset.descriptors.bilstm_score, float(candidates.teacher_score.iloc[0])
    if bilstm is not None and bilstm >= teacher:
        reached = f"A small Bi-LSTM reaches {bilstm:.3f} without a teacher, and the teacher {teacher:.3f}"
        yield f"{reached}: there is nothing to distil, or the teacher is not trained well."


def _of_the_past(task: Task, table: RunTable) -> Iterator[str]:
    """How many datasets the past runs are of, and how many of this kind."""
    kinds, count = table.runs.groupby("task_kind").dataset.nunique(), len(table.names)
    known, named = int(kinds.get(task.kind, 0)), task.kind.replace("_", " ")
    if known == 0:
        yield f"No past run is of {named}: the order of pipelines is that of other kinds of tasks."
    if known == 1 and count > 1:
        yield f"Only one past dataset is of {named}."
    if count < FEW_DATASETS:
        yield f"Past runs are of {counted(count, 'dataset')} only: what holds elsewhere is hardly known."


def _of_the_order(trust: Trust, candidates: pd.DataFrame) -> Iterator[str]:
    """What could be learned from the past runs."""
    if len(candidates) > 1 and candidates.standing.nunique() == 1:
        yield f"All {len(candidates):,} pipelines are tied: nothing tells them apart."
    runs = f"runs of {trust.pair}" if trust.pair else "runs"
    if trust.agreement is None:
        yield f"Too few past {runs}: how well pipelines are ordered on a new dataset is not known."
    elif trust.agreement < WEAK_ORDER:
        yield f"On past datasets left out, {runs} are hardly ordered ({trust.agreement:.2f}): the picks are guesses."
    if trust.agreement is not None and trust.mean_rank is not None and trust.agreement <= trust.mean_rank:
        yield (
            f"On past datasets left out, the predictor orders {runs} no better than the mean rank of each "
            f"configuration does ({trust.agreement:.2f} against {trust.mean_rank:.2f}): nothing is "
            "known to depend on the dataset."
        )


def _of_the_rows(task: Task) -> Iterator[str]:
    counts = {"training": len(task.train), "held-out": len(task.held_out[task.split])}
    if few := [counted(count, f"{what} row") for what, count in counts.items() if count < FEW_ROWS]:
        yield f"Only {' and '.join(few)}: scores move by several points from seed to seed."


def _of_the_pool(task: Task) -> Iterator[str]:
    if task.pool is not None:
        more = f"the {counted(len(task.pool), 'text')} without labels"
        yield f"Past runs are of labelled rows: what {more} will add is in no predicted ratio."


def _of_the_words(dataset: Dataset, table: RunTable) -> Iterator[str]:
    """Whether the words are those of past datasets; another language has few in common."""
    names = (name for name in table.names if name in table.datasets and name != dataset.name)
    others = [table.datasets[name].words.hashes for name in names]
    if others and dataset.words.total:
        known = np.isin(dataset.words.hashes, np.concatenate(others))
        share = dataset.words.counts[known].sum() / dataset.words.total
        if share < FEW_COMMON_WORDS:
            what = "another language or field, of which nothing has been learned"
            yield f"Only {share:.0%} of the words occur in any past dataset: {what}."


def _of_the_runs(candidates: pd.DataFrame, table: RunTable) -> Iterator[str]:
    """Whether anything like the candidates was run before, on more than a dataset or two."""
    found = experience(candidates, table.runs)
    if found.outside.any():
        few = f"Past runs of {counted(found.datasets, 'dataset')} only are" if found.datasets else "No past run is"
        reasons = ", ".join(found.reasons) or "such data, models and epochs together"
        why = "ratios hardly rest on experience, and the interval is that of all past runs, or wider"
        yield f"{few} like this: {reasons}; {why}."
