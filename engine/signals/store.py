"""Teacher signals on disk: one memory-mapped array per signal, in 16 bits where it is large.

A folder belongs to one teacher, one dataset and one way of tokenising it. Arrays are added when a
pipeline needs them and are shared by all later ones:

    logits              float32  (n, C), or (tokens, C) where the model answers per token
    hidden-LL-all       float16  (tokens, E)
    hidden-LL-first     float16  (n, E), enough for objectives on the first token

`tokens` counts the real tokens of all examples; padding is never stored. float16 rather than bf16: hidden states are
small numbers, so its three further bits of precision are worth more than range; values beyond ±65504 are clamped.

Arrays are filled in a folder `pass-…` beside a byte per batch that says which are done, and are
moved into place once whole, so a process killed on the way loses one batch at most.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from engine.base.files import folder_bytes, hash_of, sync_folder
from engine.models.forward import Features, TeacherNeeds
from engine.tokens.order import sorted_batches

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
        return names

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

    def settle(self) -> None:
        """Moves the arrays of finished passes into place, also where a killed process had begun to."""
        for done in self.folder.glob("pass-*/done"):
            if all(done.read_bytes()):
                for array in set(done.parent.iterdir()) - {done}:
                    array.replace(self.folder / array.name)
                shutil.rmtree(done.parent)
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

    def read(self, ids: np.ndarray, length: int) -> Features:
        """The teacher's view of the examples `ids` (B,), token positions padded to `length`."""
        logits = self._gather("logits", ids, length)
        hidden = {}
        for layer, name in zip(self.needs.layers, list(self._arrays)[1:], strict=True):
            if self.needs.tokens == "all":
                hidden[layer] = self._gather(name, ids, length)
            else:
                rows = self.store.starts[ids] if self.store.by_token(name) else ids
                hidden[layer] = torch.from_numpy(np.asarray(self._arrays[name][rows]))[:, None]
        mask = torch.arange(length) < torch.from_numpy(self.store.lengths[ids].astype(np.int64))[:, None]
        return Features(logits, hidden, mask)

    def _gather(self, name: str, ids: np.ndarray, length: int) -> Tensor:
        """(B, columns) of an array by example, (B, length, columns) of one by token, padded with zeros."""
        array = self._arrays[name]
        if not self.store.by_token(name):
            return torch.from_numpy(np.asarray(array[ids]))
        padded = np.zeros((len(ids), length, array.shape[1]), dtype=array.dtype)
        for row, example in enumerate(ids):
            start, stop = self.store.starts[example : example + 2]
            padded[row, : stop - start] = array[start:stop]
        return torch.from_numpy(padded)


class SignalPass:
    """One pass of the teacher over the data, which fills missing arrays; every process takes batches of its own."""

    def __init__(self, store: SignalStore, names: Sequence[str]):
        self.store, self.names = store, list(names)
        self.folder = store.folder / f"pass-{hash_of(*names)}"
        self.batches = sorted_batches(store.lengths, PASS_BATCH)

    def begin(self) -> None:
        """Makes the files, unless an earlier process began this pass."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = {name: self.store.bytes([name]) for name in self.names} | {"done": len(self.batches)}
        for name, size in sizes.items():
            path = self.folder / name
            if not path.exists() or path.stat().st_size != size:
                with path.open("wb") as file:
                    file.truncate(size)  # which fills it with zeros

    @cached_property
    def _arrays(self) -> dict[str, np.memmap]:
        return {name: self.store.open(name, self.folder, "r+") for name in self.names}

    @cached_property
    def _done(self) -> np.memmap:
        return np.memmap(self.folder / "done", dtype=np.uint8, mode="r+")

    @property
    def examples_done(self) -> int:
        """Examples that an earlier process has passed through the teacher."""
        path = self.folder / "done"
        done = path.read_bytes() if path.exists() else b""
        return sum(len(batch) for batch, flag in zip(self.batches, done, strict=False) if flag)

    def todo(self, rank: int, processes: int) -> Iterator[tuple[np.ndarray, int]]:
        """The batches of this process that are not done, as (example ids, batch number)."""
        done = (self.folder / "done").read_bytes()
        for number in range(rank, len(self.batches), processes):  # the others' flags may change by now
            if not done[number]:
                yield self.batches[number], number

    def write(self, ids: np.ndarray, number: int, features: Features) -> None:
        """Stores batch `number`; it counts as done only after its values are in the file."""
        for name, array in self._arrays.items():
            state = (features.logits if name == "logits" else features.hidden[int(name.split("-")[1])]).float()
            values = (state if name == "logits" else state.clamp(-LARGEST, LARGEST).half()).cpu().numpy()
            if not self.store.by_token(name):
                array[ids] = values[:, 0] if values.ndim == 3 else values
                continue
            for row, example in enumerate(ids):
                start, stop = self.store.starts[example : example + 2]
                array[start:stop] = values[row, : stop - start]
        self._done[number] = 1

    def flush(self) -> None:
        """Makes what was written survive a power cut."""
        for array in (*self._arrays.values(), self._done):
            array.flush()


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
                del sizes[path]
    return sum(sizes.values()) + needed <= budget and needed < shutil.disk_usage(signals).free


def touch(store: SignalStore) -> None:
    """Marks a store as used now."""
    store.folder.mkdir(parents=True, exist_ok=True)
    os.utime(store.folder)
