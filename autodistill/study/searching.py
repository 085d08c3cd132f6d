"""Searches of a study: in a cell a policy chooses which pipeline is trained until which epoch, by what it saw before.

Decided here: a search spends as many epochs as its trials' whole trainings have, and then trains the pipeline with the
best score so far to its end. What it asks for follows from its seed and the scores alone, on the rows that select, and
never from the clock; so a search that was stopped is repeated against the records, up to where they end, and goes on
from there. Of a run that paused and then ended, or failed, its record of the pause counts until that epoch: it was what
the policy saw. A run that fails has the worst score, and spends the epochs that were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from autodistill.history.store import Store
from autodistill.history.table import flat
from autodistill.search.policies import FAILED, POLICIES, Piece, Seen, Space
from autodistill.study.design import Cell, Job, job_of, planned_in, space_of, words_of
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
class CellSearch:
    """What is searched in a cell, and how."""

    cell: Cell
    policy: str
    trials: int
    seed: int
    pipelines: Mapping[str, Pipeline]
    """By their keys: those that suit the cell."""
    words: pd.DataFrame
    """A row for each of them: the columns that vary."""

    @cached_property
    def key(self) -> str:
        """Hash of what it is, but for its trials: with more of them it goes on. Drivers claim it by this."""
        return f"search {hash_of(self.cell.key, self.cell.plan.precision, self.policy, self.seed, *self.pipelines)}"

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return self.cell.plan.pipeline.training.epochs or 1

    def job(self, name: str) -> Job:
        """The whole run of a pipeline."""
        return job_of("search", self.cell, self.pipelines[name], self.seed)


def searches_of(part: Study, cells: Sequence[Cell], left_out: list[str]) -> Iterator[CellSearch]:
    """A search for each cell of a part of a study.

    Args:
        left_out: Is told of cells that no pipeline suits.
    """
    frames: dict[str, tuple[dict[str, Pipeline], pd.DataFrame]] = {}
    for cell in cells if part.design.search else ():
        kind = cell.plan.task.kind
        if kind not in frames:
            space = {pipeline.key: pipeline for pipeline in space_of(part, kind)}
            columns = [flat(each.model_dump(exclude_none=True)) for each in space.values()]
            frames[kind] = space, pd.DataFrame(columns, index=[*space])
        space, words = frames[kind]
        suit = {name: pipeline for name, pipeline in space.items() if _suits(cell, pipeline)}
        if not suit:
            models = f"{cell.teacher} and {cell.student}"
            left_out.append(f"{cell.source.data} with {models}: no pipeline of the space suits")
            continue
        words = words.loc[[*suit]]
        varying = words.loc[:, words.nunique(dropna=False) > 1]
        yield CellSearch(cell, str(part.design.search), part.design.trials or TRIALS, part.seed, suit, varying)


def _suits(cell: Cell, pipeline: Pipeline) -> bool:
    try:
        planned_in(cell, pipeline)
    except InputError:
        return False
    return True


class Searching:
    """A search under way: which run it asks for now, after all that is known.

    Args:
        records: Of what was seen. The search never stands before a piece that these know, once it has gone on.
    """

    def __init__(self, search: CellSearch, records: Records):
        self.search, self.records = search, records
        self.jobs: dict[str, Job] = {}
        """Pipelines that were begun."""
        self.ends: dict[str, End] = {}
        """What became of those that were trained."""
        self.scores: dict[str, float] = {}
        """Of those, the best so far."""
        self.spent, self._reached = 0, dict[str, int]()
        self.is_open = False
        """Whether this driver has claimed it."""
        dice = np.random.default_rng([search.seed, int(search.cell.key[:12], 16), OWN_DICE])
        epochs = dict.fromkeys(search.pipelines, search.epochs)
        self._policy = POLICIES[search.policy](Space(search.words, epochs), dice)
        self.job: Job | None = None
        """The run that it asks for, until which epoch; None where it is over."""
        self._ask(next(self._policy, None))

    @property
    def done(self) -> int:
        """Trials that were spent."""
        return self.search.trials if self.job is None else min(self.spent // self.search.epochs, self.search.trials)

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
            whole = self.jobs.setdefault(piece.candidate, self.search.job(piece.candidate))
            self.job = replace(whole, until=piece.epochs) if piece.epochs < self.search.epochs else whole

    def _see(self, name: str, seen: Seen) -> None:
        self.spent += max(seen.epochs - self._reached.get(name, 0), 0)
        self._reached[name] = max(seen.epochs, self._reached.get(name, 0))
        self.ends[name] = "failed" if seen.score == FAILED else "ok" if seen.over else "paused"
        self.scores[name] = seen.score

    def _next(self, seen: Seen) -> Piece | None:
        """What the policy asks for; where all trials are spent, or it has nothing left, the end of the best one."""
        if self.spent < self.search.trials * self.search.epochs:
            try:
                return self._policy.send(seen)
            except StopIteration:
                pass
        best = max(self.scores, key=lambda name: self.scores[name])
        return Piece(best, self.search.epochs) if self.ends[best] == "paused" else None

    @property
    def paused(self) -> list[Job]:
        """Runs that did not come to their end."""
        return [self.jobs[name] for name, end in self.ends.items() if end == "paused"]

    @property
    def words(self) -> str:
        """What came of it, and what it asks for now, for people."""
        head = f"{words_of(self.search.cell)}, searched by {self.search.policy}"
        parts = [f"{self._begun}; {self._best}"] if self.scores else []
        if self.job is not None:
            trials = f"{self.done:,} of {counted(self.search.trials, 'trial')} spent"
            parts = [f"{counted(len(self.search.pipelines), 'pipeline')} to choose from, {trials}", *parts]
            parts.append(f"next: {self.job.training}")
        return f"{head}: {'; '.join(parts)}"

    @property
    def _begun(self) -> str:
        return f"{counted(len(self.ends), 'pipeline')} begun, {len(self.paused):,} of them stopped early"

    @property
    def _best(self) -> str:
        best = max(self.scores.values())
        metric = self.search.cell.plan.task.metric
        return "all failed" if best == FAILED else f"{metric} {best:.4f} at best on the rows that select"
