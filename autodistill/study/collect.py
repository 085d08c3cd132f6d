"""Collects the runs of a study: what is not in the store yet is made, and is there as soon as it is over.

Decided here: the driver alone writes the store, and it claims a run before it is begun (`ledger`). The first run of a
group makes what all of them share, so the others wait for it while other groups begin. A driver that is stopped at any
moment leaves runs that go on where they were. A search is one driver's at a time, from its first run to its end, for
what pauses goes on where its checkpoint lies; a driver begins another one when none of its own can go.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from types import MappingProxyType

from autodistill.history.store import Store
from autodistill.study.design import Group, Job
from autodistill.study.executors import Place
from autodistill.study.ledger import Ledger
from autodistill.study.searching import Searching
from autodistill.study.spec import Study
from autodistill.study.work import Outcome, carry_out
from engine.base.errors import counted
from engine.base.options import RunOptions
from engine.base.progress import Reporter
from engine.run.result import RunResult

BEAT = 10.0
"""Seconds after which a driver says that it is still there, and looks at what others have done."""
KILLED = "its process was killed twice, perhaps for want of memory"


class Queue:
    """The jobs that are still to be made, in their order, then those that searches ask for, and who may go next."""

    def __init__(self, jobs: Iterable[Job], searches: Iterable[Searching] = ()):
        self.waiting, self.searches = [*jobs], [*searches]
        self.told = 0
        """Trials of searches that were spent, as far as it was said."""
        self.running: dict[Future[Outcome], Job] = {}
        self.warm: set[Group] = set()
        self.killed: dict[str, int] = {}

    def next(self, ledger: Ledger) -> Job | None:
        """The next one, which is now claimed: of a group that has made nothing yet one at a time, and alone what was
        under way when a worker was killed."""
        if any(job.identity in self.killed for job in self.running.values()):
            return None
        for number, job in enumerate(self.waiting):
            if self._may_go(job) and ledger.claim(job.identity):
                return self.waiting.pop(number)
        asked = (self._asked(search, ledger) for search in sorted(self.searches, key=lambda each: not each.is_open))
        return next((job for job in asked if job is not None), None)

    def _may_go(self, job: Job) -> bool:
        """Beside what is running."""
        begun = {each.group for each in self.running.values()} - self.warm
        return job.group not in begun and not (job.identity in self.killed and self.running)

    def _asked(self, search: Searching, ledger: Ledger) -> Job | None:
        """The run that a search asks for, which is now claimed, as the search is."""
        if search.job is None or search in map(self.search_of, self.running.values()) or not self._may_go(search.job):
            return None
        search.is_open = search.is_open or ledger.claim(search.plan.key)
        if search.is_open:
            search.go_on()  # others may have made some of it
        job = search.job if search.is_open else None
        return job if job is not None and self._may_go(job) and ledger.claim(job.identity) else None

    def search_of(self, job: Job) -> Searching | None:
        """The search that asks for a run; None for one of the design."""
        return next((search for search in self.searches if search.job is job), None)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be begun."""
        return not self.waiting and all(search.job is None for search in self.searches)

    @property
    def trials(self) -> int:
        """That searches have spent."""
        return sum(search.done for search in self.searches)


def collect(
    study: Study,
    jobs: Iterable[Job],
    store: Store,
    options: RunOptions,
    place: Place,
    folder: Path,
    reporter: Reporter,
    known: Mapping[str, str] = MappingProxyType({}),
    searches: Iterable[Searching] = (),
) -> dict[str, str]:
    """Makes all runs that are not in the store.

    Args:
        known: Runs that are over and stand elsewhere, with their status.
        folder: Of runs under way; what is over leaves nothing there.
        searches: That ask for further runs.

    Returns:
        Identity → why a run could not be made.
    """
    ledger, ends = Ledger(store, study.name), time.monotonic() + 3600 * (study.hours or 1e9)
    jobs = [*jobs]
    there = {**known, **ledger.finished(job.identity for job in jobs)}
    over = {job.identity: there[job.identity] for job in jobs if job.identity in there}
    queue = Queue((job for job in jobs if job.identity not in over), searches)
    queue.warm = {job.group for job in jobs if over.get(job.identity) == "ok"} | _begun(queue.searches)
    unmade: dict[str, str] = {}
    if queue.is_over:
        _tidy(queue, ledger, folder)
        return unmade
    queue.told, trials = queue.trials, sum(search.plan.trials for search in queue.searches)
    reporter.start("study", len(jobs) + trials, len(over) + queue.told, unit="runs")
    executor = place.make()
    try:
        heard = time.monotonic()
        while queue.running or (not queue.is_over and time.monotonic() < ends):
            _begin(queue, ledger, executor, place.slots if time.monotonic() < ends else 0, (study, options, folder))
            done = wait(queue.running, BEAT, FIRST_COMPLETED).done if queue.running else _idle(queue, ledger, reporter)
            if time.monotonic() - heard > BEAT:
                ledger.say_here()
                _drop_finished(queue, ledger, reporter)
                heard = time.monotonic()
            broken = [future for future in done if isinstance(future.exception(), BrokenExecutor)]
            for future in set(done) - set(broken):
                _end(queue.running.pop(future), future.result(), queue, ledger, folder, reporter, unmade)
            if broken:
                executor.shutdown(wait=False, cancel_futures=True)
                executor = place.make()
                _again(queue, ledger, reporter, unmade)
            _close(queue, ledger, folder, reporter)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        own = [search.plan.key for search in queue.searches if search.is_open]
        ledger.release([*own, *(job.identity for job in queue.running.values())])
    reporter.finish("study")
    return unmade


