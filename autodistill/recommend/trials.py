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
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from autodistill.history.table import flat
from autodistill.ranking.past import as_words
from autodistill.recommend.contenders import Contender, begun, contenders_of, within_the_time
from autodistill.recommend.pace import pace_of, planned
from autodistill.recommend.race import close, distilled, folder_name, record_of_failure, record_run
from autodistill.recommend.record import named
from autodistill.recommend.request import Request, check_places
from autodistill.recommend.search_record import ANEW, SearchRecord, Trained, found, identity_of, path_of, score_after
from autodistill.recommend.searched import Chosen, Searched
from autodistill.search.beliefs import Beliefs
from autodistill.search.improving import improving
from autodistill.search.policies import FAILED, Piece, Seen, Space, Step, steps
from engine.base.errors import InputError, RunError
from engine.base.progress import Reporter, SilentReporter
from engine.run.result import RunResult

FEW_TRAININGS = 4
"""A time in which fewer than these fit is too little for a search."""
WORTH = 0.25
"""Of the standard error of a score: what is expected beyond the chosen candidate, and is still worth a search."""


def search(request: Request, reporter: Reporter) -> Searched:
    """Searches among all pipelines within a request's limits, as long as its `effort` says; or goes on doing so.

    Args:
        request: With its task, teacher, students and the folder `out`, in which each run has one.

    Raises:
        InputError: A model cannot be used, nothing is within the limits or the time, or nothing can be written.
        RunError: Every run failed, or another process carries this search out.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # whose clocks would decide differently
        raise InputError.of("--budget", "a search runs in one process", f"{os.environ['WORLD_SIZE']} processes")
    check_places(request)
    assert request.out is not None
    path = path_of(request.out, identity_of(request))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f".{path.stem}.lock"), timeout=0):
            record = found(request.out, identity_of(request)) or begun(request, reporter)
            return _Search(request, record, reporter).carried_out()
    except Timeout as error:
        raise RunError(f"another process is working on this search: {path}") from error


@dataclass
class _Search:
    """A search under way."""

    request: Request
    record: SearchRecord
    reporter: Reporter
    quiet: Reporter = field(default_factory=SilentReporter)
    _made: Trained | None = field(default=None, init=False)
    _since: float = field(default=0.0, init=False)
    """When the last piece ended: the next one has begun with what was thought since."""

    def __post_init__(self) -> None:
        assert self.request.out is not None
        self.out, self._since = self.request.out, time.monotonic()
        known = {name: each for name, each in contenders_of(self.request).items() if name in self.record.candidates}
        if len(known) < len(self.record.candidates):
            what = "a search of another version, which knew other pipelines"
            raise InputError.of(str(path_of(self.out, self.record.identity)), what, "", (), ANEW)
        self.contenders = {name: known[name] for name in within_the_time(self.record, self.request.effort.budget)}
        words = as_words(
            pd.DataFrame([{"student": each.student, **flat(each.pipeline)} for each in self.contenders.values()])
        )
        words.index = pd.Index([*self.contenders])
        facts = {name: self.record.candidates[name] for name in self.contenders}
        self.beliefs = Beliefs(self.record.prior, words, np.array([each.expected for each in facts.values()]))
        self.space = Space(
            words,
            {name: int(each.pipeline["training"]["epochs"]) for name, each in self.contenders.items()},
            {name: each.seconds for name, each in facts.items()},
            {name: each.before for name, each in facts.items()},
        )

    def carried_out(self) -> Searched:
        """From where it stands to its end."""
        if self.record.has_ended(self.request.effort):
            self.reporter.message(f"This search is finished: its record is {path_of(self.out, self.record.identity)}.")
            self._recall()
            chosen = self._chosen(self.record.over)
        else:
            self._search()
            chosen = self._finish()
        name = self.record.winner or chosen[0]
        contender, folder = self.contenders[name], self._folder(name)
        asked = self.request.model_copy(update={"student_alone": True})
        started = time.monotonic()
        result = distilled(asked, contender.student, contender.pipeline, folder, self.quiet)
        record_run(self.request, result, folder, self.reporter)
        if not self.record.winner:
            compared = self.record.compared + time.monotonic() - started
            for other in {step.candidate for step in self.record.steps} - {*chosen}:
                self._close(other)
            self._keep(winner=name, compared=compared, effort=self.request.effort)
        ended = {each: RunResult.read(self._folder(each)) for each in chosen}
        front = [Chosen(self.contenders[each], known, self._folder(each)) for each, known in ended.items() if known]
        return Searched(self.record, [*self._tried()], result, folder, front)

    def _search(self) -> None:
        """Says what will be done, and tries candidates until the search is over."""
        effort, parts = self.request.effort, []
        if self.record.steps:
            self.reporter.message(f"The search goes on: {len(self.record.steps)} pieces of training were made before.")
        if effort.budget is not None:
            parts.append(f"{self._minutes_left():.1f} of {effort.budget / 60:.1f} minutes are left")
        if effort.trials is not None:
            parts.append(f"at most {effort.trials:,} are tried")
        least, most = (pick(self.space.seconds.values()) / 60 for pick in (min, max))
        takes = f"each takes {least:.1f} to {most:.1f} minutes to its end, as predicted"
        left_out = len(self.record.candidates) - len(self.contenders)
        longer = f" and {left_out:,} that would take too long for the time that is left" if left_out else ""
        self.reporter.message(f"{len(self.contenders):,} pipelines{longer}; {takes}; {', '.join(parts)}")
        if effort.budget is not None and self._minutes_left() < FEW_TRAININGS * least:
            self.reporter.message(
                "In so little time few can be tried: more of it, or fewer epochs, would let them compete."
            )
        self._keep(winner="", ended="", effort=None)
        self._try()

    def _try(self) -> None:
        """Trains pieces until the search is over; those of the record are not made again."""
        dice = np.random.default_rng(self.request.seed)
        groups = [each.student for each in self.contenders.values()] if self.request.effort.pareto else []
        policy = improving(self.beliefs, self.space, dice, trials=self.request.effort.trials, groups=groups)
        recalled = {(step.candidate, step.epochs) for step in self.record.steps if not step.closing}
        for number, step in enumerate(steps(policy, self._trial), start=1):
            piece = step.following
            recalled.discard((step.piece.candidate, step.piece.epochs))
            if self._made is not None:
                gain = None if piece is None or np.isinf(piece.gain) else piece.gain
                made = self._made.model_copy(update={"choice": step.choice, "gain": gain})
                self._keep(steps=[*self.record.steps, made])
                self._say(number, made)
                recalled.clear()  # it goes another way than before, as with more time
            for name in piece.given_up if piece else ():
                self._close(name)
            if not recalled and (why := self._over(step)):
                self._keep(ended=why)
                self.reporter.message(f"The search is over: {why}.")
                return

    def _trial(self, piece: Piece) -> Seen:
        """Trains a piece, or recalls it."""
        self._made = None
        before = [step for step in self.record.steps if step.candidate == piece.candidate]
        same = next((step for step in before if step.epochs == piece.epochs or step.failed), None)
        if same is None:
            self._made = same = self._trained(piece.candidate, piece.epochs)
        seconds = sum(step.seconds for step in {*before, same} if step.epochs <= piece.epochs)
        return Seen(FAILED if same.score is None else same.score, seconds, same.epochs, same.over)

    def _trained(self, name: str, until: int | None) -> Trained:
        """Trains a candidate until an epoch, or to its end."""
        contender, folder = self.contenders[name], self._folder(name)
        whole, before, result, failed = self.space.epochs[name], RunResult.read(folder), None, ""
        pause = None if until == whole else until
        try:
            result = distilled(self.request, contender.student, contender.pipeline, folder, self.quiet, pause)
        except RunError as error:
            record_of_failure(error, folder, before)
            failed = str(error)
        if failed:
            self.reporter.message(f"{self._words_of(name)} failed: {failed}")
        elif result is not None and result.status == "ok":
            record_run(self.request, result, folder, self.reporter)
        now = time.monotonic()
        seconds, self._since, epochs = now - self._since, now, until or whole
        over = result is None or (result.status == "ok" and len(result.history) <= epochs)
        return Trained(
            candidate=name,
            epochs=epochs,
            score=None if result is None else score_after(result, epochs),
            seconds=seconds,
            over=over,
            failed=failed,
            choice="",
        )

    def _over(self, step: Step) -> str:
        """Why the search is over, in words; empty where it goes on."""
        piece, effort, error = step.following, self.request.effort, self.record.error
        if piece is None:
            return "every pipeline that may be tried has been trained as far as it is worth"
        if error is not None and piece.gain < WORTH * error:
            much = f"the best of all pipelines is expected to be {piece.gain:.4f} above the chosen one"
            return f"{much}, far less than the standard error of a score on the rows that select ({error:.4f})"
        if effort.budget is not None and self.record.spent + self._needed(piece) > effort.budget:
            return "the time that is left is needed to train the chosen student to its end and to compare it"
        return ""

    def _needed(self, piece: Piece) -> float:
        """Seconds of a piece, and of what has to follow it: whether its candidate will then be the choice, or what is
        the choice now."""
        (pace, beside), name = pace_of(self.record, self.space.epochs), piece.candidate
        own = planned(self.record, name, piece.epochs, self.space.epochs[name])
        chosen = [each for each in self._chosen() if each != name]
        ends = [self._left(each) for each in chosen]
        if self.request.effort.pareto:
            rest = sum(ends) + self._left(name) - own
        else:
            rest = max([*ends, self._left(name) - own])
        return pace * (own + rest + self._alone({name, *chosen})) + beside * (len(ends) + 3)

    def _alone(self, names: set[str]) -> float:
        """Predicted seconds of a student without a teacher, of the slowest of these: as its fastest training."""
        students = {self.contenders[name].student for name in names}
        alike = ((each.student, self.space.seconds[name]) for name, each in self.contenders.items())
        own = sorted(pair for pair in alike if pair[0] in students)
        return max(min(seconds for _, seconds in pairs) for _, pairs in groupby(own, key=lambda pair: pair[0]))

    def _left(self, name: str) -> float:
        """Predicted seconds of a candidate from where it is to its end."""
        return planned(self.record, name, self.space.epochs[name], self.space.epochs[name])

    def _finish(self) -> list[str]:
        """Trains what is chosen to its end, and where another one is then thought to be better, that one as well, if
        there is time; the best first."""
        self._recall()
        while True:
            chosen = self._chosen()
            if not chosen:
                raise RunError(f"every run failed; the first one: {self.record.steps[0].failed}")
            left = [name for name in chosen if name not in self.record.over]
            if not left:
                return chosen
            if self.record.over and not self._fits(left[0]):
                return self._chosen(self.record.over)
            self.reporter.message(f"{self._words_of(left[0])}: to its end")
            made = self._trained(left[0], None).model_copy(update={"choice": chosen[0], "closing": True})
            self._keep(steps=[*self.record.steps, made])
            self._see(made)

    def _fits(self, name: str) -> bool:
        """Whether there is time to train a candidate to its end."""
        if self.request.effort.budget is None:
            return True
        pace, beside = pace_of(self.record, self.space.epochs)
        needed = pace * (self._left(name) + self._alone({name})) + 2 * beside
        return self.record.spent + needed <= self.request.effort.budget

    def _recall(self) -> None:
        """Believes what the record says."""
        for step in self.record.steps:
            self._see(step)

    def _see(self, step: Trained) -> None:
        if step.score is not None:
            share = 1.0 if step.over else step.epochs / self.space.epochs[step.candidate]
            self.beliefs.see(self.beliefs.names.index(step.candidate), share, step.score)

    def _chosen(self, among: set[str] | None = None) -> list[str]:
        """The candidate that is thought to be best; of several students, where that is asked for, the best of each that
        no faster one is as good as; the best first, none where all failed."""
        tried = {step.candidate for step in self.record.steps} - self.record.failed
        tried &= tried if among is None else among
        if not tried:
            return []
        means = dict(zip(self.beliefs.names, self.beliefs.now().mean, strict=True))
        order = sorted(tried, key=lambda name: (-means[name], name))
        if not self.request.effort.pareto:
            return order[:1]
        front: list[str] = []
        latency = {name: each.latency_ms for name, each in self.record.candidates.items()}
        for name in order:
            if all(latency[name] < latency[each] for each in front):
                front.append(name)
        return front

    def _tried(self) -> Iterator[tuple[Contender, list[Trained]]]:
        """Candidates that were begun, by what is thought of them, the best first, those that failed last."""
        means = dict(zip(self.beliefs.names, self.beliefs.now().mean, strict=True))
        tried, failed = dict.fromkeys(step.candidate for step in self.record.steps), self.record.failed
        for name in sorted(tried, key=lambda each: (each in failed, each != self.record.winner, -means[each])):
            yield self.contenders[name], [step for step in self.record.steps if step.candidate == name]

    def _say(self, number: int, made: Trained) -> None:
        """One line about a piece of training; of one that failed it was said why."""
        if made.score is None:
            return
        best = max(each.score for each in self.record.steps if each.score is not None)
        left = "" if self.request.effort.budget is None else f", {self._minutes_left():.1f} min left"
        epochs = f"epoch {made.epochs} of {self.space.epochs[made.candidate]}"
        score = f"{self.record.metric} {made.score:.4f} (best so far {best:.4f}{left})"
        self.reporter.message(f"{number}: {self._words_of(made.candidate)}; {epochs}: {score}")

    def _words_of(self, name: str) -> str:
        return named(self.contenders[name], self.request.students)

    def _minutes_left(self) -> float:
        return max((self.request.effort.budget or 0.0) - self.record.spent, 0.0) / 60

    def _keep(self, **changes: object) -> None:
        self.record = self.record.model_copy(update=changes)
        self.record.write(self.out)

    def _folder(self, name: str) -> Path:
        return self.out / folder_name(self.request, self.contenders[name])

    def _close(self, name: str) -> None:
        """Records a run that will not go on, and removes its checkpoint; nothing where it has ended."""
        folder = self._folder(name)
        result = RunResult.read(folder)
        if name not in self.record.closed and result is not None and result.status == "pruned":
            close(self.request, result, folder, self.quiet)
            self._keep(closed=[*self.record.closed, name])
