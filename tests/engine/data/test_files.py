"""pyarrow and our own scan read the same rows, and every row knows its line either way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

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
