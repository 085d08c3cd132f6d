"""Our own scan of text files: what is damaged, and on which line each row stands.

Decided here: `engine.data.files` asks for it where pyarrow fails, might be more lenient than the format, or
a message needs the line of a row. Damaged rows are named and left out.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.base.errors import InputError, Problem
from engine.data.cells import column_of
from engine.data.rows import Findings, Origin, RawSplit, shown

AS_UTF8 = "Save the file as UTF-8, for example with: iconv -f {} -t utf-8 OLD > NEW"
QUOTE_MISTAKES = {
    "unexpected end of data": "a quote is opened here and never closed",
    "expected after": "text follows a closing quote; inside quotes a quote is written twice",
}

Record = tuple[int, list[str]]
"""The line that a record begins on, and its cells."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        InputError: It has another encoding; names the line.
    """
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError.of(f"{path}:1", "not UTF-8", "UTF-16", suggestion=AS_UTF8.format("utf-16"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{data[error.start]:02x}"
        raise InputError.of(f"{path}:{line}", "not UTF-8", got, suggestion=AS_UTF8.format("latin1")) from error


# --- CSV and TSV -----------------------------------------------------------------------------------


def scan_csv(path: Path, findings: Findings) -> RawSplit:
    text = read_text(path)
    sign = delimiter(text.split("\n", 1)[0])
    return _table(path, *_quoted_records(path, text, sign), findings)


def delimiter(header: str) -> str:
    return next((sign for sign in ",;\t" if sign in header), ",")


def scan_tsv(path: Path, findings: Findings) -> RawSplit:
    """TSV is written with quotes (pandas) and without (GLUE): the reading that fits more lines counts."""
    text = read_text(path)
    plain = list(_plain_records(text))
    if not _misfits(plain):
        return _table(path, plain, None, findings)
    quoted, broken = _quoted_records(path, text, "\t")
    if broken or _misfits(quoted) >= _misfits(plain):
        return _table(path, plain, None, findings)
    return _table(path, quoted, None, findings)


def _misfits(records: Sequence[Record]) -> int:
    return sum(len(cells) != len(records[0][1]) for _, cells in records)


def _plain_records(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.removesuffix("\r"):
            yield number, [_unquoted(cell) for cell in line.split("\t")]


def _unquoted(cell: str) -> str:
    """A cell without the quotes around it, if what is inside was written for quotes."""
    inside = cell[1:-1]
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"' or '"' in inside.replace('""', ""):
        return cell
    return inside.replace('""', '"')


def _quoted_records(path: Path, text: str, delimiter: str) -> tuple[list[Record], Problem | None]:
    """Records up to the first broken quote, and that one's problem."""
    records: list[Record] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    with _cells_of_any_length():
        try:
            for cells in reader:
                if cells:
                    records.append((line, cells))
                line = reader.line_num + 1
        except csv.Error as error:
            mistakes = (words for sign, words in QUOTE_MISTAKES.items() if sign in str(error))
            return records, Problem(f"{path}:{line}", next(mistakes, str(error)))
    return records, None


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _table(path: Path, records: Sequence[Record], broken: Problem | None, findings: Findings) -> RawSplit:
    """Records as rows below their header, with what is wrong with either."""
    if broken:
        findings.add(broken)
    header = [name.strip() for name in records[0][1]] if records else []
    for name in dict.fromkeys(name for name in header if name and header.count(name) > 1):
        findings.add(Problem(f"{path}:1", "two columns have the same name", repr(name)))
    rows: list[Record] = []
    for line, cells in records[1:]:
        if len(cells) == len(header):
            rows.append((line, cells))
        else:
            what = f"wrong number of columns; the first line names {len(header)}"
            findings.add(Problem(f"{path}:{line}", what, f"{len(cells)}: {shown(cells)}"), str(path))
    columns = {
        name: [cells[index] or None for _, cells in rows]
        for index, name in enumerate(header)
        if name  # pandas writes its index, and spreadsheets their empty columns, without a name
    }
    if any(cells.count(name) >= often(len(rows)) for name, cells in columns.items()):
        advice = "Add a first line such as: text,label"
        findings.add(Problem(f"{path}:1", "the first line must name the columns", shown(header), (), advice))
    return _raw(path, columns, len(rows), [line for line, _ in rows])


def often(rows: int) -> int:
    """How often a name of the first line stands below it if that line is a row too, as labels do."""
    return max(2, rows // 100)


def _raw(path: Path, columns: Mapping[str, list[Any]], rows: int, lines: Sequence[int] | None) -> RawSplit:
    import pyarrow as pa

    table = pa.table({name: column_of(cells) for name, cells in columns.items()})
    return RawSplit(table, (Origin(str(path), rows, lambda: lines),))


def scan_json_lines(path: Path, findings: Findings) -> RawSplit:
    rows, lines = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            what = f"not JSON: {error.msg} at character {error.colno}"
            findings.add(Problem(place, what, shown(line)), str(path))
            continue
        if not isinstance(row, dict):
            findings.add(Problem(place, "a row must be a JSON object", shown(row)), str(path))
            continue
        rows.append(row)
        lines.append(number)
    return _of_objects(path, rows, lines)


def scan_json(path: Path, findings: Findings) -> RawSplit:
    """A list of objects, the same below a key `data`, SQuAD's own layout, or JSON lines after all."""
    try:
        rows = json.loads(read_text(path))
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
            rows = list(_squad_rows(rows))
        except (AttributeError, TypeError) as error:
            raise InputError.of(str(path), "has paragraphs, but not in the layout of SQuAD") from error
    return _of_objects(path, rows, None)


def _squad_rows(articles: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for question in paragraph.get("qas", ()):
                row = {key: question.get(key) for key in ("id", "question", "answers")}
                yield {**row, "context": paragraph.get("context")}


def _of_objects(path: Path, rows: Sequence[Mapping[str, Any]], lines: Sequence[int] | None) -> RawSplit:
    names = dict.fromkeys(name for row in rows for name in row)
    return _raw(path, {name: [row.get(name) for row in rows] for name in names}, len(rows), lines)
