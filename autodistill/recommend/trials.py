"""`run --budget`: trains candidates in pieces, the next one where the time is worth most, and the best one to its end.

Decided here: what the time is. It begins with the command, so the teacher's fine-tuning is part of it, and what is left
of the chosen student's training, and of the comparison with the student alone, must still fit; no piece begins that
would leave too little for them. A search also ends when the best of all candidates is expected to lie above the chosen
one by a fraction of what chance moves a score on the validation set by, since nobody could then tell them apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.history.table import flat
from autodistill.ranking.past import as_words
from autodistill.recommend.race import close, distilled, folder_name, record_run
from autodistill.recommend.recommend import rank, space_of
from autodistill.recommend.request import Request, check_places
from autodistill.recommend.search_record import Contender, Known, SearchRecord, Trained, found, identity_of
from autodistill.search.beliefs import Beliefs, Prior, shipped_prior
from autodistill.search.improving import improving
from autodistill.search.policies import Piece, Seen, Space, Step, steps
from engine.base.errors import DiskError, InputError, RunError
from engine.base.progress import Reporter, SilentReporter
from engine.run.result import RunResult

IN_95 = 3.92
"""Standard errors that a 95 % interval is wide."""
WORTH = 0.25
"""Of the standard error of a score: what is expected beyond the chosen candidate, and is still worth a search."""


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Args:
        tried: Candidates that were begun, the best first, with their pieces.
        result: Of the chosen one, whose training has ended.
    """

    record: SearchRecord
    tried: list[tuple[Contender, list[Trained]]]
    result: RunResult
    folder: Path
    front: list[tuple[Contender, RunResult]]
    """What was chosen, the best first: of several students each that no faster one is as good as, where that was
    asked for; else the one."""


