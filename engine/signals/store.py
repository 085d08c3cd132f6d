"""Teacher signals on disk: one memory-mapped array per signal, in 16 bits where it is large.

A folder belongs to one teacher, one dataset and one way of tokenising it. Arrays are added when a
pipeline needs them and are shared by all later ones:

    logits              float32  (n, C), or (tokens, C) where the model answers per token
    hidden-LL-all       float16  (tokens, E)
    hidden-LL-first     float16  (n, E), enough for objectives on the first token
    query-LL-all        float16  (tokens, E), as key-LL-all and value-LL-all

`tokens` counts the real tokens of all examples; padding is never stored. Of attention queries, keys and values are
kept and no scores, which follow from them and grow by the square of a text. float16 rather than bf16: hidden states are
small numbers, so its three further bits of precision are worth more than range; values beyond ±65504 are clamped.

Beside each lies its checksum, compared before an array is used. Arrays are filled in a folder `pass-…` beside a
checksum per batch that is done, and are moved into place once whole, so a process killed on the way loses one batch
at most; so does what was damaged meanwhile.
"""

import errno
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from engine.base.files import (
    checksum,
    disk_errors,
    folder_bytes,
    has_checksum,
    hash_of,
    sync_folder,
    taken_for_damage,
    write_text,
)
from engine.models.forward import Features, TeacherNeeds
from engine.tokens.order import sorted_batches

SUM = ".checksum"  # behind the name of an array
DONE, WHOLE = "done", "whole"  # in the folder of a pass: the batches' checksums; the same once all arrays have theirs
LARGEST = float(np.finfo(np.float16).max)
PASS_BATCH = 32  # examples per forward pass of a pass over the data; fixed, so that a resumed pass goes on alike


@dataclass(frozen=True)
class SignalStore:
    """The signals of one teacher on one encoded dataset."""

    folder: Path
    lengths: np.ndarray  # (n,) tokens of each example
    outputs: int  # width C of the logits
    per_token: bool  # whether there are logits for each token
    width: int  # E, of the hidden states

    @cached_property
    def starts(self) -> np.ndarray:
        """(n + 1,) where each example's tokens begin in arrays that have a row per token."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def names(self, needs: TeacherNeeds) -> list[str]:
        """The arrays that serve these needs, each the smallest that will do or that is there."""
        names = ["logits"]
        for layer in needs.layers:
            whole = f"hidden-{layer:02d}-all"
            there = (self.folder / whole).exists()
            names.append(whole if needs.tokens == "all" or there else f"hidden-{layer:02d}-first")
        return names + [f"{name}-{layer:02d}-all" for name, layer in needs.attention]

    def missing(self, needs: TeacherNeeds) -> list[str]:
        """Those of `names` that are not on disk yet."""
        return [name for name in self.names(needs) if not (self.folder / name).exists()]

    def by_token(self, name: str) -> bool:
        """Whether an array has a row per token rather than per example."""
        return self.per_token if name == "logits" else name.endswith("all")

    def layout(self, name: str) -> tuple[type, tuple[int, int]]:
        """Type of an array's numbers, its rows and columns."""
        rows = int(self.lengths.sum()) if self.by_token(name) else len(self.lengths)
        return (np.float32, (rows, self.outputs)) if name == "logits" else (np.float16, (rows, self.width))

    def bytes(self, names: Sequence[str]) -> int:
        """Bytes that these arrays take on disk."""
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in map(self.layout, names))

    def damaged(self, needs: TeacherNeeds) -> list[str]:
        """Those of `names` that are on disk, but not as they were written."""
        there = (name for name in self.names(needs) if (self.folder / name).exists())
        return [name for name in there if not self._is_whole(self.folder / name)]

    def _is_whole(self, array: Path) -> bool:
        beside = array.with_name(array.name + SUM)
        with taken_for_damage(ValueError):
            return beside.is_file() and has_checksum(array, beside.read_text("utf-8"))
        return False

    def settle(self) -> None:
        """Moves the arrays of finished passes into place, also where a killed process had begun to."""
        for done in self.folder.glob(f"pass-*/{DONE}"):
            arrays = [path for path in done.parent.iterdir() if path != done and path.suffix not in (SUM, ".part")]
            if SignalPass(self, [array.name for array in arrays], done.parent).is_over():
                for array in arrays:
                    write_text(array.with_name(array.name + SUM), checksum(array))
                done.rename(done.with_name(WHOLE))
        for whole in self.folder.glob(f"pass-*/{WHOLE}"):
            files = set(whole.parent.iterdir()) - {whole}
            for file in sorted(files, key=lambda file: file.suffix != SUM):  # no array without its checksum
                file.replace(self.folder / file.name)
            shutil.rmtree(whole.parent)
            sync_folder(self.folder)

    def open(self, name: str, folder: Path | None = None, mode: str = "r") -> np.memmap:
        """An array, mapped into memory."""
        dtype, shape = self.layout(name)
        return np.memmap((folder or self.folder) / name, dtype, mode, shape=shape)  # type: ignore[call-overload]


