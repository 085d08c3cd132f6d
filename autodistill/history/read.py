"""Runs from wherever they lie: the published table, the user's store, a file, a folder.

Decided here: a table's layout is read off its columns, and every damaged row is named with file, line and column
before anything is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.history import authors
from autodistill.history.folder import SHIPPED, place_of
from autodistill.history.table import COLUMNS, RunRow, Runs, is_pipeline_column, runs_frame, runs_of_results
from engine.base.errors import InputError, unknown_name
from engine.base.files import RESULT_FILE
from engine.base.spec import TableRow
from engine.data.cells import is_missing
from engine.data.files import SUFFIXES, read_file
from engine.data.rows import Findings
from engine.run.layouts import NewerRecordError
from engine.run.result import RunResult


def read_runs(source: str | Path) -> Runs:
    """The runs of `published` or `study`, of a table, or of a folder with tables or finished runs.

    Raises:
        InputError: There is nothing, or rows are damaged; every one is named.
    """
    path = place_of(source)
    if path.is_file():
        return _read_table(path)
    if not path.is_dir():
        raise InputError.of("--meta-data", "no such file or folder", repr(str(source)), (*SHIPPED, "store"))
    return _read_folder(path)


def joined(parts: Sequence[Runs]) -> Runs:
    """Several sets of runs as one; of a run that is in two of them, the first one."""
    filled = [part.frame for part in parts if len(part)] or [runs_frame([], [])]
    frame = pd.concat(filled, ignore_index=True)
    again = frame.identity.notna() & frame.identity.ne("") & frame.identity.duplicated()
    frame = frame[~again].reset_index(drop=True)
    return Runs(frame, tuple(note for part in parts for note in part.notes))


def _read_folder(folder: Path) -> Runs:
    tables = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    parts = [_read_table(path) for path in tables if _is_table_of_runs(path)]
    left_out: list[str] = []
    if results := results_below(folder, partial(_only_newer, left_out)):
        found = runs_of_results(result for result, _ in results)
        parts.append(replace(found, notes=(*found.notes, *left_out)))
    if not parts:
        what, hint = "this folder holds neither a table of runs nor runs", "; ".join(left_out)
        raise InputError.of("--meta-data", what, repr(str(folder)), (), hint)
    return joined(parts)


def results_below(folder: Path, tell: Callable[[InputError], None]) -> list[tuple[RunResult, Path]]:
    """The runs in a folder and all folders in it, each with its own; `tell` hears of records that cannot be read."""
    found: list[tuple[RunResult, Path]] = []
    for file in sorted(folder.rglob(RESULT_FILE)):
        try:
            result = RunResult.read(file.parent)
        except InputError as error:
            tell(error)
        else:
            found += [(result, file.parent)] if result else []
    return found


def _only_newer(left_out: list[str], error: InputError) -> None:
    """Records that a newer version wrote are left out, and a sentence says so; nothing else is."""
    if not isinstance(error.__cause__, NewerRecordError):
        raise error
    left_out.append(f"left out: {error}")


def _is_table_of_runs(path: Path) -> bool:
    try:
        return _layout_of(read_file(path, Findings()).columns) is not None
    except InputError:
        return False


def _layout_of(columns: Iterable[str]) -> type[TableRow] | None:
    return next((layout for layout in LAYOUTS if set(_required(layout)) <= set(columns)), None)


def _required(layout: type[TableRow]) -> list[str]:
    return [field.alias or name for name, field in layout.model_fields.items() if field.is_required()]


def _read_table(path: Path) -> Runs:
    findings = Findings()
    split = read_file(path, findings)
    findings.check()
    columns = split.columns
    layout = _layout_of(columns)
    if layout is None:
        missing = ", ".join(name for name in _required(RunRow) if name not in columns)
        raise InputError.of(str(path), "no table of runs", f"no column {missing}", COLUMNS)
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    cells = ({name: None if is_missing(value) else value for name, value in row.items()} for row in rows)
    return LAYOUTS[layout]({split.place(index): row for index, row in enumerate(cells)}, path)


def _runs_in_our_layout(cells: Mapping[str, Mapping[str, Any]], path: Path) -> Runs:
    columns = next(iter(cells.values()), ())
    if unknown := [name for name in columns if name not in COLUMNS and not is_pipeline_column(name)]:
        raise InputError([unknown_name(str(path), "unknown column", name, COLUMNS) for name in unknown])
    return Runs(runs_frame(list(cells.values()), list(cells)))


LAYOUTS: dict[type[TableRow], Callable[[Mapping[str, Mapping[str, Any]], Path], Runs]] = {
    RunRow: _runs_in_our_layout,
    authors.AuthorsRow: authors.runs_of_authors,
}
"""Columns of a table → what reads its rows, given as place → cells, and its path."""
