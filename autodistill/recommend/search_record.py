"""The record of a search among pipelines: what was known before it, every piece that was trained, and what it chose.

It is written after each piece, so that a search goes on from it. Decided here: everything that a search decides by
stands in it, so one that was stopped decides as one that was not: what is expected of each candidate, what it costs and
what past curves teach are those of the first beginning, whatever has come since.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from autodistill.recommend.request import Effort, Request
from autodistill.search.beliefs import Prior
from engine.base.errors import InputError
from engine.base.files import hash_of, unsealed, write_sealed
from engine.base.text import read_text
from engine.run.result import Record, RunResult

FILE = "search-{}.json"
ANEW = "Remove it to begin anew."


class Known(Record):
    """What is known of a candidate before it is tried."""

    seconds: float
    """Predicted, of its whole training."""
    before: float = 0.0
    """Predicted, of what it needs before its first epoch, and no other candidate does."""
    expected: float
    """What past runs say of its score, around that of the others."""
    latency_ms: float
    """Of its student, measured."""


class Trained(Record):
    """A piece of training."""

    candidate: str
    epochs: int
    """Until which one it was trained."""
    score: float | None
    """The best so far, on the rows that select; None where it failed."""
    seconds: float
    """Since the piece before it, all in all."""
    over: bool
    """Whether the whole training has ended."""
    closing: bool = False
    """Whether the search was over, and this one chosen."""
    failed: str = ""
    """Why it failed, where it did."""
    choice: str
    """The candidate that would be chosen after it."""
    gain: float | None = None
    """How far the best candidate of all was then expected to lie above the choice."""


class SearchRecord(Record):
    """A search."""

    layout: Literal[1] = 1
    identity: str
    """Hash of what was asked for; the time and the number of trials are not part of it."""
    task: str
    metric: str
    teacher: str
    error: float | None
    """Standard error of a score on the rows that select, that of the teacher's; None where it is not known."""
    prepared: float
    """Seconds that the teacher and what is measured beside it took."""
    prior: Prior
    candidates: dict[str, Known]
    steps: list[Trained] = Field(default_factory=list)
    closed: list[str] = Field(default_factory=list)
    """Candidates that were begun, and of whose training nothing is left to go on from."""
    compared: float = 0.0
    """Seconds that the comparison of the chosen one took."""
    ended: str = ""
    """Why it ended, in words."""
    effort: Effort | None = None
    """With which it ended; None while it has not."""
    winner: str = ""

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self.prepared + sum(step.seconds for step in self.steps) + self.compared

    @property
    def failed(self) -> set[str]:
        """Candidates that failed."""
        return {step.candidate for step in self.steps if step.failed}

    @property
    def over(self) -> set[str]:
        """Candidates whose training has ended well."""
        return {step.candidate for step in self.steps if step.over} - self.failed

    def reached(self, name: str) -> int:
        """The epoch that a candidate's training would go on from."""
        own = [step.epochs for step in self.steps if step.candidate == name and not step.failed]
        return 0 if name in self.closed else max(own, default=0)

    def has_ended(self, effort: Effort) -> bool:
        """Whether it ended with as much effort as this, or with more."""
        if self.effort is None:
            return False
        pairs = (effort.budget, self.effort.budget), (effort.trials, self.effort.trials)
        return all(before is None or (asked is not None and asked <= before) for asked, before in pairs)

    def write(self, folder: Path) -> Path:
        """Writes the record; gives its file."""
        path = path_of(folder, self.identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, self.model_dump(mode="json"))
        return path


def path_of(folder: Path, identity: str) -> Path:
    """Where the record of a search lies."""
    return folder / FILE.format(identity[:8])


def identity_of(request: Request) -> str:
    """Hash of everything that a search depends on, but for its time and the number of its trials."""
    about = ("teacher", "members", "seed", "meta_data", "predictor", "vectors", "description")
    tables = (request.fine_tuning, request.limits, request.pipeline.training)
    rounding = request.options.precision, request.options.int8_teacher, request.effort.pareto
    named = [getattr(request, name) for name in about]
    students = sorted(request.students)
    return hash_of(request.task.fingerprint, students, *named, *(each.model_dump_json() for each in tables), *rounding)


def found(folder: Path, identity: str) -> SearchRecord | None:
    """The record of a search in a folder; None where there is none.

    Raises:
        InputError: What is there is no record of it.
    """
    path = path_of(folder, identity)
    if not os.path.lexists(path):
        return None
    text = read_text(path)
    try:
        record = SearchRecord.model_validate(unsealed(json.loads(text)))
        if record.identity != identity:
            raise ValueError("it is that of another search")
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # of JSON, or any part
        what, reason = "not the record of this search", str(error).partition("\n")[0]
        raise InputError.of(str(path), what, reason, (), ANEW) from error
    return record


def score_after(result: RunResult, epochs: int) -> float | None:
    """The student's best score within so many epochs, on the rows that select: a run may be further already."""
    scores = [entry["scores"][result.metric] for entry in result.history[:epochs]]
    return max(scores) if scores else result.selection_score
