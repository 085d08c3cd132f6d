"""One file → raw rows: CSV, TSV, JSON lines, JSON and Parquet.

Decided here: text is UTF-8, with or without a byte order mark; every cell of CSV and TSV is text and an
empty one is missing (so that `NA`, `null` and `nan` remain words); rows keep their line numbers.
These readers are our own because pandas and pyarrow name no line for a damaged row, or skip it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base.errors import InputError, Problem
from engine.data.rows import Findings, Origin, RawSplit, shown

if TYPE_CHECKING:
    import pyarrow as pa

AS_UTF8 = "Save the file as UTF-8, for example with: iconv -f {} -t utf-8 OLD > NEW"


def read_file(path: Path, findings: Findings) -> RawSplit:
    """The rows of one file.

    Args:
        path: A file whose name ends in one of `SUFFIXES`.
        findings: Receives every damaged row; such rows are left out of what is returned.

    Raises:
        InputError: The file as a whole cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError.of(str(path), "unknown kind of file", repr(path.suffix), SUFFIXES)
    try:
        return reader(path, findings)
    except OSError as error:
        raise InputError.of(str(path), f"cannot be read: {error.strerror or error}") from error


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
        raise InputError.of(
            f"{path}:{line}", "not UTF-8", got, suggestion=AS_UTF8.format("latin1")
        ) from error


# --- CSV and TSV -----------------------------------------------------------------------------------

Record = tuple[int, list[str]]
"""The line that a record begins on, and its cells."""

QUOTE_MISTAKES = {
    "unexpected end of data": "a quote is opened here and never closed",
    "expected after": "text follows a closing quote; inside quotes a quote is written twice",
}


def _read_csv(path: Path, findings: Findings) -> RawSplit:
    text = read_text(path)
    header = text.split("\n", 1)[0]
    delimiter = next((sign for sign in ",;\t" if sign in header), ",")
    return _table(path, *_quoted_records(path, text, delimiter), findings)


def _read_tsv(path: Path, findings: Findings) -> RawSplit:
    """TSV is written with quotes (pandas) and without (GLUE): the reading that fits more lines counts."""
    text = read_text(path)
    plain = list(_plain_records(text))
    if all(len(cells) == len(plain[0][1]) for _, cells in plain):
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
    if broken:
        findings.add(broken)
    if not records:
        return RawSplit({}, (Origin(str(path), 0, ()),))
    header = [name.strip() for name in records[0][1]]
    for name in dict.fromkeys(name for name in header if name and header.count(name) > 1):
        findings.add(Problem(f"{path}:1", "two columns have the same name", repr(name)))
    rows: list[Record] = []
    for line, cells in records[1:]:
        if len(cells) == len(header):
            rows.append((line, cells))
        else:
            what = f"wrong number of columns; the first line names {len(header)}"
            findings.add(Problem(f"{path}:{line}", what, f"{len(cells)}: {shown(cells)}"), str(path))
    if _is_row(header, rows):
        advice = "Add a first line such as: text,label"
        findings.add(Problem(f"{path}:1", "the first line must name the columns", shown(header), (), advice))
    columns = {
        name: [cells[index] or None for _, cells in rows]
        for index, name in enumerate(header)
        if name  # pandas writes its index, and spreadsheets their empty columns, without a name
    }
    return RawSplit(columns, (Origin(str(path), len(rows), [line for line, _ in rows]),))


def _is_row(header: Sequence[str], rows: Sequence[Record]) -> bool:
    """Whether the first line is a row like the others: some cell of it recurs below, as labels do."""
    often = max(2, len(rows) // 100)
    counts = (sum(cells[index] == name for _, cells in rows) for index, name in enumerate(header) if name)
    return any(count >= often for count in counts)


# --- JSON ------------------------------------------------------------------------------------------


def _read_json_lines(path: Path, findings: Findings) -> RawSplit:
    return _parse_json_lines(path, read_text(path), findings)


def _parse_json_lines(path: Path, text: str, findings: Findings) -> RawSplit:
    rows, lines = [], []
    for number, line in enumerate(text.split("\n"), start=1):
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
    return _from_objects(path, rows, lines)


def _read_json(path: Path, findings: Findings) -> RawSplit:
    """A list of objects, the same below a key `data`, SQuAD's own layout, or JSON lines after all."""
    text = read_text(path)
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _parse_json_lines(path, text, findings)
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
    return _from_objects(path, rows, None)


def _squad_rows(articles: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for question in paragraph.get("qas", ()):
                row = {key: question.get(key) for key in ("id", "question", "answers")}
                yield {**row, "context": paragraph.get("context")}


def _from_objects(path: Path, rows: Sequence[Mapping[str, Any]], lines: Sequence[int] | None) -> RawSplit:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return RawSplit(columns, (Origin(str(path), len(rows), lines),))


# --- Parquet and Arrow -----------------------------------------------------------------------------


def _read_parquet(path: Path, findings: Findings) -> RawSplit:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        return from_arrow(parquet.ParquetFile(path).read(), str(path))
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        reason = re.split(r"[.:\n]", str(error), maxsplit=1)[0]
        raise InputError.of(str(path), "not a readable Parquet file", reason) from error


def from_arrow(table: pa.Table, where: str) -> RawSplit:
    """The rows of an Arrow table; class names are read from the metadata that `datasets` writes."""
    known = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = known.get("info", {}).get("features", {})
    class_names = {
        column: tuple(names)
        for column, feature in features.items()
        if (names := feature.get("names") or (feature.get("feature") or {}).get("names"))
    }
    return RawSplit(table.to_pydict(), (Origin(where, table.num_rows),), class_names)


READERS: Mapping[str, Callable[[Path, Findings], RawSplit]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
SUFFIXES = tuple(READERS)
