"""Searches of a study: in a cell a policy chooses which pipeline is trained until which epoch, by what it saw before.

Decided here: a search spends as many epochs as its trials' whole trainings have, and then trains the pipeline with the
best score so far to its end. What it asks for follows from its seed and the scores alone, on the rows that select, and
never from the clock; so a search that was stopped is repeated against the records, up to where they end, and goes on
from there. Of a run that paused and then ended, or failed, its record of the pause counts until that epoch: it was what
the policy saw. A run that fails has the worst score, and spends the epochs that were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from autodistill.history.store import Store
from autodistill.history.table import flat
from autodistill.search.policies import FAILED, POLICIES, Piece, Seen, Space
from autodistill.study.design import Cell, Group, Job, job_of, space_of, words_of
from autodistill.study.spec import TRIALS, Study
from engine.base.errors import InputError, counted
from engine.base.files import hash_of
from engine.pipeline.pipeline import Pipeline
from engine.run.result import RunResult

End = Literal["ok", "paused", "failed"]
ENDS: tuple[End, ...] = get_args(End)
OWN_DICE = 1
"""Sets the dice of a cell's search apart from those that draw its random pipelines."""


class Course(NamedTuple):
    """How far a training came."""

    scores: tuple[float, ...]
    """After each epoch, on the rows that select."""
    over: bool = True

    def after(self, epochs: int) -> Seen | None:
        """What was seen after so many epochs, or after all where there are fewer; None where it has not come so far."""
        if not self.scores or (epochs > len(self.scores) and not self.over):
            return None
        part = self.scores[:epochs]
        return Seen(max(part), 0.0, len(part), self.over and len(part) == len(self.scores))


class Records:
    """What is known of runs: those of a store, and others.

    Args:
        others: Identity → how far a run came that stands elsewhere, as in a study's tables.
        failed: Identities of runs that failed, or could not be made.
    """

    def __init__(
        self, store: Store, others: Mapping[str, Course] = MappingProxyType({}), failed: Iterable[str] = ()
    ) -> None:
        self._store, self.failed = store, {*failed}
        self._courses = {identity: {course.over: course} for identity, course in others.items()}

    def seen(self, job: Job, epochs: int) -> Seen | None:
        """What a run showed after so many epochs; None where it is not known yet."""
        if (found := self._known(job, epochs)) is not None:
            return found
        damaged: list[str] = []
        for result in self._store.runs(damaged.append, job.identity):
            self.add(result)
        if damaged:  # it is over, or the same record would be written again
            self.failed.add(job.identity)
        if (found := self._known(job, epochs)) is not None:
            return found
        return Seen(FAILED, 0.0, epochs, True) if job.identity in self.failed else None

    def add(self, result: RunResult) -> None:
        """Knows a run."""
        scores = tuple(entry["scores"][result.metric] for entry in result.history)
        if result.status == "failed" or not scores:
            self.failed.add(result.identity)
        else:
            over = result.status == "ok"
            self._courses.setdefault(result.identity, {})[over] = Course(scores, over)

    def _known(self, job: Job, epochs: int) -> Seen | None:
        """What was read before: first what a run was when it paused."""
        courses = (self._courses.get(identity, {}) for identity in (job.identity, *sorted(job.alike)))
        found = (course.after(epochs) for each in courses for _, course in sorted(each.items()))
        return next((seen for seen in found if seen is not None and (seen.over or job.until)), None)


@dataclass(frozen=True)
class SearchPlan:
    """What is searched in a cell, and how."""

    key: str
    """Hash of what it is, but for its trials: with more of them it goes on. Drivers claim it by this."""
    cell: str
    """`Cell.key`."""
    where: str
    """The cell, for people."""
    metric: str
    policy: str
    trials: int
    seed: int
    epochs: int
    """Of a whole training."""
    jobs: Mapping[str, Job]
    """Pipeline, by its key → its whole run; of those that suit the cell."""

    @property
    def group(self) -> Group:
        """That of its runs."""
        return next(iter(self.jobs.values())).group

    @property
    def columns(self) -> pd.DataFrame:
        """A row for each pipeline: the columns that vary."""
        every = pd.DataFrame([flat(job.pipeline) for job in self.jobs.values()], index=[*self.jobs])
        return every.loc[:, every.nunique(dropna=False) > 1]


