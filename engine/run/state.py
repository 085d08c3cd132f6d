"""A run under way: its plan, folder and machine, and what it counts over all of its starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.base.machine import Machine
    from engine.run.folder import RunFolder
    from engine.run.plan import RunPlan


@dataclass
class Run:
    """A run under way. Times and counts are kept in its folder, so that a resumed run adds to them."""

    plan: RunPlan
    folder: RunFolder
    machine: Machine
    _last: float = field(default_factory=time.monotonic, init=False)

    def lap(self, stage: str) -> None:
        """The stage that began at the last lap is over."""
        now, seconds = time.monotonic(), self.stage_seconds
        seconds[stage] = seconds.get(stage, 0.0) + now - self._last
        self._last = now
        if self.machine.main:
            self.folder.remember(stage_seconds=seconds)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Stage → seconds, over all processes that worked on the run."""
        return dict(self.folder.recall("stage_seconds", {}))

    def count_passed(self, teacher: str, examples: int, anew: bool = False) -> None:
        """So many examples will pass through a teacher; the first count stays, unless it is made anew."""
        known = self.folder.recall("teacher_examples", {})
        if self.machine.main and (anew or teacher not in known):
            self.folder.remember(teacher_examples={**known, teacher: examples})

    @property
    def passed(self) -> int:
        """Training examples that pass through teachers, all of them together."""
        return sum(self.folder.recall("teacher_examples", {}).values())
