"""Our own scan of text files: what is damaged, and on which line each row stands.

Decided here: `engine.data.files` asks for it where pyarrow fails, might be more lenient than the format, or a message
needs the line of a row. Damaged rows are named and left out. Quotes and the header of a table are judged here for
both readers.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import InputError, Problem, listed, shown
from engine.base.text import HALF, read_json, read_text
from engine.data.cells import column_of, pieces
from engine.data.rows import IMPOSSIBLE, Findings, Origin, RawSplit, check_columns

QUOTE_MISTAKES = {
    "unexpected end of data": "a quote is opened here and never closed",
    "expected after": "text follows a closing quote; inside quotes a quote is written twice",
}

Record = tuple[int, list[str]]
"""The line that a record begins on, and its cells."""


def scan_csv(path: Path, findings: Findings) -> RawSplit:
    """The rows up to the first broken quote; the cells may hold line breaks."""
    text = read_text(path)
    records, broken = _quoted_records(path, text, delimiter(text.split("\n", 1)[0]))
    if broken:
        findings.add(broken)
    return _table(path, records, findings)


def scan_tsv(path: Path, findings: Findings) -> RawSplit:
    """TSV is written with quotes (pandas) and without (GLUE): the reading that fits more lines counts."""
    text = read_text(path)
    lines = ((number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), start=1))
    plain = [(number, line.split("\t")) for number, line in lines if line]
    if misfits := _misfits(plain):
        quoted, broken = _quoted_records(path, text, "\t")
        if not broken and _misfits(quoted) < misfits:
            return _table(path, quoted, findings)
    return _table(path, plain, findings, plain=True)


def delimiter(header: str) -> str:
    """What separates the cells of a CSV file: the first of comma, semicolon, tab that its header has, else comma."""
    return next((sign for sign in ",;\t" if sign in header), ",")


def _misfits(records: Sequence[Record]) -> int:
    return sum(len(cells) != len(records[0][1]) for _, cells in records)


def _quoted_records(path: Path, text: str, delimiter: str) -> tuple[list[Record], Problem | None]:
    """Records up to the first broken quote, and that one's problem."""
    records: list[Record] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line, limit = 1, csv.field_size_limit(sys.maxsize)
    try:
        for cells in reader:
            if cells:
                records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        mistakes = (words for sign, words in QUOTE_MISTAKES.items() if sign in str(error))
        return records, Problem(f"{path}:{line}", next(mistakes, str(error)))
    finally:
        csv.field_size_limit(limit)
    return records, None


def _table(path: Path, records: Sequence[Record], findings: Findings, *, plain: bool = False) -> RawSplit:
    """Records as rows below their header, with what is wrong with either."""
    width = len(records[0][1]) if records else 0
    check_columns(str(path), width)
    rows = [record for record in records if len(record[1]) == width]
    columns = [pa.array([cells[index] or None for _, cells in rows], pa.string()) for index in range(width)]
    table, wrong = below_header([unquoted(column) for column in columns] if plain else columns)
    for what, got, *advice in wrong:
        findings.add(Problem(f"{path}:1", what, got, (), *advice))
    for line, cells in records:
        if len(cells) != width:
            what = f"wrong number of columns; the first line names {width}"
            findings.add(Problem(f"{path}:{line}", what, f"{len(cells)}: {shown(cells)}"), str(path))
    lines = [line for line, _ in rows[1:]]
    return RawSplit(table, (Origin(str(path), len(lines), lambda: lines),))


def unquoted(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Cells without the quotes around them, where what is inside was written for quotes."""
    quoted = pc.match_substring_regex(column, r'^"([^"]|"")*"$')
    if not pc.any(quoted).as_py():
        return column
    inside = pc.replace_substring(pc.utf8_slice_codeunits(column, 1, -1), '""', '"')
    cells = pc.if_else(quoted, inside, column)
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def below_header(columns: Sequence[pa.Array | pa.ChunkedArray]) -> tuple[pa.Table, list[tuple[str, ...]]]:
    """Columns without their first cells, which name them, and what is wrong with these: what, got, advice."""
    header = [(column[0].as_py() or "").strip() for column in columns]
    # pandas writes its index, and spreadsheets their empty columns, without a name
    named = {name: column[1:] for name, column in zip(header, columns, strict=True) if name}
    wrong: list[tuple[str, ...]] = []
    wrong += [("two columns have the same name", repr(name)) for name in named if header.count(name) > 1]
    table = pa.table(named)
    counts = [sum(pc.sum(pc.equal(piece, name)).as_py() or 0 for piece in pieces(table[name])) for name in named]
    if max(counts, default=0) >= max(2, len(table) // 100):  # a row too, as the labels in it stand below it
        advice = "Add a first line such as: text,label"
        wrong.append(("the first line must name the columns", shown(header), advice))
    return table, wrong


def scan_json_lines(path: Path, findings: Findings) -> RawSplit:
    """An object in each line; blank lines are passed over."""
    rows, lines = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        what, got = "a row must be a JSON object", line
        try:
            row = got = read_json(line)
        except json.JSONDecodeError as error:
            what, row = f"not JSON: {error.msg} at character {error.colno}", None
        if isinstance(row, dict):
            rows.append(row)
            lines.append(number)
        else:
            findings.add(Problem(f"{path}:{number}", what, shown(got)), str(path))
    return _of_objects(path, rows, lines)


def scan_json(path: Path, findings: Findings) -> RawSplit:
    """A list of objects, the same below a key `data`, SQuAD's own layout, or JSON lines after all."""
    try:
        rows = read_json(read_text(path))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return scan_json_lines(path, findings)
        raise InputError.of(f"{path}:{error.lineno}", f"not JSON: {error.msg}") from error
    if isinstance(rows, dict):
        rows = rows.get("data", rows)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        advice = "Write one object per row; with pandas: to_json(FILE, orient='records', lines=True)"
        raise InputError.of(str(path), "must hold a list of JSON objects", shown(rows), suggestion=advice)
    if rows and all("paragraphs" in row for row in rows):
        try:
            rows = [
                {
                    **{key: question.get(key) for key in ("id", "question", "answers")},
                    **{key: mark for key, mark in question.items() if key == IMPOSSIBLE},
                    "context": part.get("context"),
                }
                for article in rows
                for part in article["paragraphs"]
                for question in part.get("qas", ())
            ]
        except (AttributeError, TypeError) as error:
            raise InputError.of(str(path), "has paragraphs, but not in the layout of SQuAD") from error
    return _of_objects(path, rows, None)


def _of_objects(path: Path, rows: Sequence[Mapping[str, Any]], lines: Sequence[int] | None) -> RawSplit:
    names = dict.fromkeys(name for row in rows for name in row)
    check_columns(str(path), len(names))
    if halves := [name for name in names if HALF.search(name)]:
        raise InputError.of(str(path), "a column's name has half a character (a lone surrogate)", listed(halves))
    table = pa.table({name: column_of([row.get(name) for row in rows]) for name in names})
    return RawSplit(table, (Origin(str(path), len(rows), lambda: lines),))
