"""What a report is made of: past runs under readable names, their learning curves, importance, one dataset left out.

Decided here: what cannot be worked out is a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pandas as pd

from autodistill.evaluation.importance import Importance, importance
from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.evaluation.report import Evaluation, evaluate
from autodistill.history.folder import curves_beside
from autodistill.history.store import Store
from autodistill.ranking.fitted import SIMPLE
from autodistill.ranking.knowledge import STORE, load_knowledge
from autodistill.ranking.past import RunTable
from autodistill.recommend.request import Request
from autodistill.report.names import readable
from autodistill.study.tables import curve
from engine.base.errors import InputError
from engine.base.progress import Reporter

Found = TypeVar("Found")


@dataclass(frozen=True)
class Material:
    """Everything that a report tells of; a sentence in place of what there is none of."""

    name: str
    """Of the meta-dataset, for people."""
    runs: pd.DataFrame
    """In the columns of `history.table`, and `among`: with which others it is comparable, in words."""
    curves: pd.DataFrame
    """Runs × epochs with a score, and columns of their run; empty where nothing tells of epochs."""
    importance: Importance | str
    evaluation: tuple[Evaluation, list[HeldOut]] | str
    notes: tuple[str, ...]


def gather(request: Request, reporter: Reporter) -> Material:
    """Reads the past runs that are asked for, and works out what the sections share.

    Raises:
        InputError: A source cannot be read, or there is not one run.
    """
    store = Store(request.store)
    table, notes = load_knowledge(request.meta_data, store, request.vectors, request.options, reporter)
    name, runs = " and ".join(request.meta_data), readable(table.runs)
    names = dict(zip(table.runs.dataset, runs.dataset, strict=True))
    return Material(
        name,
        runs,
        with_runs(_curves(request.meta_data, store), runs),
        _or_why(lambda: importance(runs, name, reporter)),
        _or_why(lambda: _evaluated(request, table, names, reporter)),
        notes,
    )


def _or_why(work: Callable[[], Found]) -> Found | str:
    """What comes out, or why nothing does."""
    try:
        return work()
    except InputError as error:
        parts = [f"{each.what} ({each.got})" if each.got else each.what for each in error.problems]
        return "; ".join(parts)


def _evaluated(
    request: Request, table: RunTable, names: Mapping[str, str], reporter: Reporter
) -> tuple[Evaluation, list[HeldOut]]:
    """Each dataset left out, under its readable name; of predictors the one that is asked for, and the simple one."""
    cache = request.options.cache
    found, held_out = evaluate(table, "", reporter, request.predictor, cache, (SIMPLE,))
    datasets = {names[dataset]: measures for dataset, measures in found.datasets.items()}
    named = [replace(each, dataset=names[each.dataset]) for each in held_out]
    return found.model_copy(update={"datasets": datasets}), named


def _curves(sources: Sequence[str], store: Store) -> pd.DataFrame:
    """The epochs of runs: of a store's, and those that lie beside a table."""
    parts = []
    for source in sources:
        if source == STORE:
            parts.append(pd.DataFrame([row for result in store.runs() for row in curve(result)]))
        elif (found := curves_beside(source)) is not None:
            parts.append(found)
    return pd.concat(parts, ignore_index=True).drop_duplicates(["identity", "epoch"]) if parts else pd.DataFrame()


def with_runs(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Epochs with what is known of their run; without those of other runs.

    Returns:
        Columns `identity`, `epoch`, `score`, `seconds`, and of the run `among`, `dataset`, `student`, `intermediate`,
        `teacher_score`.
    """
    about = ["identity", "among", "dataset", "student", "intermediate", "teacher_score"]
    known = runs[runs.identity.notna()].reindex(columns=about).drop_duplicates("identity")
    curves = curves.reindex(columns=["identity", "epoch", "score", "seconds"])
    return curves.astype({"identity": str, "seconds": float}).merge(known, on="identity")
