"""pyarrow and our own scan read the same rows, and every row knows its line either way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base import machine
from engine.base.errors import InputError
from engine.data import files
from engine.data.files import read_file
from engine.data.load import load_task
from engine.data.rows import Findings, RawSplit
from engine.data.scan import scan_csv, scan_json, scan_json_lines, scan_tsv
from tests.engine.data.written import ROWS, written

SCANS: dict[str, Callable[[Path, Findings], RawSplit]] = {
    ".csv": scan_csv,
    ".tsv": scan_tsv,
    ".jsonl": scan_json_lines,
    ".json": scan_json,
}
READS = {".csv": files._read_csv, ".tsv": files._read_tsv, ".jsonl": files._read_json_lines, ".json": files._read_json}

BOTH: dict[str, tuple[str, str]] = {
    "plain": (".csv", "text,label\na,1\n\nb,NA\n,null\n"),
    "quotes": (".csv", 'text,label\n"a ""b"", c\nd",1\n"",0\n'),
    "quotes around all": (".csv", '\ufeff"text","label"\r\n"a","1"\r\n"b","0"\r\n'),
    "columns without a name": (".csv", ",text ,\n0,a,x\n1,b,y\n"),
    "old line ends": (".csv", "text,label\ra,1\rb,0\r"),
    "semicolons": (".csv", "text;label\na,b;1\n"),
    "quotes of GLUE": (".tsv", 'text\tlabel\n"so\t1\n5" x\t0\n"a ""b"""\t1\n""\t0\n"a"b"\t1\n'),
    "JSON": (".jsonl", '{"a": 1, "b": [1, 2]}\n\n{"c": {"d": null}, "a": 2.5}\n'),
    "dates": (".jsonl", '{"a": "2020-01-01", "b": ["2020-01-01"]}\n{"a": "2020-01-02", "b": []}\n'),
    "a list": (".json", f"[{ROWS.replace(chr(10), ',').rstrip(',')}]"),
    "a list below data": (".json", '{"version": 2, "data": [{"a": "x"}, {"b": "2020-01-01"}]}'),
}
"""Files that pyarrow reads."""


@pytest.mark.parametrize("case", BOTH)
def test_both_read_the_same(case: str, tmp_path: Path) -> None:
    path = written(tmp_path, *BOTH[case])
    scanned = SCANS[path.suffix](path, Findings())
    split = read_file(path, Findings())
    assert READS[path.suffix](path) is not None, "pyarrow did not read it"
    assert split.columns == scanned.columns
    assert list(split.columns) == list(scanned.columns)
    assert [split.place(row) for row in range(len(split))] == [scanned.place(row) for row in range(len(scanned))]


