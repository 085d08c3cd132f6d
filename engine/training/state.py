"""What a training carries along: how far it has come, sums of its losses, and when to write them down.

Decided here: the state is saved and restored whole; the losses are summed without making the device wait.
Random numbers need no saving: every step draws from a generator seeded by (seed, step, process), so a step
that is repeated after a kill is the same step.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar
from zipfile import ZipFile

import torch
from accelerate.utils import reduce
from torch import Tensor
from torch.nn.functional import pad

from engine.base.errors import NonFiniteLossError, RunError
from engine.base.files import has_checksum, remove, taken_for_damage, written_atomically
from engine.base.progress import Reporter

State = TypeVar("State")
UNREADABLE = (RuntimeError, KeyError, TypeError, ValueError, EOFError, UnpicklingError)  # what a damaged file raises
REPORT_SECONDS = 1.0
CHECKPOINT_SHARE = 20  # a checkpoint is due only after this many times what the last one took


@dataclass
class LoopState:
    """How far a training has come."""

    epoch: int = 0  # finished epochs
    step_in_epoch: int = 0  # finished optimiser steps of the epoch under way
    step: int = 0  # finished optimiser steps in all
    examples: int = 0  # examples seen, repetitions counted
    answered: int = 0  # augmented examples about which the teacher was asked for it; not those that were kept
    best_score: float | None = None
    best_epoch: int | None = None
    best_checksum: str = ""  # of the file with the best weights; empty in processes that did not write it
    history: list[dict[str, Any]] = field(default_factory=list)  # of each finished epoch: weighted losses, scores
    epoch_seconds: list[float] = field(default_factory=list)  # `seconds` when each of them was finished
    term_sums: dict[str, float] = field(default_factory=dict)  # over the steps of the epoch under way
    seconds: float = 0.0  # spent training, the making of batches counted, evaluation not
    waited: float = 0.0  # of them, those in which the loop had no batch

    def end_epoch(self, terms: dict[str, float], scores: dict[str, float]) -> None:
        """Notes what an epoch came to."""
        self.epoch, self.step_in_epoch, self.term_sums = self.epoch + 1, 0, {}
        self.history.append({"epoch": self.epoch, "loss": terms, "scores": scores})
        self.epoch_seconds.append(round(self.seconds, 3))


def save_checkpoint(path: Path, state: LoopState, parts: dict[str, Any], writes: bool = True) -> None:
    """Writes a checkpoint, and removes best weights beside it of which its state knows nothing.

    Args:
        writes: Whether this process does; one that does not takes part in gathering what lies in pieces.
    """
    save_state(path, asdict(state), parts, writes)
    if not writes:
        return
    for older in set(path.parent.glob("best-*.safetensors")) - {best_file(path.parent, state)}:
        older.unlink()


def save_state(path: Path, state: dict[str, Any], parts: dict[str, Any], writes: bool = True) -> None:
    """Writes a state of plain values and the `state_dict` of every part into one file, or nothing."""
    saved = {name: part.state_dict() for name, part in parts.items()}
    if not writes:
        return
    with written_atomically(path) as aside, aside.open("wb") as file:  # of a path, torch would not say what failed
        torch.save({"state": state, **saved}, file)


def load_state(path: Path, parts: dict[str, Any], kind: Callable[..., State]) -> State | None:
    """Restores every part in place, and gives the state, of the class `kind`; None without a checkpoint.

    Raises:
        RunError: The file is a checkpoint, but not one of these parts.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        return kind(**saved["state"])
    except UNREADABLE as error:
        raise RunError(f"{path} is not a checkpoint of this run ({type(error).__name__})") from error


def resumed(
    name: str, path: Path, parts: dict[str, Any], kind: Callable[..., State], reporter: Reporter
) -> State | None:
    """As `load_state`; None, too, where the checkpoint, or the best weights beside it, were damaged, which is said.

    Nothing is restored then, so that the training of this `name` starts anew with `parts` as they are.
    """
    if not path.exists():
        return None
    state = read_state(path)
    damaged = "checkpoint was" if state is None else "best weights were" if _lost(path.parent, state) else ""
    if damaged:
        reporter.message(f"{name}: the {damaged} damaged; it starts anew")
        for lost in (path, *path.parent.glob("best-*.safetensors")):
            remove(lost)
    return None if damaged else load_state(path, parts, kind)


def _lost(folder: Path, state: dict[str, Any]) -> bool:
    return bool(state.get("best_epoch")) and not has_best(folder, LoopState(**state))


