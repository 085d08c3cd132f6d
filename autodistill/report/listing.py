"""Runs as one table to look over: of the store, a folder, or a table; those that failed or were stopped, too.

Decided here: which runs are kept and in what order. A condition compares one column with one value; what is not known
fulfils none but `!=`.
"""

from __future__ import annotations

import logging
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.history.folder import place_of
from autodistill.history.read import read_runs, results_below
from autodistill.history.store import Store
from autodistill.history.table import COLUMNS, NUMBERS, SCORES, facts_of_result
from autodistill.ranking.knowledge import STORE
from autodistill.report.findings import on_front
from autodistill.report.names import readable
from engine.base.errors import InputError, unknown_name
from engine.base.files import RESULT_FILE, WORK
from engine.run.result import RunResult

log = logging.getLogger("autodistiller")
CONDITION = re.compile(r"\s*([\w.]+)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""Signs that compare numbers."""
LEADING = ("status", "dataset", "task_kind", "metric", "held_out", "teacher", "student")
INTERVAL = ("score_low", "score_high")
"""Of the student's score, 95 %."""
OWN = (*LEADING, "score", *INTERVAL, "teacher_score", "ratio", "latency_ms", "reason", "folder")
BEST_FIRST = (*SCORES, "ratio", "finished_at")
"""Columns whose largest values come first."""
DISTINCT = ["dataset", "metric", "held_out", "score"]
"""The order where none is asked for: comparable runs together, the best first."""


def runs(
    source: str | Path = STORE,
    *,
    where: str | Sequence[str] = (),
    sort: str = "",
    reverse: bool = False,
    store: str | None = None,
    tell: Callable[[str], None] = log.warning,
) -> pd.DataFrame:
    """Runs, a row each.

    Args:
        source: `store`, a folder with runs in it, a table of runs, `published` or `study`.
        where: Conditions that all hold: `dataset=trec`, `student=layers:*`, `score>=0.8`, `status!=ok`.
        sort: A column. Scores, ratios and dates: the largest first; others: the smallest.
        reverse: The other way round.
        store: The user's record of runs: a file or a database's URL.
        tell: Hears of what cannot be read, a sentence each.

    Returns:
        The columns of `autodistill.history.table.RunRow` and of the pipelines, and `status`, `reason`, `folder`,
        `score_low`, `score_high`, `among` (which runs it is comparable with), and `front`: no comparable run with a
        latency of at most its own has as good a score.

    Raises:
        InputError: There are no runs, or no such column; or a value is no number where one is needed.
    """
    found = _read(source, store, tell)
    for condition in (where,) if isinstance(where, str) else where:
        found = found[_fulfilling(found, condition)]
    order = [_column(found, sort, "--sort")] if sort else DISTINCT
    up = [(name not in BEST_FIRST) != reverse for name in order]
    found = found.sort_values(order, ascending=up, kind="stable", na_position="last").reset_index(drop=True)
    known = found[(found.status == "ok") & (found.latency_ms > 0) & found.score.notna()]
    return found.assign(front=on_front(known, "score", "latency_ms").reindex(found.index, fill_value=False))


def _read(source: str | Path, store: str | None, tell: Callable[[str], None]) -> pd.DataFrame:
    """All runs of a source."""
    results: list[tuple[RunResult, Path]] = []
    if source == STORE:
        kept = Store(store).runs_in_folders(tell)
        results = [*{result.identity: (result, folder) for result, folder in kept}.values()]  # the last one counts
    elif (path := place_of(source)).is_dir():
        results = results_below(path, lambda error: tell(f"left out: {error}"))
        for folder in sorted(work.parent for work in path.rglob(WORK)):
            if not (folder / RESULT_FILE).exists():
                tell(f"not finished: {folder}")
    if source == STORE and not results:
        raise InputError.of("--store", "there are no runs in the store", "", (), "Make some with `autodistill run`.")
    if results:
        return _frame([_row(result, folder) for result, folder in results])
    try:
        table = read_runs(source)
    except InputError as error:  # which speaks of what the recommender learns from
        problems = (replace(each, place="") if each.place == "--meta-data" else each for each in error.problems)
        raise InputError([*problems]) from None
    for note in table.notes:
        tell(note)
    return _frame(table.frame.assign(status="ok", reason=None, folder=None).to_dict("records"))


def _row(result: RunResult, folder: Path) -> dict[str, Any]:
    """A run as it is known, and where it lies."""
    low, high = result.interval("student", result.metric) or (None, None)
    own = {"status": result.status, "reason": result.reason, "folder": str(folder)}
    bounds = dict(zip(INTERVAL, (low, high), strict=True))
    return {**facts_of_result(result), **own, **bounds, "ratio": result.distillation_ratio}


def _frame(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
    others = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    names = [*OWN, *(name for name in others if name not in OWN)]
    frame = pd.DataFrame(rows, columns=names).astype(dict.fromkeys([*NUMBERS, *INTERVAL], float))
    return readable(frame).drop(columns="configuration")


def _column(found: pd.DataFrame, name: str, place: str) -> str:
    if name not in found:
        raise InputError(unknown_name(place, "unknown column", name, found.columns))
    return name


def _fulfilling(found: pd.DataFrame, condition: str) -> pd.Series:
    """Which runs fulfil a condition."""
    parts = CONDITION.fullmatch(condition)
    if parts is None:
        allowed = ("dataset=trec", "score>=0.8", "status!=ok")
        raise InputError.of("--where", "no condition", repr(condition), allowed)
    name, sign, value = parts.groups()
    column = found[_column(found, name, "--where")]
    number = _number(value)
    if sign not in ORDERED:
        same = column.map(lambda each: _is(each, value.lower(), number))
        return same.astype(bool) == (sign == "=")
    if number is None:
        raise InputError.of("--where", f"{name} {sign} needs a number", repr(value))
    return ORDERED[sign](pd.to_numeric(column, errors="coerce"), number)


def _is(cell: Any, pattern: str, number: float | None) -> bool:
    """Whether a cell is a number, or a text that goes with a pattern in which `*` stands for anything."""
    if pd.isna(cell):
        return not pattern
    is_number = isinstance(cell, (int, float)) and not isinstance(cell, bool)
    return cell == number if is_number else fnmatchcase(str(cell).lower(), pattern)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