def searches_of(part: Study, cells: Sequence[Cell], left_out: list[str]) -> Iterator[SearchPlan]:
    """A search for each cell of a part of a study.

    Args:
        left_out: Is told of cells that no pipeline suits.
    """
    for cell in cells if part.design.search else ():
        jobs = dict(_suitable(cell, space_of(part, cell.plan.task.kind), part.seed))
        if not jobs:
            models = f"{cell.teacher} and {cell.student}"
            left_out.append(f"{cell.source.data} with {models}: no pipeline of the space suits")
            continue
        policy, trials = str(part.design.search), part.design.trials or TRIALS
        key = f"search {hash_of(cell.key, cell.plan.precision, policy, part.seed, *jobs)}"
        epochs = cell.plan.pipeline.training.epochs or 1
        how = policy, trials, part.seed, epochs
        yield SearchPlan(key, cell.key, words_of(cell), cell.plan.task.metric, *how, jobs)


def _suitable(cell: Cell, space: Sequence[Pipeline], seed: int) -> Iterator[tuple[str, Job]]:
    """The pipelines of a space that suit a cell, by their keys, with their runs."""
    for pipeline in space:
        with suppress(InputError):
            yield pipeline.key, job_of("search", cell, pipeline, seed)


class Searching:
    """A search under way: which run it asks for now, after all that is known.

    Args:
        records: Of what was seen. The search never stands before a piece that these know, once it has gone on.
    """

    def __init__(self, plan: SearchPlan, records: Records):
        self.plan, self.records = plan, records
        self.jobs: dict[str, Job] = {}
        """Pipelines that were begun."""
        self.ends: dict[str, End] = {}
        """What became of those that were trained."""
        self.scores: dict[str, float] = {}
        """Of those, the best so far."""
        self.spent, self._reached = 0, dict[str, int]()
        self.is_open = False
        """Whether this driver has claimed it."""
        dice = np.random.default_rng([plan.seed, int(plan.cell[:12], 16), OWN_DICE])
        epochs = dict.fromkeys(plan.jobs, plan.epochs)
        self._policy = POLICIES[plan.policy](Space(plan.columns, epochs), dice)
        self.job: Job | None = None
        """The run that it asks for, until which epoch; None where it is over."""
        self._ask(next(self._policy, None))

    @property
    def done(self) -> int:
        """Trials that were spent."""
        return self.plan.trials if self.job is None else min(self.spent // self.plan.epochs, self.plan.trials)

    def go_on(self) -> None:
        """Sends the policy what is known of what it asks for, until something is not."""
        while self.job is not None and (seen := self.records.seen(self.job, self._piece.epochs)) is not None:
            self._see(self._piece.candidate, seen)
            self._ask(self._next(seen))

    def _ask(self, piece: Piece | None) -> None:
        """For a piece of training, or for nothing more."""
        self.job = None
        if piece is not None:
            self._piece = piece
            whole = self.jobs.setdefault(piece.candidate, self.plan.jobs[piece.candidate])
            self.job = replace(whole, until=piece.epochs) if piece.epochs < self.plan.epochs else whole

    def _see(self, name: str, seen: Seen) -> None:
        self.spent += max(seen.epochs - self._reached.get(name, 0), 0)
        self._reached[name] = max(seen.epochs, self._reached.get(name, 0))
        self.ends[name] = "failed" if seen.score == FAILED else "ok" if seen.over else "paused"
        self.scores[name] = seen.score

    def _next(self, seen: Seen) -> Piece | None:
        """What the policy asks for; where all trials are spent, or it has nothing left, the end of the best one."""
        if self.spent < self.plan.trials * self.plan.epochs:
            try:
                return self._policy.send(seen)
            except StopIteration:
                pass
        best = max(self.scores, key=lambda name: self.scores[name])
        return Piece(best, self.plan.epochs) if self.ends[best] == "paused" else None

    @property
    def paused(self) -> list[Job]:
        """Runs that did not come to their end."""
        return [self.jobs[name] for name, end in self.ends.items() if end == "paused"]

    @property
    def words(self) -> str:
        """What came of it, and what it asks for now, for people."""
        head = f"{self.plan.where}, searched by {self.plan.policy}"
        parts = [f"{self._begun}; {self._best}"] if self.scores else []
        if self.job is not None:
            trials = f"{self.done:,} of {counted(self.plan.trials, 'trial')} spent"
            parts = [f"{counted(len(self.plan.jobs), 'pipeline')} to choose from, {trials}", *parts]
            parts.append(f"next: {self.job.training}")
        return f"{head}: {'; '.join(parts)}"

    @property
    def _begun(self) -> str:
        return f"{counted(len(self.ends), 'pipeline')} begun, {len(self.paused):,} of them stopped early"

    @property
    def _best(self) -> str:
        best = max(self.scores.values())
        return "all failed" if best == FAILED else f"{self.plan.metric} {best:.4f} at best on the rows that select"
