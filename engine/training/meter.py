"""What the loop watches without making the device wait: sums of the loss, and the time."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from accelerate.utils import reduce
from torch import Tensor

from engine.base.errors import NonFiniteLossError

REPORT_SECONDS = 1.0
CHECKPOINT_SHARE = 20  # a checkpoint is due only after this many times what the last one took


class Meter:
    """Sums of the terms, kept on the device, and the first step at which each was not finite.

    Args:
        sums: Term → sum over the steps that an earlier process took in this epoch.
    """

    def __init__(self, sums: dict[str, float]):
        self._names = list(sums)
        self._sums = torch.tensor(list(sums.values()), dtype=torch.float64)
        self._bad = torch.zeros(len(sums), dtype=torch.int64)

    def add(self, losses: Sequence[dict[str, Tensor]], step: int) -> None:
        """Counts the terms of a step's forward passes, those of the other processes too."""
        together: dict[str, Tensor] = {}
        for terms in losses:
            for name, value in terms.items():
                together[name] = together[name] + value.detach() if name in together else value.detach()
        names = self._names or list(together)
        found = reduce(torch.stack([together[name] for name in names]).double(), "sum")
        if not self._names:
            self._names = names
            self._sums, self._bad = torch.zeros_like(found), torch.zeros_like(found, dtype=torch.int64)
        self._sums = self._sums.to(found.device) + found
        bad = self._bad.to(found.device)
        self._bad = torch.where((bad == 0) & ~torch.isfinite(found), step, bad)

    def sums(self) -> dict[str, float]:
        """Term → sum over the epoch's steps so far; waits for the device.

        Raises:
            NonFiniteLossError: A term was not finite; it names the first step and the term.
        """
        wrong = [(step, name) for step, name in zip(self._bad.tolist(), self._names, strict=True) if step]
        if wrong:
            raise NonFiniteLossError(*min(wrong))
        return dict(zip(self._names, self._sums.tolist(), strict=True))

    def means(self, steps: int) -> dict[str, float]:
        """Term → mean over the epoch's `steps` so far; as `sums`."""
        return {name: value / steps for name, value in self.sums().items()}


class Clock:
    """When the loop should look at the losses, and when a checkpoint is due.

    Args:
        checkpoint_seconds: Least time between two checkpoints.
    """

    def __init__(self, checkpoint_seconds: float):
        self._interval = checkpoint_seconds
        self._reported = self._saved = self._began = time.monotonic()

    def report_due(self) -> bool:
        """Whether `REPORT_SECONDS` have gone by since this last said yes."""
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return False
        self._reported = now
        return True

    def checkpoint_due(self) -> bool:
        """Whether a checkpoint should be written now."""
        self._began = time.monotonic()
        return self._began - self._saved >= self._interval

    def checkpoint_saved(self) -> None:
        """A checkpoint was written; the next waits so long that writing stays a small share."""
        self._saved = time.monotonic()
        self._interval = max(self._interval, CHECKPOINT_SHARE * (self._saved - self._began))
