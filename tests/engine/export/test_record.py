"""The record of an export, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.export.record import EXPORT_FILE, Export

TIMES = {"1": {"1": 1.234, "8": 8.0}, "2": {"1": 0.9, "8": 5.0}}
EXPORT = Export(
    model="films",
    files=["model.onnx"],
    task="sst2",
    split="test",
    rows=1234,
    metric="accuracy",
    scores={form: {"accuracy": score} for form, score in {"onnx": 0.9, "pytorch": 0.9, "teacher": 0.95}.items()},
    difference=1.5e-6,
    size_mb={"pytorch": 60.04, "onnx": 60.5, "teacher": 90.0},
    latency_ms={"pytorch": TIMES, "onnx": TIMES},
    device="cpu, 2 cores",
    versions={},
    notes=["A note."],
)


def test_the_table() -> None:
    heads, rows = EXPORT.table
    assert heads[:4] == ["", "accuracy", "size (MB)", "ms, batch 1, 1 thread"]
    assert heads[-1] == "ms, batch 8, 2 threads"
    assert rows == [
        ["teacher", "0.9500", "90", "–", "–", "–", "–"],
        ["student in PyTorch", "0.9000", "60", "1.23", "8", "0.9", "5"],
        ["ONNX", "0.9000", "60.5", "1.23", "8", "0.9", "5"],
    ]
    assert EXPORT.sentences == [
        "The logits of ONNX and PyTorch differ by 2e-06 at most, on 1,234 rows of sst2 (test), which the "
        "scores are of.",
        "A note.",
    ]


def test_without_scores_there_is_no_column_of_them() -> None:
    heads, rows = EXPORT.model_copy(update={"scores": {}, "task": ""}).table
    assert heads[1] == "size (MB)"
    assert {len(row) for row in rows} == {len(heads)}


def test_it_is_read_again(tmp_path: Path) -> None:
    assert Export.read(tmp_path) is None
    (tmp_path / EXPORT_FILE).write_text(EXPORT.model_dump_json())
    assert Export.read(tmp_path) == EXPORT
    for damaged in ("", "{}", EXPORT.model_dump_json()[:-9]):
        (tmp_path / EXPORT_FILE).write_text(damaged)
        with pytest.raises(InputError, match="not the record of an export"):
            Export.read(tmp_path)
