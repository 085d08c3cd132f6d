"""Our own scan of text files: what pyarrow refuses or would read in another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.data.files import BLOCK, read_file
from engine.data.load import load_task
from engine.data.rows import Findings
from tests.engine.data.written import ROWS, written

SCANNED: dict[str, tuple[str, str, list[str]]] = {
    "a quote inside a cell": (".csv", 'text,label\nit is 5" long,1\n', ['it is 5" long']),
    "a space before a quote": (".csv", 'text,label\n "a",1\n', [' "a"']),
    "a line break in the header": (".csv", 'text,"la\nbel"\na,1\n', ["a"]),
    "a cell longer than a block": (".csv", f"text,label\n{'a' * BLOCK * 2},1\n", ["a" * BLOCK * 2]),
    "a carriage return inside a cell": (".tsv", "text\tlabel\na\rb\t1\n", ["a\rb"]),
    "several types": (".jsonl", '{"text": "a"}\n{"text": 1}\n{"text": [true]}\n', ["a", 1, [True]]),
    "truth among decimals": (".jsonl", '{"text": 0.5}\n{"text": true}\n', [0.5, True]),
    "half a character": (".jsonl", '{"text": "\\ud800"}\n', ["\ud800"]),
    "JSON lines": (".json", '{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
}
"""Files that pyarrow refuses, or would read in another way."""


@pytest.mark.parametrize("case", SCANNED)
def test_what_pyarrow_cannot_read_is_scanned(case: str, tmp_path: Path) -> None:
    suffix, content, texts = SCANNED[case]
    findings = Findings()
    split = read_file(written(tmp_path, suffix, content), findings)
    assert split.columns["text"] == texts
    assert not findings.problems


def test_two_objects_on_a_line_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".jsonl", ROWS + '{"text": "a"}{"text": "b"}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:10: not JSON: Extra data"):
        load_task(path)


def test_json_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ROWS.encode() + b'{"text": "\xff", "label": 1}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:10: not UTF-8; got byte 0xff"):
        load_task(path)
