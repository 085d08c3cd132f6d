"""Columns of 0 and 1, each of which says whether a label applies, as one column of lists of labels."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.base.errors import Problem, shown, unknown_name
from engine.data.cells import truths, values_of
from engine.data.rows import Findings, RawSplit, Source


def gathered(source: Source, label: str | None) -> Source:
    """The source with one column of lists in place of columns of 0 and 1, where `label` names several: `a,b,c`.

    Raises:
        InputError: One of them does not exist or stands twice, or a cell is neither 0 nor 1.
    """
    names = [] if label is None else [name.strip() for name in label.split(",")]
    splits = source.splits.values()
    if label is None or len(names) < 2 or any(label in split.names for split in splits):
        return source
    findings, known = Findings(), list(dict.fromkeys(name for split in splits for name in split.names))
    for name in dict.fromkeys(names):
        if name not in known:
            findings.add(unknown_name("--label", "no such column", name, known))
        if names.count(name) > 1:
            findings.add(Problem("--label", "one column is named twice", repr(name)))
    findings.check()
    found = {
        key: _with_lists(split, label, names, findings) if {*names} <= {*split.names} else split
        for key, split in source.splits.items()
    }
    findings.check()
    note = f"label: {len(names)} columns of 0 and 1, one for each label"
    return replace(source, splits=found, notes=(*source.notes, note))


def _with_lists(split: RawSplit, label: str, names: list[str], findings: Findings) -> RawSplit:
    lists = [_lists(split, start, names, cells, findings) for start, cells in split.pieces(*names)]
    table = split.table.drop_columns(names).append_column(label, pa.chunked_array(lists, pa.list_(pa.int64())))
    return replace(split, table=table, class_names={**split.class_names, label: tuple(names)})


def _lists(split: RawSplit, start: int, names: list[str], columns: list[pa.Array], findings: Findings) -> pa.Array:
    """For each row the numbers of the columns that hold 1."""
    marks = np.zeros((len(columns[0]), len(names)), bool)
    for place, cells in enumerate(columns):
        values = truths(cells)
        for row in np.flatnonzero(np.isnan(values)):
            cell = values_of(cells.slice(int(row), 1))[0]
            findings.row(split, start + int(row), f"column '{names[place]}' must hold 0 or 1", shown(cell))
        marks[:, place] = values == 1
    ends = np.cumsum([0, *marks.sum(axis=1)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.nonzero(marks)[1].astype(np.int64)))
