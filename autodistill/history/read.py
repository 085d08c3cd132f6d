"""Runs from wherever they lie: the published table, the user's store, a file, a folder.

Decided here: a table's layout is read off its columns, and every damaged row is named with file, line
and column before anything is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.history import authors, published
from autodistill.history.results import row_of_result
from autodistill.history.table import (
    COLUMNS,
    RunRow,
    Runs,
    TableRow,
    checked_row,
    is_pipeline_column,
    runs_frame,
)
from engine.base.errors import InputError, unknown_name
from engine.data.cells import is_missing
from engine.data.files import SUFFIXES, read_file
from engine.data.rows import Findings, RawSplit
from engine.run.result import RESULT_FILE, RunResult
from meta_data import PUBLISHED


@dataclass(frozen=True)
class Layout:
    """One way to write runs as a table.

    Args:
        row: Its columns; those without a default are how it is recognised.
        convert: A row of it in our layout, or None where it is no run.
        faults: What is wrong with a table as a whole, one sentence each.
    """

    row: type[TableRow]
    convert: Callable[[Any], dict[str, Any] | None]
    faults: Callable[[Any, Path], list[str]]

    @property
    def required(self) -> set[str]:
        """Columns that a table of this layout must have."""
        return {f.alias or name for name, f in self.row.model_fields.items() if f.is_required()}


FOREIGN = {
    "published": Layout(published.PublishedRow, published.convert, published.faults),
    "authors": Layout(authors.AuthorsRow, authors.convert, authors.faults),
}
"""Layouts that are converted to ours."""


def read_runs(source: str | Path) -> Runs:
    """The runs of `published`, of a table, or of a folder with tables or finished runs.

    Raises:
        InputError: There is nothing, or rows are damaged; every one is named.
    """
    if source == "published":
        return _read_table(PUBLISHED)
    path = Path(source).expanduser()
    if path.is_file():
        return _read_table(path)
    if not path.is_dir():
        raise InputError.of(
            "--meta-data", "no such file or folder", repr(str(source)), ("published", "store")
        )
    return _read_folder(path)


def joined(parts: Sequence[Runs]) -> Runs:
    """Several sets of runs as one."""
    filled = [part.frame for part in parts if len(part)] or [runs_frame([], [])]
    frame = pd.concat(filled, ignore_index=True)
    return Runs(frame, tuple(note for part in parts for note in part.notes))


def _read_folder(folder: Path) -> Runs:
    tables = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    parts = [_read_table(path) for path in tables if _layout_of(path) is not None]
    if results := [RunResult.read(path.parent) for path in sorted(folder.rglob(RESULT_FILE))]:
        rows = [row for result in results if result and (row := row_of_result(result))]
        parts.append(Runs(runs_frame(rows, [str(row["source"]) for row in rows])))
    if not parts:
        raise InputError.of(
            "--meta-data", "this folder holds neither a table of runs nor runs", repr(str(folder))
        )
    return joined(parts)


def _columns(path: Path) -> tuple[RawSplit, Findings]:
    findings = Findings()
    return read_file(path, findings), findings


def _layout_of(path: Path) -> str | None:
    """Which layout a file has; None where it is no table of runs."""
    try:
        return _recognised(_columns(path)[0].columns)
    except InputError:
        return None


def _recognised(columns: Any) -> str | None:
    ours = {name for name, field in RunRow.model_fields.items() if field.is_required()}
    known = {"ours": ours, **{name: layout.required for name, layout in FOREIGN.items()}}
    return next((name for name, required in known.items() if required <= set(columns)), None)


def _read_table(path: Path) -> Runs:
    split, findings = _columns(path)
    findings.check()
    layout = _recognised(split.columns)
    if layout is None:
        required = [name for name, field in RunRow.model_fields.items() if field.is_required()]
        missing = ", ".join(name for name in required if name not in split.columns)
        raise InputError.of(str(path), "no table of runs", f"no column {missing}", COLUMNS)
    cells = [
        {name: None if is_missing(values[row]) else values[row] for name, values in split.columns.items()}
        for row in range(len(split))
    ]
    places = [split.place(row) for row in range(len(split))]
    if layout == "ours":
        _check_columns(path, split.columns)
        return Runs(runs_frame(cells, places))
    return _converted(FOREIGN[layout], cells, places, path)


def _check_columns(path: Path, columns: Any) -> None:
    unknown = [name for name in columns if name not in COLUMNS and not is_pipeline_column(name)]
    if unknown:
        raise InputError([unknown_name(str(path), "unknown column", name, COLUMNS) for name in unknown])


def _converted(layout: Layout, cells: list[dict[str, Any]], places: list[str], path: Path) -> Runs:
    findings = Findings()
    given = {
        place: checked_row(layout.row, {k: v for k, v in row.items() if v is not None}, place, findings)
        for place, row in zip(places, cells, strict=True)
    }
    findings.check()
    rows = {place: row for place, row in given.items() if row is not None}
    once: dict[TableRow, str] = {}
    for place, row in rows.items():
        once.setdefault(row, place)
    ours = {place: found for row, place in once.items() if (found := layout.convert(row))}
    notes = layout.faults(list(once), path)
    if repeats := len(rows) - len(once):
        notes.insert(0, f"{repeats} rows repeat another one exactly and are left out")
    return Runs(runs_frame(list(ours.values()), list(ours)), tuple(f"{path.name}: {note}" for note in notes))
