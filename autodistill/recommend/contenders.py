"""The candidates of a search: which they are, what is known of each before it is tried, and which the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autodistill.recommend.recommend import rank, space_of
from autodistill.recommend.record import in_words
from autodistill.recommend.request import Request
from autodistill.recommend.search_record import Known, SearchRecord, identity_of
from autodistill.search.beliefs import shipped_prior
from engine.base.errors import InputError
from engine.base.files import hash_of
from engine.base.progress import Reporter
from engine.pipeline.pipeline import Pipeline

MOST_OF_THE_TIME = 1 / 3
"""Of what is left when the search begins, that one whole training may take."""


@dataclass(frozen=True)
class Contender:
    """A candidate of a search: what may be run, and its name there."""

    student: str
    pipeline: Mapping[str, Any]
    key: str
    """Of the pipeline."""

    @property
    def name(self) -> str:
        """Short, and its own."""
        return hash_of(self.student, self.key)[:12]

    @property
    def words(self) -> str:
        """The pipeline in a few words."""
        return in_words(self.pipeline)


def contender_of(student: str, pipeline: Pipeline) -> Contender:
    """A student and a pipeline as a candidate."""
    return Contender(student, pipeline.model_dump(mode="json"), pipeline.key)


def contenders_of(request: Request) -> dict[str, Contender]:
    """Name → candidate, all of the space."""
    space = space_of(request).items()
    every = (contender_of(student, each) for student, parts in space for each in parts)
    return {each.name: each for each in every}


def begun(request: Request, reporter: Reporter) -> SearchRecord:
    """The record of a search that begins: what is known of each candidate."""
    started, prior = time.monotonic(), shipped_prior()
    candidates, _, costs, _, fitted = rank(request, reporter)
    first = next(iter(costs.values()))
    for warning in first.teacher_warnings:
        reporter.message(f"warning: {warning}")
    worth = max(fitted.trust(len(request.students)).agreement or 0.0, 0.0)
    standings = candidates.standing.to_numpy(dtype=float)
    expected = worth * prior.spread * (standings - standings.mean()) / (standings.std() or 1.0)
    known = {}
    for mean, student, pipeline in zip(expected, candidates.student, candidates.pipeline, strict=True):
        cost = costs[student]
        known[contender_of(student, pipeline).name] = Known(
            seconds=cost.training_seconds(pipeline),
            before=cost.own_seconds(pipeline),
            expected=mean,
            latency_ms=cost.latency_ms,
        )
    record = SearchRecord(
        identity=identity_of(request),
        task=request.task.name,
        metric=request.task.metric,
        teacher=request.teacher,
        error=first.teacher_error,
        prior=prior,
        candidates=known,
        prepared=time.monotonic() - started,
    )
    assert request.out is not None
    record.write(request.out)
    return record


def within_the_time(record: SearchRecord, budget: float | None) -> list[str]:
    """Candidates whose whole training takes a part of the time at most, so that others can be tried, too; where
    there is none, those whose training fits.

    Raises:
        InputError: None does.
    """
    known = record.candidates
    if budget is None:
        return [*known]
    tried = {step.candidate for step in record.steps}
    needed = {name: each.before + each.seconds for name, each in known.items()}
    left, least = budget - record.prepared, min(needed.values())
    # not by what was tried: a search that was stopped would go on with that alone
    most = next((most for most in (MOST_OF_THE_TIME * left, left) if least <= most), -math.inf)
    if names := [name for name in known if needed[name] <= most or name in tried]:
        return names
    hint = "What was made ready is kept, and the same command with more time goes on from there."
    what = f"too little time for a single training: preparing took {record.prepared / 60:.1f} minutes"
    enough = f"at least {(record.prepared + least) / 60:.1f} minutes"
    raise InputError.of("--budget", what, f"{budget / 60:.1f} minutes", (enough,), hint)
