"""The search for θ in two phases, with candidates from the second (AutoSKDBERT, algorithm 1).

Decided here: a search that was killed goes on as if it had not been. It knows a student by its losses alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from engine.base.errors import NonFiniteLossError
from engine.base.progress import Reporter, SilentReporter
from engine.team.theta import Learner, Target, Theta, gradient, target_of
from engine.training.optimiser import schedule
from engine.training.state import Clock, interrupts_held, resumed, save_state

FOR_THETA, FOR_STUDENT = range(2)  # what a member is drawn for


class Student(Learner, Protocol):
    """A student that is trained while θ is searched."""

    gold: bool  # whether its validation loss knows θ through the student alone

    def learn(self, batch: Any, target: Target, share: float, step: int) -> None:
        """One optimiser step at a share of the peak learning rate."""

    def rate(self, share: float) -> float:
        """The learning rate at a share of its peak."""

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""


@dataclass
class Found:
    """What a search has found so far."""

    history: list[list[float]] = field(default_factory=list)  # θ after each step
    candidates: list[list[float]] = field(default_factory=list)  # distributions that phase 2 has handed out
    dropped: list[int] = field(default_factory=list)  # members that were dropped after phase 1


def handing_out(steps: int, candidates: int) -> set[int]:
    """The steps after which a candidate is handed out: evenly over phase 2, the last at its end.

    Example:
        >>> sorted(handing_out(steps=10, candidates=2))
        [6, 9]
    """
    half = steps // 2
    count = min(candidates, steps - half)
    return {half + round((number + 1) * (steps - half) / count) - 1 for number in range(count)}


@dataclass(frozen=True)
class Search:
    """One search."""

    student: Student  # trained on the way, and thrown away
    batches: Callable[[int], tuple[Any, Any]]  # step → a batch for the student, and one for θ
    theta: Theta
    steps: int  # of both phases together
    dropped: int  # m, members to drop after the first half of the steps
    candidates: int  # distributions to hand out in the second half
    second_order: bool
    warmup: float  # share of the steps in which the student's learning rate rises
    seed: int
    folder: Path  # of the checkpoint
    checkpoint_seconds: float  # least time between two of them
    report: Callable[[int, list[float]], None]  # called with each step and θ after it
    saved: Callable[[], None] = lambda: None  # called after each checkpoint
    reporter: Reporter = SilentReporter()  # noqa: RUF009 - without a state

    @interrupts_held()
    def run(self, keep: bool = True) -> Found:
        """Searches to the end, from the checkpoint where there is one; other processes than one `keep` none."""
        path, parts = self.folder / "checkpoint.pt", {"student": self.student, "theta": self.theta}
        found = resumed("search for θ", path, parts, Found, self.reporter) or Found()
        clock, handed_out = Clock(self.checkpoint_seconds, self.saved), handing_out(self.steps, self.candidates)
        for step in range(len(found.history), self.steps):
            if step == self.steps // 2:
                found.dropped = self.theta.drop(self.dropped)
            self._step(step)
            found.history.append(self.theta.shares)
            if step in handed_out:
                found.candidates.append(self.theta.shares)
            self.report(step + 1, self.theta.shares)
            if keep and clock.checkpoint_due():
                save_state(path, asdict(found), parts)
                clock.checkpoint_saved()
        return found

    def _step(self, step: int) -> None:
        """θ by one step on its batch, then the student by one step on its own."""
        theta, student = self.theta, self.student
        train, validation = self.batches(step)
        share = schedule(step, self.steps, self.warmup)
        drawn = self._draw(step, FOR_THETA)
        values = theta.leaf()
        target = target_of(values, drawn, theta.update)
        slope = gradient(student, values, target, train, validation, student.rate(share), self.second_order)
        if student.gold:  # per unit of learning rate, with which weight decay and Adam's ε do not scale
            slope = slope / student.rate(share)
        if not torch.isfinite(slope).all():
            raise NonFiniteLossError(step + 1, "validation")
        theta.step(slope, drawn)
        target = target_of(theta.leaf().detach(), self._draw(step, FOR_STUDENT), theta.update)
        student.learn(train, target, share, step)

    def _draw(self, step: int, purpose: int) -> int:
        return self.theta.draw(np.random.default_rng([self.seed, step, purpose]))
