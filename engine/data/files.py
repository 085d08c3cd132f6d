"""One file → raw rows: CSV, TSV, JSON lines, JSON and Parquet.

Decided here: text is UTF-8, with or without a byte order mark; every cell of CSV and TSV is text and an empty one is
missing (so that `NA`, `null` and `nan` remain words). pyarrow reads a file. Where it fails, or might be more lenient
than the format, a scan of our own does, which names each damaged row with its line.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from engine.base.errors import InputError, listed, shown
from engine.base.machine import check_memory
from engine.base.mapped import batches_of, mapped_table
from engine.base.text import BEGINNING, check_is_text, is_deep, read_json, regular_file, unreadable
from engine.data.cells import are_names
from engine.data.rows import Findings, Origin, RawSplit, check_columns
from engine.data.scan import below_header, delimiter, scan_csv, scan_json, scan_json_lines, scan_tsv, unquoted

MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""
BLOCK = 1 << 22
"""Bytes that pyarrow parses at once; a file with a longer row is scanned."""
LINES = 1 << 20
"""The same of CSV and TSV, of which pyarrow reads up to 32 times as many ahead."""


def read_file(path: Path, findings: Findings) -> RawSplit:
    """The rows of one file.

    Args:
        path: A file whose name ends in one of `SUFFIXES`.
        findings: Receives every damaged row; such rows are left out of what is returned.

    Raises:
        InputError: The file as a whole cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError.of(str(path), "unknown kind of file", repr(path.suffix), SUFFIXES)
    check_memory(str(path), regular_file(path))  # its rows take more
    try:
        if suffix == ".parquet":
            return _read_parquet(path)
        with path.open("rb") as file:
            check_is_text(path, file.read(BEGINNING))
        read, scan = TEXT_READERS[suffix]
        with suppress(ValueError):  # also of pyarrow and of decoding: the scan says what is wrong, and in which line
            if (table := read(path)) is not None:
                return from_arrow(table, str(path), lambda: scan(path, Findings()).origins[0].lines)
        return scan(path, findings)
    except OSError as error:
        raise unreadable(path, error) from error


def from_arrow(table: pa.Table, where: str, scan: Callable[[], Sequence[int] | None] = lambda: None) -> RawSplit:
    """The rows of an Arrow table; class names are read from the metadata that `datasets` writes.

    Raises:
        InputError: It is damaged, two columns have one name, or the metadata are not those that `datasets` writes.
    """
    check_columns(where, table.num_columns)
    try:
        table.validate()
        for batch in batches_of(table):
            batch.validate(full=True)  # texts of other bytes than UTF-8, and offsets out of the file, would crash
        columns = dict(zip(table.column_names, map(_readable, table.columns), strict=True))
        twice = _twice(table.schema)
        class_names = _class_names(table, where)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError.of(where, "damaged rows", shown(str(error))) from error
    if twice:
        raise InputError.of(where, "two columns have the same name", listed(map(repr, twice)))
    return RawSplit(pa.table(columns), (Origin(where, table.num_rows, scan),), class_names)


def _twice(kind: pa.Schema | pa.StructType) -> list[str]:
    """Names that two columns have, or two fields of a column."""
    fields = list(kind)
    names = [field.name for field in fields]
    inside = [inner.type for inner in fields] + [
        inner.type.value_type for inner in fields if pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type)
    ]
    deeper = (name for each in inside if pa.types.is_struct(each) for name in _twice(each))
    return list(dict.fromkeys([*(name for name, count in Counter(names).items() if count > 1), *deeper]))


def _class_names(table: pa.Table, where: str) -> dict[str, tuple[str, ...]]:
    """Column → the names of its classes, where it holds their indices."""
    found = {}
    try:
        known = read_json((table.schema.metadata or {}).get(b"huggingface", b"{}").decode())
        for column, feature in known.get("info", {}).get("features", {}).items():
            inner = feature.get("feature") if isinstance(feature, dict) else None
            for each in (feature, inner):
                if isinstance(each, dict) and "names" in each and each.get("_type", "ClassLabel") == "ClassLabel":
                    found[column] = each["names"]
    except (ValueError, AttributeError) as error:
        raise InputError.of(where, "its metadata (huggingface) are not those that `datasets` writes") from error
    if wrong := [column for column, names in found.items() if not are_names(names)]:
        what = "the class names in its metadata (huggingface) must be a list of different names"
        raise InputError.of(where, what, f"{shown(found[wrong[0]])} of column {wrong[0]!r}")
    return {column: tuple(names) for column, names in found.items()}


def _read_parquet(path: Path) -> RawSplit:
    try:
        file = pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=BLOCK)
        about = file.metadata
        packed = sum(about.row_group(index).total_byte_size for index in range(about.num_row_groups))
        check_memory(str(path), max(packed, about.num_rows * about.num_columns))
        return from_arrow(mapped_table(file.iter_batches(), file.schema_arrow), str(path))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = re.split(r"[.:\n]", str(error), maxsplit=1)[0]
        raise InputError.of(str(path), "not a readable Parquet file", reason) from error


def _read_csv(path: Path) -> pa.Table | None:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        sign = delimiter(file.readline())
    quotes = _quotes(path, sign)
    return None if quotes is None else _delimited(path, sign, '"', newlines_in_values=quotes > 0)


