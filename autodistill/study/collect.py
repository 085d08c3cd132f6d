"""Collects the runs of a study: what is not in the store yet is made, and is there as soon as it is over.

Decided here: the driver alone writes the store, and it claims a run before it is begun (`ledger`). The first run of a
group makes what all of them share, so the others wait for it while other groups begin. A driver that is stopped at any
moment leaves runs that go on where they were.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from autodistill.history.store import Store
from autodistill.study.design import Cell, Job, jobs_of, task_of
from autodistill.study.executors import Place
from autodistill.study.ledger import Ledger
from autodistill.study.spec import Study
from autodistill.study.work import Outcome, carry_out
from engine.base.errors import InputError, counted
from engine.base.options import RunOptions
from engine.base.progress import Reporter
from engine.pipeline.pipeline import Pipeline
from engine.run.result import RunResult

BEAT = 10.0
"""Seconds after which a driver says that it is still there, and looks at what others have done."""
KILLED = "its process was killed twice, perhaps for want of memory"


@dataclass
class Planned:
    """What a study consists of, on this machine."""

    cells: list[Cell]
    jobs: list[Job]
    refused: dict[str, int] = field(default_factory=dict)
    """Why a pipeline does not suit a cell → how often."""
    left_out: list[str] = field(default_factory=list)
    """Datasets, or students of theirs, that cannot be used, and why."""


def plan_study(study: Study, precision: str) -> Planned:
    """All runs of a study. Datasets are read, models are looked at, nothing is trained.

    Args:
        precision: `Machine.rounding` of the workers.

    Raises:
        InputError: No dataset can be used.
    """
    planned, cells = Planned([], []), []
    for part in study.each_part:
        found, left_out = _cells(part, precision)
        cells.append((part, found))
        planned.cells += found
        planned.left_out += left_out
    planned.left_out = [*dict.fromkeys(planned.left_out)]  # once, not for each number of rows
    if not planned.cells:
        raise InputError.of("datasets", "none can be used", "; ".join(planned.left_out))

    def refused(_: Cell, __: Pipeline, why: str) -> None:
        planned.refused[why] = planned.refused.get(why, 0) + 1

    planned.jobs = jobs_of(cells, refused)
    return planned


def _cells(part: Study, precision: str) -> tuple[list[Cell], list[str]]:
    """The cells of a part of a study, and what of it cannot be used, and why."""
    from engine.run.plan import plan_run  # loads torch

    cells, left_out, seen = [], [], set()
    first = Pipeline(training=part.training)
    for rows, source in itertools.product(part.rows or (None,), part.datasets):
        try:
            task = task_of(source, rows, part.seed, part.test_rows)
        except InputError as error:
            left_out.append(f"{source.data}: {error}")
            continue
        if task.fingerprint in seen:
            continue  # it has not so many rows, and was there already
        seen.add(task.fingerprint)
        for teacher, student in itertools.product(part.teachers, part.students):
            try:
                plan = plan_run(task, first, teacher, student, fine_tuning=part.fine_tuning, precision=precision)
            except InputError as error:
                left_out.append(f"{source.data} with {teacher} and {student}: {error}")
            else:
                cells.append(Cell(source, rows, teacher, student, plan))
    return cells, left_out


class Queue:
    """The jobs that are still to be made, in their order, and who may go next."""

    def __init__(self, jobs: Iterable[Job]):
        self.waiting = [*jobs]
        self.running: dict[Future[Outcome], Job] = {}
        self.warm: set[tuple[str, int | None, int, str]] = set()
        self.killed: dict[str, int] = {}

    def next(self, ledger: Ledger) -> Job | None:
        """The next one, which is now claimed: of a group that has made nothing yet one at a time, and alone what was
        under way when a worker was killed."""
        if any(job.identity in self.killed for job in self.running.values()):
            return None
        begun = {job.group for job in self.running.values()} - self.warm
        for number, job in enumerate(self.waiting):
            alone = job.identity in self.killed
            if job.group not in begun and not (alone and self.running) and ledger.claim(job.identity):
                return self.waiting.pop(number)
        return None


def collect(
    study: Study,
    jobs: Iterable[Job],
    store: Store,
    options: RunOptions,
    place: Place,
    folder: Path,
    reporter: Reporter,
    known: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Makes all runs that are not in the store.

    Args:
        known: Runs that are over and stand elsewhere, with their status.
        folder: Of runs under way; what is over leaves nothing there.

    Returns:
        Identity → why a run could not be made.
    """
    ledger, ends = Ledger(store, study.name), time.monotonic() + 3600 * (study.hours or 1e9)
    jobs = [*jobs]
    over = {**known, **ledger.finished(job.identity for job in jobs)}
    over = {job.identity: over[job.identity] for job in jobs if job.identity in over}
    queue = Queue(job for job in jobs if job.identity not in over)
    queue.warm = {job.group for job in jobs if over.get(job.identity) == "ok"}
    unmade: dict[str, str] = {}
    if not queue.waiting:
        return unmade
    reporter.start("study", len(jobs), len(over), unit="runs")
    executor = place.make()
    try:
        heard = time.monotonic()
        while queue.running or (queue.waiting and time.monotonic() < ends):
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
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        ledger.release([job.identity for job in queue.running.values()])
    reporter.finish("study")
    return unmade


def _begin(queue: Queue, ledger: Ledger, executor: Executor, slots: int, what: tuple[Study, RunOptions, Path]) -> None:
    """Fills the slots."""
    while len(queue.running) < slots and (job := queue.next(ledger)):
        queue.running[executor.submit(carry_out, job, *what)] = job


def _idle(queue: Queue, ledger: Ledger, reporter: Reporter) -> set[Future[Outcome]]:
    """Waits for other drivers, at whose runs all that is left is."""
    if not _drop_finished(queue, ledger, reporter):
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
        ledger.give_up(job.identity, outcome.reason)
        unmade[job.identity] = outcome.reason
        reporter.message(f"{job.words}: {outcome.reason}")
        return
    result = RunResult.parse(outcome.record)
    ledger.store.add_run(result, folder / job.identity)
    ledger.release([job.identity])
    shutil.rmtree(folder / job.identity, ignore_errors=True)
    if result.status == "failed":
        reporter.message(f"{job.words}: failed, {result.reason}")
    reporter.advance("study", note=job.words)


def _again(queue: Queue, ledger: Ledger, reporter: Reporter, unmade: dict[str, str]) -> None:
    """After a worker was killed, which ends all of them: their runs go on, but for one that was there before, too."""
    running, queue.running = [*queue.running.values()], {}
    for job in running:
        queue.killed[job.identity] = queue.killed.get(job.identity, 0) + 1
        if queue.killed[job.identity] > 1:
            ledger.give_up(job.identity, KILLED)
            unmade[job.identity] = KILLED
            reporter.message(f"{job.words}: {KILLED}")
        else:
            ledger.release([job.identity])
            queue.waiting.insert(0, job)
    reporter.message(f"A worker was killed; {counted(len(running), 'run')} under way go on where they were.")