@dataclass
class SignalReader:
    """Reads batches of signals from a store into padded tensors."""

    store: SignalStore
    needs: TeacherNeeds

    def __post_init__(self) -> None:
        self._arrays = {name: self.store.open(name) for name in self.store.names(self.needs)}

    def read(self, ids: np.ndarray, length: int, inside: bool = True) -> Features:
        """The teacher's view of the examples `ids` (B,), token positions padded to `length`; logits alone where what is
        inside of it is not wanted."""
        needs, (_, *names) = (self.needs, self._arrays) if inside else (TeacherNeeds((), "all"), ("logits",))
        logits = self._gather("logits", ids, length)
        hidden = {}
        for layer, name in zip(needs.layers, names, strict=False):
            if needs.tokens == "all":
                hidden[layer] = self._gather(name, ids, length)
            else:
                rows = self.store.starts[ids] if self.store.by_token(name) else ids
                hidden[layer] = torch.from_numpy(np.asarray(self._arrays[name][rows]))[:, None]
        of_attention = zip(needs.attention, names[len(needs.layers) :], strict=True)
        attention = {part: self._gather(name, ids, length) for part, name in of_attention}
        mask = torch.arange(length) < torch.from_numpy(self.store.lengths[ids].astype(np.int64))[:, None]
        return Features(logits, hidden, mask, attention=attention)

    def _gather(self, name: str, ids: np.ndarray, length: int) -> Tensor:
        """(B, columns) of an array by example, (B, length, columns) of one by token, padded with zeros."""
        array = self._arrays[name]
        if not self.store.by_token(name):
            return torch.from_numpy(np.asarray(array[ids]))
        padded = np.empty((len(ids), length, array.shape[1]), dtype=array.dtype)
        for row, example in enumerate(ids):
            start, stop = self.store.starts[example : example + 2]
            padded[row, : stop - start] = array[start:stop]
            padded[row, stop - start :] = 0
        return torch.from_numpy(padded)


