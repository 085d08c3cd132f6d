"""Teacher signals: the teacher's view of each training example, computed or read.

The training loop asks for a batch of example ids and does not know which of the two happens. Without augmentation the
teacher's view of an example never changes, so it is computed once, kept on disk, and read again in every later epoch
and by every later pipeline on the same teacher and dataset; where it does not fit the budget, the teacher runs along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from accelerate.utils import send_to_device

from engine.base.cache import say_damaged
from engine.base.files import folder_bytes, remove
from engine.data.task import SOFT
from engine.models.forward import Features, TeacherNeeds, accepted_inputs, forward
from engine.signals.store import SUM, SignalPass, SignalReader, SignalStore, make_room, touch

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from engine.base.machine import Machine
    from engine.data.task import TaskKind
    from engine.tokens.examples import Encoded

FLUSH_EVERY = 50  # batches
Source = Literal["cached", "online", "given"]


class TeacherSignals(Protocol):
    """The teacher's view of training examples."""

    source: Source

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Any:
        """What the host has to prepare for the examples `ids` (B,); may run in a worker process.

        Args:
            inside: Whether hidden states and attention are wanted, where there are some.
        """

    def view(self, fetched: Any) -> Features:
        """The teacher's features of a fetched batch, on the training device."""


@dataclass
class OnlineSignals:
    """Runs the teacher on every batch."""

    teacher: PreTrainedModel
    kind: TaskKind
    encoded: Encoded
    needs: TeacherNeeds
    accelerator: Accelerator
    source: Source = "online"

    def __post_init__(self) -> None:
        self.teacher.eval().requires_grad_(False)
        self._accepted = accepted_inputs(self.teacher)

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Any:
        return self.encoded.inputs(ids, accepted=self._accepted)

    @torch.no_grad()
    def view(self, fetched: Mapping[str, torch.Tensor] | Features) -> Features:
        if isinstance(fetched, Features):  # which it said before
            return fetched.to(self.accelerator.device)
        self.teacher.to(self.accelerator.device)
        inputs = send_to_device(fetched, self.accelerator.device, non_blocking=True)
        with self.accelerator.autocast():
            needs = self.needs
            return forward(self.teacher, inputs, self.kind, needs.layers, needs.tokens == "first", needs.attention)


@dataclass
class CachedSignals:
    """Reads the teacher's view from disk."""

    reader: SignalReader
    encoded: Encoded
    device: torch.device
    source: Source = "cached"

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Any:
        return self.reader.read(ids, self.encoded.padded_length(ids), inside)

    def view(self, fetched: Features) -> Features:
        return fetched.to(self.device)


@dataclass
class GivenSignals:
    """Reads the soft labels that the data bring (`engine.data.soft`)."""

    encoded: Encoded
    device: torch.device
    source: Source = "given"

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Features:
        rows = self.encoded.source.select_columns([SOFT])[self.encoded.rows[ids].tolist()]
        mask = torch.arange(self.encoded.padded_length(ids)) < torch.from_numpy(self.encoded.lengths[ids])[:, None]
        return Features(torch.tensor(rows[SOFT], dtype=torch.float32), {}, mask)

    def view(self, fetched: Features) -> Features:
        return fetched.to(self.device)


def signals_for(online: OnlineSignals, store: SignalStore, machine: Machine, always: bool = False) -> TeacherSignals:
    """The teacher's signals on the training examples: from the cache where they fit or if `always`, else `online`."""
    options = machine.options
    if options.signals == "online" and not always:
        return online
    if missing := machine.agreed(store.missing(online.needs)):
        needed, budget = store.bytes(missing), int(options.cache_budget_gb * 1e9)
        begun = folder_bytes(SignalPass(store, missing).folder)
        fits = machine.main and make_room(store.folder.parent, store.folder, needed - begun, budget)
        if not machine.agreed(fits) and not always:
            machine.reporter.message(
                f"The teacher's signals need {needed / 1e9:.1f} GB, above the budget of "
                f"{options.cache_budget_gb:g} GB or the free disk: the teacher runs along with the student."
            )
            return online
        fill(store, missing, online, machine)
    touch(store)
    online.teacher.cpu()  # its place on the GPU is the student's now
    return CachedSignals(SignalReader(store, online.needs), online.encoded, machine.device)


def fill(store: SignalStore, names: list[str], online: OnlineSignals, machine: Machine) -> None:
    """Passes every example through the teacher once and stores the arrays `names`, going on where a process stopped."""
    accelerator, reporter = machine.accelerator, machine.reporter
    with machine.alone(store.folder):
        if machine.main:
            store.settle()
        # Another run may have filled them while this one waited for the lock.
        names = machine.agreed([name for name in names if not (store.folder / name).exists()])
        if not names:
            return
        signal_pass = SignalPass(store, names)
        if machine.main and signal_pass.begin():
            say_damaged(store.folder, reporter)
        accelerator.wait_for_everyone()
        reporter.start("teacher signals", len(store.lengths), signal_pass.examples_done, unit="examples")
        todo = signal_pass.todo(accelerator.process_index, accelerator.num_processes)
        for count, (ids, number) in enumerate(todo, start=1):
            signal_pass.write(ids, number, online.view(online.fetch(ids)))
            reporter.advance("teacher signals", len(ids) * accelerator.num_processes)
            if count % FLUSH_EVERY == 0:
                signal_pass.flush()
                machine.saved()
        signal_pass.flush()
        accelerator.wait_for_everyone()
        if machine.main:
            store.settle()
        accelerator.wait_for_everyone()
        reporter.finish("teacher signals")


def mend(store: SignalStore, needs: TeacherNeeds, machine: Machine) -> None:
    """Removes what is there of these signals, but not as it was written; it is computed anew."""
    if not machine.main or not store.damaged(needs):
        return
    with machine.alone(store.folder):  # another run may have mended them
        damaged = store.damaged(needs)
        for name in damaged:
            remove(store.folder / name)
            remove(store.folder / f"{name}{SUM}")
    if damaged:
        say_damaged(store.folder, machine.reporter)


def examples_to_pass(store: SignalStore, needs: TeacherNeeds) -> int:
    """How many examples the teacher has yet to see before its signals are whole."""
    missing = store.missing(needs)
    return len(store.lengths) - SignalPass(store, missing).examples_done if missing else 0
