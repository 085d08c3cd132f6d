"""Where the evidence for a recommendation is thin, in sentences.

Decided here: what counts as thin. A caveat never hides a recommendation; it stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autodistill.ranking.past import MODELS
from engine.base.errors import counted

if TYPE_CHECKING:
    from autodistill.datasets.known import Dataset
    from autodistill.ranking.fitted import Fitted
    from autodistill.ranking.past import RunTable
    from engine.data.task import Task

FEW_DATASETS = 5
FEW_ROWS = 200
FEW_COMMON_WORDS = 0.5
"""Share of a dataset's words that any past dataset has."""


def caveats(task: Task, dataset: Dataset, table: RunTable, candidates: pd.DataFrame, fitted: Fitted) -> list[str]:
    """Every reason to trust a recommendation less, the weightiest first."""
    return [
        *_of_the_teacher(dataset, candidates),
        *_of_the_past(task, table, fitted),
        *_of_the_rows(task),
        *_of_the_words(dataset, table),
        *_of_the_sizes(candidates, table),
    ]


def _of_the_teacher(dataset: Dataset, candidates: pd.DataFrame) -> Iterator[str]:
    bilstm, teacher = dataset.descriptors.bilstm_score, float(candidates.teacher_score.iloc[0])
    if bilstm is not None and bilstm >= teacher:
        reached = f"A small Bi-LSTM reaches {bilstm:.3f} without a teacher, and the teacher {teacher:.3f}"
        yield f"{reached}: there is nothing to distil, or the teacher is not trained well."


def _of_the_past(task: Task, table: RunTable, fitted: Fitted) -> Iterator[str]:
    """How many datasets the past runs are of, how many of this kind, and what could be learned from them."""
    kinds, count = table.runs.groupby("task_kind").dataset.nunique(), len(table.names)
    known, named = int(kinds.get(task.kind, 0)), task.kind.replace("_", " ")
    if known == 0:
        yield f"No past run is of {named}: the order of pipelines is that of other kinds of tasks."
    if known == 1 and count > 1:
        yield f"Only one past dataset is of {named}."
    if count < FEW_DATASETS:
        yield f"Past runs are of {count} dataset{'s' * (count != 1)} only: what holds elsewhere is hardly known."
    if fitted.agreement <= fitted.mean_rank_agreement:
        yield (
            "On past datasets left out, the predictor orders runs no better than the mean rank of each "
            f"configuration does ({fitted.agreement:.2f} against {fitted.mean_rank_agreement:.2f}): nothing is "
            "known to depend on the dataset."
        )


def _of_the_rows(task: Task) -> Iterator[str]:
    counts = {"training": len(task.train), "held-out": len(task.held_out[task.split])}
    if few := [counted(count, f"{what} row") for what, count in counts.items() if count < FEW_ROWS]:
        yield f"Only {' and '.join(few)}: scores move by several points from seed to seed."


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


def _of_the_sizes(candidates: pd.DataFrame, table: RunTable) -> Iterator[str]:
    """Whether models are twice as large, or half as small, as any past one."""
    outside = []
    for role in MODELS:
        past, new = (runs[f"{role}_parameters"].dropna() / 1e6 for runs in (table.runs, candidates))
        if len(past) and len(new) and (new.max() > 2 * past.max() or new.min() < past.min() / 2):
            covered = f"past ones {past.min():.3g} to {past.max():.3g} M"
            outside.append(f"{role} of {new.min():.3g} M parameters ({covered})")
    if outside:
        yield f"Outside of what past runs cover: {', '.join(outside)}."