class SignalPass:
    """One pass of the teacher over the data, which fills missing arrays; every process takes batches of its own."""

    def __init__(self, store: SignalStore, names: Sequence[str], folder: Path | None = None):
        self.store, self.names = store, list(names)
        self.folder = folder or store.folder / f"pass-{hash_of(*names)}"
        self.batches = sorted_batches(store.lengths, PASS_BATCH)

    def begin(self) -> bool:
        """Makes the files, unless an earlier process began this pass; says whether what that one left was damaged.

        The disk has room for all of them then: without, writing to them later would end the process.

        Raises:
            DiskError: It has not.
        """
        with disk_errors(self.store.folder, sum(self._sizes.values()) - folder_bytes(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, size in self._sizes.items():
                _reserve(self.folder / name, size)
        done = np.flatnonzero(self._done)
        wrong = [number for number in done if self._done[number] != self._sum(self.batches[number])]
        self._done[wrong] = 0
        return bool(wrong)

    def is_over(self) -> bool:
        """Whether all batches are in the files as they were written."""
        if any((self.folder / name).stat().st_size != size for name, size in self._sizes.items()):
            return False
        return all(self._done[number] == self._sum(ids) for number, ids in enumerate(self.batches))

    @property
    def _sizes(self) -> dict[str, int]:
        """File → its bytes."""
        return {name: self.store.bytes([name]) for name in self.names} | {DONE: 4 * len(self.batches)}

    @cached_property
    def _arrays(self) -> dict[str, np.memmap]:
        return {name: self.store.open(name, self.folder, "r+") for name in sorted(self.names)}

    @cached_property
    def _done(self) -> np.memmap:
        return np.memmap(self.folder / DONE, dtype=np.uint32, mode="r+")

    def _sum(self, ids: np.ndarray) -> int:
        """Checksum of the numbers of a batch; never 0, which stands for one that is not done."""
        total = 0
        for name, array in self._arrays.items():
            if self.store.by_token(name):
                starts, stops = self.store.starts[ids], self.store.starts[ids + 1]
                for start, stop in zip(starts, stops, strict=True):
                    total = zlib.crc32(array[start:stop].data, total)
            else:
                total = zlib.crc32(np.ascontiguousarray(array[ids]).data, total)
        return total or 1

    @property
    def examples_done(self) -> int:
        """Examples that an earlier process has passed through the teacher."""
        path = self.folder / DONE
        done = np.fromfile(path, np.uint32) if path.exists() else ()
        return sum(len(batch) for batch, flag in zip(self.batches, done, strict=False) if flag)

    def todo(self, rank: int, processes: int) -> Iterator[tuple[np.ndarray, int]]:
        """The batches of this process that are not done, as (example ids, batch number)."""
        done = np.fromfile(self.folder / DONE, np.uint32)
        for number in range(rank, len(self.batches), processes):  # the others' flags may change by now
            if not done[number]:
                yield self.batches[number], number

    def write(self, ids: np.ndarray, number: int, features: Features) -> None:
        """Stores batch `number`; it counts as done only after its values are in the file."""
        for name, array in self._arrays.items():
            state = _named(features, name).float()
            values = (state if name == "logits" else state.clamp(-LARGEST, LARGEST).half()).cpu().numpy()
            if not self.store.by_token(name):
                array[ids] = values[:, 0] if values.ndim == 3 else values
                continue
            for row, example in enumerate(ids):
                start, stop = self.store.starts[example : example + 2]
                array[start:stop] = values[row, : stop - start]
        self._done[number] = self._sum(ids)

    def flush(self) -> None:
        """Makes what was written survive a power cut."""
        for array in (*self._arrays.values(), self._done):
            array.flush()


def _named(features: Features, name: str) -> Tensor:
    """What the array `name` keeps of a batch."""
    if name == "logits":
        return features.logits
    what, layer, _ = name.split("-")
    return features.hidden[int(layer)] if what == "hidden" else features.attention[what, int(layer)]


def _reserve(path: Path, size: int) -> None:
    """Makes a file of zeros whose bytes the disk has; one of this size stays as it is."""
    there = path.exists() and path.stat().st_size == size
    with path.open("r+b" if there else "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", errno.EOPNOTSUPP) not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            file.truncate(size)  # this system reserves nothing


def make_room(signals: Path, keep: Path, needed: int, budget: int) -> bool:
    """Removes the signals used longest ago until `needed` more bytes of the store `keep` fit the budget.

    Args:
        signals: The folder of all stores, which together may take `budget` bytes.

    Returns:
        Whether the bytes fit, on the disk too.
    """
    signals.mkdir(parents=True, exist_ok=True)
    stores = sorted(filter(Path.is_dir, signals.iterdir()), key=lambda path: path.stat().st_mtime)
    sizes = {path: folder_bytes(path) for path in stores}
    if sizes.get(keep, 0) + needed > budget:
        return False
    for path in stores:
        if sum(sizes.values()) + needed <= budget:
            break
        if path != keep:
            with suppress(Timeout), FileLock(f"{path}.lock", timeout=0):  # one that is being filled stays
                shutil.rmtree(path, ignore_errors=True)
                sizes[path] = folder_bytes(path)
    return sum(sizes.values()) + needed <= budget and needed < shutil.disk_usage(signals).free


def touch(store: SignalStore) -> None:
    """Marks a store as used now."""
    store.folder.mkdir(parents=True, exist_ok=True)
    os.utime(store.folder)
