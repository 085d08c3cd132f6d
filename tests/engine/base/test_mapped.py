"""What grows with the rows: the same numbers and rows from a file as from memory, and next to no memory for them."""

from __future__ import annotations

import gc
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base import mapped
from engine.base.errors import DiskError
from engine.base.mapped import Growing, batches_of, count_read, mapped_table, smallest

integers = st.integers(-(2**31), 2**31) | st.integers(-100, 300)


@pytest.fixture(params=[0, 20, mapped.SMALL], ids=["file", "soon a file", "memory"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that stay in memory."""
    monkeypatch.setattr(mapped, "SMALL", request.param)
    return request.param


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def grown(pieces: list[list[int]]) -> np.ndarray:
    numbers = Growing()
    for piece in pieces:
        numbers.append(np.array(piece, dtype=np.int64))
    return numbers.whole()


@pytest.mark.parametrize("bytes_in_memory", [0, 7, mapped.SMALL])
@given(st.lists(st.lists(integers, max_size=6), max_size=6))
def test_numbers_are_those_of_one_array_in_its_smallest_type(bytes_in_memory: int, pieces: list[list[int]]) -> None:
    expected = np.array([number for piece in pieces for number in piece], dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "SMALL", bytes_in_memory)
        found = grown(pieces)
    assert found.dtype == smallest(expected)
    assert found.tolist() == expected.tolist()


def test_rows_are_those_that_were_written(small: int) -> None:
    columns = {
        "text": ["a", None, "", "naïve 🙂"],
        "tokens": [["a", "b"], [], None, ["c"]],
        "answers": [{"text": ["a"], "answer_start": [0]}] * 4,
        "label": [1, 2, None, 4],
        "mixed": pa.array(["1", '"one"', None, "[]"], pa.json_()),
        "word": pa.array(["x", "y", "x", None]).dictionary_encode(),
    }
    table = pa.table(columns)
    batches = [*table.to_batches(max_chunksize=2), *table.slice(0, 0).to_batches(), *table.to_batches()]
    found = mapped_table(batches, table.schema)
    assert found.equals(pa.concat_tables([table, table]))
    assert [len(batch) for batch in found.to_batches()] == [2, 2, 4]  # an empty one would change a fingerprint
    found.validate(full=True)
    assert mapped_table([], table.schema).equals(table.slice(0, 0))


def test_files_have_no_names_and_last_as_long_as_they_are_used(
    folder: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [grown([[number] * 100]) for number in (3, 4)]
    rows = mapped_table(pa.table({"text": ["a"] * 100}).to_batches(), pa.schema({"text": pa.string()}))
    text = rows["text"].slice(50, 2)
    del rows
    gc.collect()
    count_read(mapped.RESIDENT + 1)
    assert [*folder.iterdir()] == []
    assert [numbers.sum() for numbers in found] == [300, 400]
    assert text.to_pylist() == ["a", "a"]
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the pages of files apart")
def test_rows_that_were_passed_take_no_memory(folder: Path) -> None:
    """Twelve times as many bytes as may stay: they would all be resident at the end, in memory or in mapped pages."""
    batch = pa.record_batch({"text": ["a" * 1000] * 2**14})
    rows = mapped_table((batch for _ in range(24)), batch.schema)
    size = 24 * batch.nbytes
    assert size > 12 * mapped.RESIDENT - 2**24
    me = psutil.Process()
    before, peak = me.memory_info(), 0
    for piece in batches_of(rows, 2**10):
        assert pc.min(pc.utf8_length(piece["text"])).as_py() == 1000
        peak = max(peak, me.memory_info().rss)
    assert peak - before.rss < 3 * mapped.RESIDENT


@pytest.fixture
def little_room() -> Iterator[None]:
    """A system that lets no file grow over 50,000 bytes."""
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("small", [0], indirect=True)
def test_a_full_disk_is_said_with_its_folder(folder: Path, small: int, little_room: None) -> None:
    with pytest.raises(DiskError, match=f"the disk of {folder} takes no file of this size"):
        grown([[300] * 10_000] * 10)
    batch = pa.record_batch({"text": ["a" * 1000] * 100})
    with pytest.raises(DiskError, match=f"the disk of {folder} takes no file of this size"):
        mapped_table([batch] * 3, batch.schema)