def search(request: Request, reporter: Reporter) -> Searched:
    """Searches among all pipelines within a request's limits, as long as its `effort` says; or goes on doing so.

    Args:
        request: With its task, teacher, students and the folder `out`, in which each run has one.

    Raises:
        InputError: A model cannot be used, nothing is within the limits, or the folder cannot be written to.
        RunError: Every run failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # whose clocks would decide differently
        raise InputError.of("--budget", "a search runs in one process", f"{os.environ['WORLD_SIZE']} processes")
    check_places(request)
    assert request.out is not None
    record = found(request.out, identity_of(request)) or _begun(request, reporter)
    return _Search(request, record, reporter).carried_out()


def _begun(request: Request, reporter: Reporter) -> SearchRecord:
    """The record of a search that begins: what is known of each candidate."""
    started, prior = time.monotonic(), shipped_prior()
    candidates, _, costs, _, fitted = rank(request, reporter)
    worth = fitted.trust(len(request.students)).agreement or 0.0
    expected = max(worth, 0.0) * candidates.standing.to_numpy(dtype=float) * prior.spread
    contenders = map(_contender, candidates.student, candidates.pipeline)
    latency = candidates.student.map({name: each.latency_ms for name, each in costs.items()})
    known = zip(candidates.predicted_seconds, expected, latency, strict=True)
    record = SearchRecord(
        identity=identity_of(request),
        task=request.task.name,
        metric=request.task.metric,
        teacher=request.teacher,
        candidates={
            each.name: Known(seconds=seconds, expected=mean, latency_ms=ms)
            for each, (seconds, mean, ms) in zip(contenders, known, strict=True)
        },
        prepared=time.monotonic() - started,
    )
    assert request.out is not None
    record.write(request.out)
    return record


def _contender(student: str, pipeline: object) -> Contender:
    return Contender(student, pipeline.model_dump(mode="json"), pipeline.key)  # type: ignore[attr-defined]


@dataclass
class _Search:
    """A search under way."""

    request: Request
    record: SearchRecord
    reporter: Reporter
    prior: Prior = field(default_factory=shipped_prior)
    _made: Trained | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        space = [_contender(student, each) for student, parts in space_of(self.request).items() for each in parts]
        self.contenders = {each.name: each for each in space if each.name in self.record.candidates}
        self.quiet = SilentReporter()
        self.beliefs = Beliefs(self.prior, self._words(), self._known("expected"))
        epochs = {name: int(each.pipeline["training"]["epochs"]) for name, each in self.contenders.items()}
        seconds = dict(zip(self.contenders, self._known("seconds"), strict=True))
        self.space = Space(self._words(), epochs, seconds)

    def _words(self) -> pd.DataFrame:
        rows = [{"student": each.student, **flat(each.pipeline)} for each in self.contenders.values()]
        return as_words(pd.DataFrame(rows, index=[*self.contenders]))

    def _known(self, what: str) -> np.ndarray:
        return np.array([getattr(self.record.candidates[name], what) for name in self.contenders])

    def carried_out(self) -> Searched:
        """From where it stands to its end."""
        if self.record.steps:
            self.reporter.message(f"The search goes on: {len(self.record.steps)} pieces of training were made before.")
        self.reporter.message(f"{len(self.contenders):,} pipelines; {self._until()}")
        self._try()
        chosen = self._finish()
        name = chosen[0]
        contender, folder = self.contenders[name], self._folder(name)
        self.reporter.message(f"chosen: {contender.words}; it is compared with the student alone and a Bi-LSTM")
        asked = self.request.model_copy(update={"student_alone": True})
        result = distilled(asked, contender.student, contender.pipeline, folder, self.quiet)
        record_run(self.request, result, folder, self.reporter)
        for other in {step.candidate for step in self.record.steps} - {*chosen}:
            self._close(other)
        self._keep(winner=name)
        ended = ((self.contenders[each], RunResult.read(self._folder(each))) for each in chosen)
        front = [(contender, each) for contender, each in ended if each is not None]
        return Searched(self.record, [*self._tried()], result, folder, front)

    def _until(self) -> str:
        """When it ends, in words."""
        effort, parts = self.request.effort, []
        if effort.budget is not None:
            left = effort.budget - self.record.spent
            parts.append(f"{left / 60:.1f} of {effort.budget / 60:.1f} minutes are left")
        if effort.trials is not None:
            parts.append(f"at most {effort.trials:,} are tried")
        return ", ".join(parts)

    def _try(self) -> None:
        """Trains pieces until the search is over; those of the record are not made again."""
        dice = np.random.default_rng(self.request.seed)
        groups = [each.student for each in self.contenders.values()] if self.request.effort.pareto else []
        policy = improving(self.beliefs, self.space, dice, trials=self.request.effort.trials, groups=groups)
        recalled = {(step.candidate, step.epochs) for step in self.record.steps if not step.closing}
        for number, step in enumerate(steps(policy, self._trial), start=1):
            piece = step.following
            if self._made is not None:
                gain = None if piece is None else piece.gain
                made = self._made.model_copy(update={"choice": step.choice, "gain": gain})
                self._keep(steps=[*self.record.steps, made])
                self._say(number, step, made)
            for name in piece.given_up if piece else ():
                self._close(name)
            recalled.discard((step.piece.candidate, step.piece.epochs))
            if not recalled and (why := self._over(step)):
                self._keep(ended=why)
                self.reporter.message(f"The search is over: {why}.")
                return

    def _trial(self, piece: Piece) -> Seen:
        """Trains a piece, or recalls it."""
        mine = [step for step in self.record.steps if step.candidate == piece.candidate and not step.closing]
        before = [step for step in mine if step.epochs <= piece.epochs]
        self._made = None
        if before and before[-1].epochs == piece.epochs:
            return Seen(before[-1].score, sum(each.seconds for each in before), piece.epochs, before[-1].over)
        self._made = self._trained(piece.candidate, piece.epochs)
        seconds = self._made.seconds + sum(each.seconds for each in before)
        return Seen(self._made.score, seconds, piece.epochs, self._made.over)

    def _trained(self, name: str, until: int | None) -> Trained:
        """Trains a candidate until an epoch, or to its end."""
        contender, folder, started = self.contenders[name], self._folder(name), time.monotonic()
        pause = None if until == self.space.epochs[name] else until
        try:
            result = distilled(self.request, contender.student, contender.pipeline, folder, self.quiet, pause)
            failed = ""
        except DiskError:
            raise
        except RunError as error:
            there = RunResult.read(folder)
            if there is None or there.status != "failed":
                raise
            result, failed = there, str(error)
        if result.status != "pruned":
            record_run(self.request, result, folder, self.reporter)
        score, over = result.selection_score, result.status != "pruned"
        if failed or score is None:
            self.reporter.message(f"{contender.words} failed: {failed}")
            score = min((step.score for step in self.record.steps), default=0.0)
        bounds = result.interval("student", result.metric, result.selected_on)
        return Trained(
            candidate=name,
            epochs=until or self.space.epochs[name],
            score=score,
            error=None if bounds is None else (bounds[1] - bounds[0]) / IN_95,
            seconds=time.monotonic() - started,
            over=over,
            failed=failed,
            choice="",
        )

    def _over(self, step: Step) -> str:
        """Why the search is over, in words; empty where it goes on."""
        piece, effort = step.following, self.request.effort
        if piece is None:
            return "every pipeline that may be tried has been trained as far as it is worth"
        last = {each.candidate: each for each in self.record.steps}
        error = last[step.choice].error
        if error is not None and piece.gain < WORTH * error:
            much = f"the best of all pipelines is expected to be {piece.gain:.4f} above the chosen one"
            return f"{much}, far less than the standard error of a score on the rows that select ({error:.4f})"
        if effort.budget is not None and self.record.spent + self._needed(piece, step.choice) > effort.budget:
            return "the time that is left is needed to train the chosen student to its end and to compare it"
        return ""

    def _needed(self, piece: Piece, choice: str) -> float:
        """Seconds of a piece, and of what has to follow it, as fast as the pieces so far."""
        planned = sum(map(self._planned, self.record.steps))
        pace = sum(step.seconds for step in self.record.steps) / planned if planned else 1.0
        left = self._planned_until(piece.candidate, piece.epochs)
        ends = {choice, *self._chosen()} if self.request.effort.pareto else {choice}
        left += sum(self._planned_until(name, self.space.epochs[name]) for name in ends)
        return pace * (left + min(self.space.seconds.values()))  # the student alone is among the fastest trainings

    def _planned(self, step: Trained) -> float:
        """Predicted seconds of a piece that was made."""
        mine = [each.epochs for each in self.record.steps if each.candidate == step.candidate]
        before = max((epochs for epochs in mine if epochs < step.epochs), default=0)
        return self.space.seconds[step.candidate] * (step.epochs - before) / self.space.epochs[step.candidate]

    def _planned_until(self, name: str, epochs: int) -> float:
        """Predicted seconds of a candidate from where it is."""
        reached = max((step.epochs for step in self.record.steps if step.candidate == name), default=0)
        done = any(step.over for step in self.record.steps if step.candidate == name)
        return 0.0 if done else self.space.seconds[name] * max(epochs - reached, 0) / self.space.epochs[name]

    def _finish(self) -> list[str]:
        """Trains what is chosen to its end, and where another one is then thought to be better, that one; the best
        first."""
        while True:
            chosen = self._chosen()
            if not chosen:
                raise RunError(f"every run failed; the first one: {self.record.steps[0].failed}")
            over = {step.candidate for step in self.record.steps if step.over}
            if not (left := [name for name in chosen if name not in over]):
                return chosen
            self.reporter.message(f"{self._words_of(left[0])}: to its end")
            made = self._trained(left[0], None).model_copy(update={"choice": chosen[0], "closing": True})
            self._keep(steps=[*self.record.steps, made])
            self.beliefs.see(self.beliefs.names.index(left[0]), 1.0, made.score)

    def _chosen(self) -> list[str]:
        """The candidate that is thought to be best; of several students, where that is asked for, the best of each that
        no faster one is as good as; the best first, none where all failed."""
        failed = {step.candidate for step in self.record.steps if step.failed}
        tried = sorted({step.candidate for step in self.record.steps} - failed)
        means = dict(zip(self.beliefs.names, self.beliefs.now().mean, strict=True))
        order = sorted(tried, key=lambda name: -means[name])
        if not self.request.effort.pareto:
            return order[:1]
        front: list[str] = []
        for name in order:
            faster = (
                self.record.candidates[name].latency_ms < self.record.candidates[each].latency_ms for each in front
            )
            if all(faster):
                front.append(name)
        return front

    def _tried(self) -> Iterator[tuple[Contender, list[Trained]]]:
        """Candidates that were begun, by what is thought of them, the best first."""
        means, names = self.beliefs.now().mean, self.beliefs.names
        tried = dict.fromkeys(step.candidate for step in self.record.steps)
        for name in sorted(tried, key=lambda each: (each != self.record.winner, -means[names.index(each)])):
            yield self.contenders[name], [step for step in self.record.steps if step.candidate == name]

    def _say(self, number: int, step: Step, made: Trained) -> None:
        """One line about a piece of training."""
        best = max(each.score for each in self.record.steps)
        epochs = f"epoch {made.epochs} of {self.space.epochs[step.piece.candidate]}"
        score = f"{self.record.metric} {made.score:.4f} (best so far {best:.4f}{self._time_left()})"
        self.reporter.message(f"{number}: {self._words_of(step.piece.candidate)}; {epochs}: {score}")

    def _words_of(self, name: str) -> str:
        contender = self.contenders[name]
        return f"student {contender.student}, {contender.words}" if len(self.request.students) > 1 else contender.words

    def _time_left(self) -> str:
        budget = self.request.effort.budget
        return "" if budget is None else f", {max(budget - self.record.spent, 0.0) / 60:.1f} min left"

    def _keep(self, **changes: object) -> None:
        assert self.request.out is not None
        self.record = self.record.model_copy(update=changes)
        if int(os.environ.get("RANK", "0")) == 0:
            self.record.write(self.request.out)

    def _folder(self, name: str) -> Path:
        assert self.request.out is not None
        return self.request.out / folder_name(self.request, self.contenders[name])

    def _close(self, name: str) -> None:
        """Records a run that will not go on, and removes its checkpoint; nothing where it has ended."""
        folder = self._folder(name)
        result = RunResult.read(folder)
        if result is not None and result.status == "pruned":
            close(self.request, result, folder, self.quiet)