def _begun(searches: Iterable[Searching]) -> set[Group]:
    """Brings searches to where the records end; the groups of those that were begun."""
    for search in searches:
        search.go_on()
    return {search.plan.group for search in searches if search.scores}


def _close(queue: Queue, ledger: Ledger, folder: Path, reporter: Reporter) -> None:
    """Says how far searches are, and gives back those of this driver that are over."""
    reporter.advance("study", queue.trials - queue.told)
    queue.told = queue.trials
    for search in queue.searches:
        if search.is_open and search.job is None:
            reporter.message(search.words)
            ledger.release([search.plan.key])
            search.is_open = False
            _tidy(queue, ledger, folder)


def _tidy(queue: Queue, ledger: Ledger, folder: Path) -> None:
    """Removes what runs that pause would go on from, where their search is over and nobody makes them."""
    for job in (job for search in queue.searches if search.job is None for job in search.paused):
        if (folder / job.identity).is_dir() and ledger.claim(job.identity):
            shutil.rmtree(folder / job.identity, ignore_errors=True)
            ledger.release([job.identity])


def _begin(queue: Queue, ledger: Ledger, executor: Executor, slots: int, what: tuple[Study, RunOptions, Path]) -> None:
    """Fills the slots."""
    while len(queue.running) < slots and (job := queue.next(ledger)):
        queue.running[executor.submit(carry_out, job, *what)] = job


def _idle(queue: Queue, ledger: Ledger, reporter: Reporter) -> set[Future[Outcome]]:
    """Waits for other drivers, at whose runs all that is left is."""
    if not _drop_finished(queue, ledger, reporter) and not queue.is_over:
        time.sleep(BEAT)
    return set()


def _drop_finished(queue: Queue, ledger: Ledger, reporter: Reporter) -> int:
    """Forgets the runs that other drivers have made; how many."""
    over = ledger.finished(job.identity for job in queue.waiting)
    queue.waiting = [job for job in queue.waiting if job.identity not in over]
    if over:
        reporter.advance("study", len(over), note="made by others")
    return len(over)


def _end(
    job: Job, outcome: Outcome, queue: Queue, ledger: Ledger, folder: Path, reporter: Reporter, unmade: dict[str, str]
) -> None:
    """Puts a run into the store, or says why there is none."""
    queue.warm.add(job.group)
    if outcome.reason:
        _give_up(job, outcome.reason, queue, ledger, reporter, unmade)
        return
    result = RunResult.parse(outcome.record)
    ledger.store.add_run(result, folder / job.identity)
    ledger.release([job.identity])
    if result.status != "pruned":
        shutil.rmtree(folder / job.identity, ignore_errors=True)
    if result.status == "failed":
        reporter.message(f"{job.words}: failed, {result.reason}")
    search = queue.search_of(job)
    reporter.advance("study", 0 if search else 1, note=job.words)
    if search:
        search.records.add(result)
        search.go_on()


def _give_up(job: Job, reason: str, queue: Queue, ledger: Ledger, reporter: Reporter, unmade: dict[str, str]) -> None:
    """Says why there is no run."""
    ledger.give_up(job.identity, reason)
    unmade[job.identity] = reason
    reporter.message(f"{job.words}: {reason}")
    if search := queue.search_of(job):
        search.records.failed.add(job.identity)
        search.go_on()


def _again(queue: Queue, ledger: Ledger, reporter: Reporter, unmade: dict[str, str]) -> None:
    """After a worker was killed, which ends all of them: their runs go on, but for one that was there before, too."""
    running, queue.running = [*queue.running.values()], {}
    for job in running:
        queue.killed[job.identity] = queue.killed.get(job.identity, 0) + 1
        if queue.killed[job.identity] > 1:
            _give_up(job, KILLED, queue, ledger, reporter, unmade)
            continue
        ledger.release([job.identity])
        if queue.search_of(job) is None:  # which asks again
            queue.waiting.insert(0, job)
    reporter.message(f"A worker was killed; {counted(len(running), 'run')} under way go on where they were.")
