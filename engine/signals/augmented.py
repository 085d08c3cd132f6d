"""Augmented examples with what the teacher said of them, kept step by step for later pipelines.

A stream of augmented examples follows from its policy, the seed and the originals, so it is made once: the training
that needs a step first appends it to a file; all later ones with the same stream and the same teacher read it, and
neither augment anything nor ask the teacher. So several students share one teacher, one after the other or in processes
side by side, and each learns, bit for bit, what it would have learned alone.

The file is a row of records, one for each optimiser step without a gap, from the first on that has augmented examples:

    length (8 bytes), checksum (4 bytes), tensors as safetensors lays them out, whole numbers as narrow as they fit

A record that was cut or changed ends the file; that step and the later ones are made anew.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors.torch import load, save
from torch import Tensor

from engine.base.cache import say_damaged
from engine.base.files import disk_errors
from engine.base.progress import Reporter
from engine.models.forward import Features
from engine.signals.store import make_room
from engine.tokens.batch import Batch

HEADER = struct.Struct("<QI")  # of a record
BLOCK = 1 << 26  # bytes by which the file grows before the budget is looked at again
NARROW = (torch.uint8, torch.int16, torch.int32)
OWNER = "owner"  # of a record: whose training made it
BESIDE = ("labels", "alignment", "label_alignment", "labelled")  # tensors of a batch beside its inputs


class AugmentedSteps:
    """The augmented batches of a stream, in a `folder` beside those of other signals, which together may take
    `budget` bytes. Steps before the `first` have none."""

    def __init__(self, folder: Path, budget: int, reporter: Reporter, first: int = 0):
        self.folder, self.budget, self.owner, self.first = folder, budget, "", first
        self._file = folder / "steps"
        self._ends = [0]  # where each record ends
        self._room = 0  # to which size the file may grow
        self._latest: tuple[int, list[Batch]] | None = None
        with disk_errors(folder), self._alone():
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)  # it is used now
            if self._look():
                say_damaged(folder, reporter)
            if self._size() > self._ends[-1]:
                os.truncate(self._file, self._ends[-1])

    @property
    def count(self) -> int:
        """How many steps are kept, from the first one on, as far as this one has looked."""
        return len(self._ends) - 1

    def of(self, owner: str) -> AugmentedSteps:
        """The same for one training, which knows its own steps again: where it was killed it counts them once."""
        own = copy(self)
        own._ends, own.owner = list(self._ends), owner
        return own

    def read(self, step: int) -> list[Batch]:
        """The augmented batches of a step, with the teacher's view of them; none where they are not kept."""
        place = step - self.first
        self._look(place + 1)
        if not 0 <= place < self.count:
            return []
        start, end = self._ends[place : place + 2]
        with suppress(FileNotFoundError), self._file.open("rb") as file:  # it may be cleared away just now
            file.seek(start + HEADER.size)
            return _unpacked(file.read(end - start - HEADER.size), self.owner)
        return []

    def add(self, step: int, batches: Sequence[Batch]) -> None:
        """Keeps the augmented batches of a step with the teacher's view of them, where they follow those that are kept
        and the budget allows it.

        They are written with the next ones or by `flush`: a GPU is at work on them yet.
        """
        self.flush()
        if batches and step - self.first >= self.count:
            self._latest = step - self.first, list(batches)

    def flush(self) -> None:
        """Writes the step that was added last."""
        (place, batches), self._latest = self._latest or (-1, []), None
        if place < self.count:
            return
        record = _packed(batches, self.owner)
        with disk_errors(self.folder), self._alone():
            self._look(place + 1)  # another process may have been there before
            start, length = self._ends[-1], HEADER.size + len(record)
            if place == self.count and self._has_room(start + length):
                self.folder.mkdir(exist_ok=True)  # it may have been cleared away
                with self._file.open("ab") as file:
                    file.write(HEADER.pack(len(record), zlib.crc32(record)) + record)
                self._ends.append(start + length)

    def _alone(self) -> FileLock:
        """The lock that those who append share, and those who clear old signals away."""
        return FileLock(f"{self.folder}.lock")

    def _size(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0

    def _has_room(self, size: int) -> bool:
        if size > self._room and self.budget:
            needed = BLOCK + size - self._ends[-1]
            if make_room(self.folder.parent, self.folder, needed, self.budget):
                self._room = size + BLOCK
            else:
                self.budget = 0  # it is not asked again
        return size <= self._room

    def _look(self, steps: int | None = None) -> bool:
        """Looks for records that were added since, by any process, where there are less than `steps`; says whether one
        was changed. A process that was killed may have left the beginning of one."""
        size = self._size()
        if size < self._ends[-1]:  # it was cleared away
            self._ends = [0]
        if size == self._ends[-1] or (steps is not None and steps <= self.count):
            return False
        with self._file.open("rb") as file:
            file.seek(self._ends[-1])
            while len(header := file.read(HEADER.size)) == HEADER.size:
                length, checksum = HEADER.unpack(header)
                end = self._ends[-1] + HEADER.size + length
                if end > size:
                    break
                if zlib.crc32(file.read(length)) != checksum:
                    return True
                self._ends.append(end)
        return False


def _packed(batches: Sequence[Batch], owner: str) -> bytes:
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        parts = {f"inputs.{name}": each for name, each in batch.inputs.items()}
        parts |= {name: each for name in BESIDE if (each := getattr(batch, name)) is not None}
        parts |= {"logits": batch.fetched.logits.float(), "mask": batch.fetched.mask}
        tensors |= {
            f"{number}.{name}": _narrow(each.cpu()).clone(memory_format=torch.contiguous_format)
            for name, each in parts.items()
        }
    return save(tensors | {OWNER: torch.tensor(list(owner.encode()), dtype=torch.uint8)})


def _unpacked(record: bytes, owner: str) -> list[Batch]:
    tensors, found = dict(sorted(load(record).items())), []  # which come in any order
    kept = bytes(tensors.pop(OWNER).tolist()).decode() != owner
    for number in range(1 + max(int(name.partition(".")[0]) for name in tensors)):
        start = f"{number}."
        parts = {name.removeprefix(start): _wide(each) for name, each in tensors.items() if name.startswith(start)}
        said = Features(parts.pop("logits"), {}, parts.pop("mask"))
        beside: dict[str, Any] = {name: parts.pop(name) for name in BESIDE if name in parts}
        inputs = {name.removeprefix("inputs."): each for name, each in parts.items()}
        found.append(Batch(inputs, fetched=said, augmented=True, kept=kept, **beside))
    return found


def _narrow(values: Tensor) -> Tensor:
    """Whole numbers of 64 bits in the narrowest type that holds them."""
    if values.dtype != torch.int64 or not values.numel():
        return values
    low, high = (int(each) for each in values.aminmax())
    fits = (each for each in NARROW if torch.iinfo(each).min <= low and high <= torch.iinfo(each).max)
    return values.to(next(fits, torch.int64))


def _wide(values: Tensor) -> Tensor:
    return values.long() if values.dtype in NARROW else values