def _quotes(path: Path, sign: str) -> int | None:
    """How many quotes there are; None where one does not stand at an edge of its cell, doubled if inside."""
    edges = np.frombuffer(f'{sign}\r\n"'.encode(), np.uint8)
    count, before = 0, edges[-1:]  # what stands before the first block: an edge
    with path.open("rb") as file:
        begin = 3 if file.read(3) == MARK else 0
        file.seek(begin)
        while block := file.read(BLOCK):
            after = file.peek(1)[:1] or b"\n"
            data = np.concatenate([before, np.frombuffer(block + after, np.uint8)])
            found = 1 + np.flatnonzero(data[1:-1] == ord('"'))
            opening, closing = found[count % 2 :: 2], found[1 - count % 2 :: 2]
            if not (np.isin(data[opening - 1], edges).all() and np.isin(data[closing + 1], edges).all()):
                return None
            count, before = count + len(found), data[-2:-1]
    return None if count % 2 else count


def _read_tsv(path: Path) -> pa.Table | None:
    if re.search(rb"\r(?!\n)", np.memmap(path, np.uint8, "r").data):
        return None  # pyarrow would begin a new line
    return _delimited(path, "\t", False, newlines_in_values=False)


def _delimited(path: Path, delimiter: str, quote: str | bool, *, newlines_in_values: bool) -> pa.Table | None:
    """The rows below the header; None where that is not sound."""
    with path.open("rb") as file:
        names = [f"f{index}" for index in range(file.readline().count(delimiter.encode()) + 1)]
    check_columns(str(path), len(names))
    text = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
    )
    with pa.csv.open_csv(
        path,
        pa.csv.ReadOptions(block_size=LINES, autogenerate_column_names=True, use_threads=False),
        pa.csv.ParseOptions(delimiter=delimiter, quote_char=quote, newlines_in_values=newlines_in_values),
        text,
    ) as reader:
        if not all(pa.types.is_string(kind) for kind in reader.schema.types):
            return None  # a line break in the header
        table = mapped_table(reader if quote else map(_unquoted, reader), reader.schema)
    table, wrong = below_header(table.columns)
    return None if wrong else table


def _unquoted(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([unquoted(column) for column in batch.columns], schema=batch.schema)


def _read_json_lines(path: Path) -> pa.Table | None:
    rows = 0
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK):
            lines[0] = lines[0].removeprefix(MARK)
            rows += sum(not line.isspace() for line in lines)
            if {line.lstrip()[:1] for line in lines} - {b"{", b""} or any(map(is_deep, lines)):
                return None  # pyarrow would crash over null in the place of an object, and overflow the stack
    table = _arrow_json(path, BLOCK)
    return _exact(table) if len(table) == rows else None  # two objects on a line, or one on two


def _read_json(path: Path) -> pa.Table | None:
    """The rows of a list of objects, which pyarrow takes for one row with one list."""
    data = path.read_bytes().removeprefix(MARK)
    if data.lstrip()[:1] == b"[":
        data = b'{"data":%b}' % data
    if data.lstrip()[:1] != b"{" or is_deep(data):
        return None  # as above
    whole = _arrow_json(io.BytesIO(data), len(data) + 1, newlines_in_values=True)
    if len(whole) != 1 or "data" not in whole.column_names or not pa.types.is_list(whole["data"].type):
        return None
    rows = whole["data"].combine_chunks().flatten()
    if not pa.types.is_struct(rows.type) or rows.null_count or rows.type.get_field_index("paragraphs") >= 0:
        return None
    return _exact(pa.Table.from_struct_array(rows))


def _exact(table: pa.Table) -> pa.Table | None:
    """A table from JSON; None where a number is so large that it may be a whole one that pyarrow has rounded."""
    columns = [pc.list_flatten(column) if pa.types.is_list(column.type) else column for column in table.columns]
    floats = (column for column in columns if pa.types.is_floating(column.type))
    rounded = any((pc.max(pc.abs(column)).as_py() or 0) >= 2**53 for column in floats)
    return None if rounded else mapped_table(table.to_batches(), table.schema)


def _arrow_json(source: Path | io.BytesIO, block: int, **options: Any) -> pa.Table:
    """JSON lines in the order of their columns' first appearance; texts that look like dates remain texts."""
    reading = pa.json.ReadOptions(use_threads=False, block_size=block)
    table = pa.json.read_json(source, reading, pa.json.ParseOptions(**options))
    texts = pa.schema([(field.name, _plain(field.type, dates=False)) for field in table.schema])
    if texts != table.schema:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        table = pa.json.read_json(source, reading, pa.json.ParseOptions(explicit_schema=texts, **options))
    table.validate(full=True)  # pyarrow lets other encodings than UTF-8 through
    return table


def _plain(kind: pa.DataType, *, dates: bool = True) -> pa.DataType:
    """A type with one form of text and one of list; where nobody wrote `dates`, they are texts."""
    types = pa.types
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type, dates=dates)) for field in kind])
    if types.is_large_string(kind) or types.is_string_view(kind) or (types.is_timestamp(kind) and not dates):
        return pa.string()
    if types.is_float16(kind):
        return pa.float32()  # of which Arrow knows more
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
    return pa.list_(_plain(kind.value_type, dates=dates)) if any(is_one(kind) for is_one in lists) else kind


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in its plain type; times that Python cannot say, beyond its years or in unknown zones, as numbers."""
    if pa.types.is_temporal(column.type):
        try:
            pc.min_max(column).as_py()
        except (OverflowError, ValueError, LookupError, pa.ArrowException):
            whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
            return column.cast(whole).cast(pa.string())
    kind = _plain(column.type)
    return column if kind == column.type else column.cast(kind)


TEXT_READERS: Mapping[str, tuple[Callable[[Path], pa.Table | None], Callable[[Path, Findings], RawSplit]]] = {
    ".csv": (_read_csv, scan_csv),
    ".tsv": (_read_tsv, scan_tsv),
    ".jsonl": (_read_json_lines, scan_json_lines),
    ".ndjson": (_read_json_lines, scan_json_lines),
    ".json": (_read_json, scan_json),
}
SUFFIXES = (*TEXT_READERS, ".parquet")