@pytest.mark.parametrize("case", [name for name in BOTH if BOTH[name][0] in (".csv", ".tsv")])
@pytest.mark.parametrize("block", [24, 40])
def test_a_table_is_the_same_in_small_blocks(
    case: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred times its rows, below its header."""
    suffix, content = BOTH[case]
    header, *rows = content.splitlines(keepends=True)
    path = written(tmp_path, suffix, header + "".join(rows) * 100)
    whole = read_file(path, Findings())
    monkeypatch.setattr(files, "LINES", block)
    monkeypatch.setattr(files, "BLOCK", block)
    table = READS[suffix](path)
    assert table is not None
    assert table.equals(whole.table)
    assert len(table.to_batches()) > 2


def test_a_bad_row_behind_many_blocks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LINES", 64)
    path = written(tmp_path, ".csv", "text,label\n" + "good,1\nbad,0\n" * 100 + "bad\n")
    with pytest.raises(InputError, match=r"rows\.csv:202: wrong number of columns; the first line names 2; got 1"):
        load_task(path)


@given(st.text('",;\r\na\ufeff', max_size=30), st.integers(1, 5), st.sampled_from(",;"))
def test_quotes_are_those_of_a_search_in_all_of_the_file(text: str, block: int, sign: str) -> None:
    """At the edges of their cells, the first one of a cell behind, and the last one before, what separates them."""
    data = text.encode()
    found = [match.start() for match in re.finditer(b'"', data)]
    begin = 3 if data.startswith(files.MARK) else 0
    edges = f'{sign}\r\n"'.encode()
    opened = all(at == begin or data[at - 1] in edges for at in found[::2])
    closed = all(at == len(data) - 1 or data[at + 1] in edges for at in found[1::2])
    fit = len(found) % 2 == 0 and opened and closed
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "rows.csv")
        path.write_bytes(data)
        patch.setattr(files, "BLOCK", block)
        assert files._quotes(path, sign) == (len(found) if fit else None)


@pytest.mark.parametrize(
    "text", ["null", " null\n", 'null\n{"a": 1}', "null{}", "\ufeffnull", '{"data": null}', '{"data": 1}']
)
def test_no_object_in_the_place_of_one(text: str, tmp_path: Path) -> None:
    """pyarrow ends the whole process over `null` where it awaits the first object."""
    suffixes = [".json"] if "data" in text else [".json", ".jsonl"]
    for suffix in suffixes:
        findings = Findings()
        with pytest.raises(InputError, match="must hold a list of JSON objects|a row must be a JSON object|not JSON"):
            read_file(written(tmp_path, suffix, text), findings)
            findings.check()


def test_a_bad_row_of_many_is_named_with_its_line(tmp_path: Path) -> None:
    rows = ["text,label", *(f'"a, {row}",{row % 2}' for row in range(50_000))]
    rows[40_001] = '" ",1'
    with pytest.raises(
        InputError, match=r"rows\.csv:40002: empty text in column 'text'; got ' '\n1 row cannot be used"
    ):
        load_task(written(tmp_path, ".csv", "\n".join(rows)))


def test_rows_of_several_types_are_the_same_classes(tmp_path: Path) -> None:
    labels = [1, "1", 1.0, 0, "0", " 0 "]
    rows = "".join(json.dumps({"text": f"t{label}", "label": label}) + "\n" for label in labels)
    task = load_task(written(tmp_path, ".jsonl", rows))
    assert task.labels == ("0", "1")


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_whole_numbers_of_any_size_stay_what_they_are(suffix: str, tmp_path: Path) -> None:
    labels = [2**65, 2**65 + 1, 2**65, 2**65 + 1]
    rows = [json.dumps({"text": f"t{row}", "label": label}) for row, label in enumerate(labels)]
    text = "\n".join(rows) if suffix == ".jsonl" else f"[{','.join(rows)}]"
    task = load_task(written(tmp_path, suffix, text), kind="classification")
    assert task.labels == (str(2**65), str(2**65 + 1))
    tagged = [json.dumps({"tokens": ["a", "b"], "tags": [label, label]}) for label in labels]
    text = "\n".join(tagged) if suffix == ".jsonl" else f"[{','.join(tagged)}]"
    assert load_task(written(tmp_path, suffix, text)).labels == (str(2**65), str(2**65 + 1))


TEXTS, LABELS = [f"soup {row}" for row in range(40)], ["good", "bad"] * 20


def parquet_of(folder: Path, table: pa.Table, metadata: bytes | None = None) -> Path:
    path = folder / "rows.parquet"
    parquet.write_table(table if metadata is None else table.replace_schema_metadata({"huggingface": metadata}), path)
    return path


@pytest.mark.parametrize(
    "metadata",
    [
        *(b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"info": null}', b'{"info": []}', b'{"info": {"features": 1}}'),
        b'{"info": %b}' % (b"9" * 5000),
        *(
            b'{"info": {"features": {"label": {"names": %b}}}}' % names
            for names in (b"1", b"[1, 2]", b'"ab"', b'["good", "good"]', b'{"a": 1}', b'[["a"], ["b"]]', b'["\\ud800"]')
        ),
    ],
)
def test_metadata_that_name_no_classes(metadata: bytes, tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS, "label": [0, 1] * 20})
    with pytest.raises(InputError, match=r"rows\.parquet: .*metadata \(huggingface\)"):
        read_file(parquet_of(tmp_path, table, metadata), Findings())


def test_metadata_about_something_else(tmp_path: Path) -> None:
    """A field that is called `names` is no list of classes."""
    metadata = (
        b'{"info": {"features": {"label": {"names": {"dtype": "string", "_type": "Value"}, "_type": "X"}, "x": 1}}}'
    )
    split = read_file(parquet_of(tmp_path, pa.table({"text": TEXTS, "label": LABELS}), metadata), Findings())
    assert split.class_names == {}


@pytest.mark.parametrize(
    "times",
    [
        pa.array([2**60, 2**61] * 20, pa.timestamp("us")),
        pa.array([2**40, 2**41] * 20, pa.timestamp("s")),
        pa.array([2**30, 2**29] * 20, pa.date32()),
        pa.array([2**60, 2**61] * 20, pa.duration("s")),
        pa.array([1, 2] * 20, pa.timestamp("s", tz="Nowhere/City")),
    ],
    ids=lambda times: str(times.type),
)
def test_times_that_python_cannot_say_are_numbers(times: pa.Array, tmp_path: Path) -> None:
    task = load_task(parquet_of(tmp_path, pa.table({"text": TEXTS, "label": times})), kind="classification")
    assert len(task.labels) == 2
    assert all(label.isdigit() for label in task.labels)


def test_times_of_our_age_stay_what_they_are(tmp_path: Path) -> None:
    times = pa.array([0, 86_400] * 20, pa.timestamp("s"))
    task = load_task(parquet_of(tmp_path, pa.table({"text": TEXTS, "label": times})))
    assert task.labels == ("1970-01-01 00:00:00", "1970-01-02 00:00:00")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    """The last one won."""
    columns = [pa.array(TEXTS), pa.array(LABELS), pa.array(LABELS[::-1])]
    with pytest.raises(InputError, match=r"rows\.parquet: two columns have the same name; got 'label'"):
        read_file(parquet_of(tmp_path, pa.Table.from_arrays(columns, ["text", "label", "label"])), Findings())
    inside = pa.StructArray.from_arrays([pa.array(LABELS), pa.array(LABELS)], names=["a", "a"])
    with pytest.raises(InputError, match="two columns have the same name; got 'a'"):
        read_file(parquet_of(tmp_path, pa.table({"text": TEXTS, "label": inside})), Findings())


def test_texts_of_other_bytes(tmp_path: Path) -> None:
    texts = pa.array([b"a\xff"] * 40).view(pa.string())
    with pytest.raises(InputError, match=r"rows\.parquet: damaged rows"):
        read_file(parquet_of(tmp_path, pa.table({"text": texts, "label": LABELS})), Findings())


def test_any_byte_of_a_parquet_file_may_be_damaged(tmp_path: Path) -> None:
    path = parquet_of(tmp_path, pa.table({"text": TEXTS, "label": LABELS}))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(InputError):
            load_task(path)


@pytest.mark.parametrize("column", ["PAR1", "ARROW1"])
def test_a_column_may_be_called_like_a_format(column: str, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(f"{column},label\nham,a\nspam,b\n")
    assert read_file(path, Findings()).names == [column, "label"]


@pytest.mark.parametrize("suffix, name", [(".parquet", "Parquet"), (".arrow", "Arrow")])
def test_a_table_by_another_name_is_no_text(suffix: str, name: str, tmp_path: Path) -> None:
    table, path = pa.table({"text": TEXTS, "label": LABELS}), tmp_path / "train.csv"
    if suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    with pytest.raises(InputError, match=f"train.csv:1: not a text file; got {name}"):
        read_file(path, Findings())


def test_a_saved_folder_larger_than_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS}).save_to_disk(tmp_path / "saved")
    monkeypatch.setattr(machine, "SURELY_FREE", 0)
    monkeypatch.setattr(machine, "free_memory", lambda: 10)
    with pytest.raises(InputError, match="saved: the memory does not suffice"):
        load_task(tmp_path / "saved")


def test_more_rows_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes may stand for very many rows that are all the same."""
    rows = 1_000_000
    path = parquet_of(tmp_path, pa.table({"text": pa.nulls(rows), "label": pa.nulls(rows)}))
    assert path.stat().st_size < rows / 10
    monkeypatch.setattr(machine, "SURELY_FREE", 0)
    monkeypatch.setattr(machine, "free_memory", lambda: rows)
    with pytest.raises(InputError, match=r"not suffice: 2 MB are needed at least, and 1 MB are free"):
        read_file(path, Findings())