def read_state(path: Path) -> dict[str, Any] | None:
    """The state in a checkpoint; None where the file is not as it was written."""
    if not path.is_file():  # a pipe would be waited for
        return None
    with taken_for_damage(Exception):  # zipfile and torch raise dozens of kinds
        with ZipFile(path) as archive:  # as which torch saves, with checksums that it does not compare
            whole = archive.testzip() is None
        return dict(torch.load(path, map_location="meta", weights_only=True, mmap=True)["state"]) if whole else None
    return None


def best_file(folder: Path, state: LoopState) -> Path:
    """The weights of the best epoch; it names them, because a repeated epoch may score otherwise on a GPU."""
    return folder / f"best-{state.best_epoch}.safetensors"


def has_best(folder: Path, state: LoopState) -> bool:
    """Whether the weights of the best epoch are there as they were written."""
    return has_checksum(best_file(folder, state), state.best_checksum)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Holds the first Ctrl-C back until a `Clock` has its checkpoint, so that no step is lost; the second ends at once.

    Raises:
        KeyboardInterrupt: At the end of the block, where Ctrl-C was pressed and no checkpoint was written since.
    """
    global _pressed
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # nothing can be held: only a process's main thread hears of signals
        return

    def hold(*_: Any) -> None:
        global _pressed
        _pressed = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
        if _pressed:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)
        _pressed = False


_pressed = False


def interrupted() -> bool:
    """Whether a Ctrl-C is held back."""
    return _pressed


class Meter:
    """Sums of the terms, kept on the device, going on from `sums`, and the first step at which each was not finite."""

    def __init__(self, sums: dict[str, float]):
        self._names = list(sums)
        self._sums = torch.tensor(list(sums.values()), dtype=torch.float64)
        self._bad = torch.zeros(len(sums), dtype=torch.int64)

    def add(self, losses: Sequence[dict[str, Tensor]], step: int) -> None:
        """Counts the terms of a step's forward passes, those of the other processes too."""
        together: dict[str, Tensor] = {}
        for name, value in (term for terms in losses for term in terms.items()):
            together[name] = together[name] + value.detach() if name in together else value.detach()
        self._names += [name for name in together if name not in self._names]  # a schedule may bring one late
        nothing = torch.zeros_like(next(iter(together.values())))
        total = reduce(torch.stack([together.get(name, nothing) for name in self._names]).double(), "sum")
        late = 0, len(self._names) - len(self._sums)
        self._sums, bad = pad(self._sums.to(total.device), late) + total, pad(self._bad.to(total.device), late)
        self._bad = torch.where((bad == 0) & ~torch.isfinite(total), step, bad)

    def sums(self) -> dict[str, float]:
        """Term → sum over the epoch's steps so far; waits for the device.

        Raises:
            NonFiniteLossError: A term was not finite; it names the first step and the term.
        """
        if wrong := [(step, name) for step, name in zip(self._bad.tolist(), self._names, strict=True) if step]:
            raise NonFiniteLossError(*min(wrong))
        return dict(zip(self._names, self._sums.tolist(), strict=True))

    def means(self, steps: int) -> dict[str, float]:
        """Term → mean over the epoch's `steps` so far; as `sums`."""
        return {name: value / steps for name, value in self.sums().items()}


class Clock:
    """When the loop should look at the losses, and when a checkpoint is due."""

    def __init__(self, checkpoint_seconds: float, saved: Callable[[], None] = lambda: None):
        self._interval, self._tell = checkpoint_seconds, saved
        self._reported = self._saved = self._began = time.monotonic()

    def report_due(self) -> bool:
        """Whether `REPORT_SECONDS` have gone by since this last said yes."""
        now = time.monotonic()
        due = now - self._reported >= REPORT_SECONDS
        self._reported = now if due else self._reported
        return due

    def checkpoint_due(self) -> bool:
        """Whether a checkpoint should be written now: none within `checkpoint_seconds` of the last one, or Ctrl-C."""
        self._began = time.monotonic()
        return interrupted() or self._began - self._saved >= self._interval

    def checkpoint_saved(self) -> None:
        """A checkpoint was written; the next waits so long that writing stays a small share.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, which waited for this.
        """
        if interrupted():
            raise KeyboardInterrupt
        self._tell()
        self._saved = time.monotonic()
        self._interval = max(self._interval, CHECKPOINT_SHARE * (self._saved - self._began))
