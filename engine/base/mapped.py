"""Tables and arrays that grow with the rows of a dataset, in files that the system maps instead of in memory.

Decided here: up to `SMALL` bytes stay in memory. What is larger goes into a file in the system's temporary folder that
has no name: nobody else can open or change it, and it is gone with the last that uses it, however the process ends. It
is written like any file, because a disk that fills up under a mapped one ends the process, and mapped once it is whole.
The system may take the pages of a mapped file back at any time. Those that were read are given back after `RESIDENT`
bytes of them, so that they never are a large part of what this process seems to take.
"""

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pyarrow as pa

SMALL = 1 << 20
RESIDENT = 1 << 25
AROUND = 1 << 16
"""Bytes that Linux maps around one that is read."""
BLOCK = 1 << 20

_mappings: "list[ref[mmap.mmap]]" = []
_read = 0  # bytes since pages were last given back


class Growing:
    """Whole numbers that come piece by piece and stay in the smallest type that holds all of them.

    Example:
        >>> numbers = Growing()
        >>> numbers.append(np.array([1, 2])), numbers.append(np.array([-300]))
        (None, None)
        >>> numbers.whole()
        array([   1,    2, -300], dtype=int16)
    """

    def __init__(self) -> None:
        self._kind, self._file = np.dtype(np.uint8), _file()

    def append(self, values: np.ndarray) -> None:
        """Adds a piece; a `DiskError` where it does not fit the disk."""
        kind = np.result_type(self._kind, smallest(values))
        with _on_disk():
            if kind != self._kind:
                self._widen(kind)
            self._file.write(values.astype(kind).data)

    def _widen(self, kind: np.dtype) -> None:
        """Rewrites what there is in a larger type, which happens in the first pieces, if at all."""
        narrow, self._file = self._file, _file()
        with narrow:
            narrow.seek(0)
            while block := narrow.read(BLOCK):
                self._file.write(np.frombuffer(block, self._kind).astype(kind).data)
        self._kind = kind

    def whole(self) -> np.ndarray:
        """All of them (n,), which cannot be changed; nothing can be added any more."""
        return np.frombuffer(_mapped(self._file), self._kind)


def mapped_array(values: np.ndarray) -> np.ndarray:
    """The same numbers (n,), which cannot be changed; a `DiskError` where they do not fit the disk."""
    if values.nbytes <= SMALL:
        return values
    file = _file()
    with _on_disk():
        file.write(values.data)
    return np.frombuffer(_mapped(file), values.dtype)


def smallest(values: np.ndarray) -> np.dtype:
    """The smallest type of whole numbers that holds some, and 0."""
    low, high = values.min(initial=0), values.max(initial=0)
    return np.result_type(np.min_scalar_type(low), np.min_scalar_type(high))


def mapped_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The rows of some batches, those without a row left out; a `DiskError` where they do not fit the disk."""
    coming, few, size = (batch for batch in batches if len(batch)), [], 0
    for batch in coming:
        few.append(batch)
        size += batch.nbytes
        if size > SMALL:
            break
    if size <= SMALL:
        return pa.Table.from_batches(few, schema)
    with _on_disk(), _file() as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for batch in chain(few, coming):
                writer.write_batch(batch)
                count_read(batch.nbytes)
        return pa.ipc.open_stream(pa.py_buffer(_mapped(file))).read_all()


def batches_of(table: pa.Table, size: int | None = None) -> Iterator[pa.RecordBatch]:
    """A table in batches, of `size` rows at most, whose pages are given back when they are passed."""
    for batch in table.to_batches(max_chunksize=size):
        yield batch
        count_read(batch.nbytes)


def count_read(size: int) -> None:
    """Counts bytes that may have been read of what is mapped, and gives pages back after `RESIDENT` of them."""
    global _read
    _read += size
    if _read > RESIDENT:
        _read = 0
        for mapping in [found for each in _mappings if (found := each())]:
            mapping.madvise(mmap.MADV_DONTNEED)  # of a file that nobody writes to: they are read again when needed


def _file() -> "tempfile.SpooledTemporaryFile[bytes]":
    return tempfile.SpooledTemporaryFile(max_size=SMALL)


def _on_disk() -> Any:
    from engine.base.files import disk_errors  # only what is written needs it

    return disk_errors(Path(tempfile.gettempdir()))


def _mapped(file: "tempfile.SpooledTemporaryFile[bytes]") -> bytes | mmap.mmap:
    """What was written to a file, which is closed: a mapping has its own hold on it."""
    with _on_disk(), file:
        if file.tell() <= SMALL:
            file.seek(0)
            return file.read()
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_DONTNEED"):
        _mappings[:] = [*(each for each in _mappings if each()), ref(mapping)]
    return mapping
