"""Runs picks beside each other and stops the hopeless ones early.

The rule is successive halving (Jamieson and Talwalkar 2016): all picks train side by side; after an
eighth, a quarter and a half of their epochs the better half goes on, the others stop. Each keeps the
schedule of its whole training, so the winner is the student that it would have become alone. Every run can
be interrupted at any moment and goes on where it stopped; a race that is started again repeats nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autodistill.recommend.record import Pick, Recommendation, in_words
from engine.base.errors import RunError
from engine.base.files import hash_of
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.task import Task
from engine.run.folder import RunFolder
from engine.run.result import RunResult

RUNGS = 3
"""Times at which half of the picks may be stopped, the last one after half of the epochs."""


@dataclass(frozen=True)
class Outcome:
    """What became of a pick.

    Args:
        folder: Of its run.
    """

    pick: Pick
    result: RunResult
    folder: Path

    @property
    def score(self) -> float:
        """Of the student, its best so far; a failed run's is below all others."""
        failed = self.result.status == "failed" or self.result.student_score is None
        return -math.inf if failed else float(self.result.student_score or 0.0)

    @property
    def seconds(self) -> float:
        """Taken by what was predicted: the teachers' signals, a search, and the student's training."""
        stages = self.result.stage_seconds
        return sum(stages.get(stage, 0.0) for stage in ("signals", "search", "student"))


@dataclass(frozen=True)
class Race:
    """What all runs of a race have in common.

    Args:
        out: Folder in which each run has one.
        record: Called with the result of each run that is over, and its folder.
    """

    task: Task
    recommendation: Recommendation
    out: Path
    seed: int
    student_alone: bool
    fine_tuning: FineTuning
    options: RunOptions
    reporter: Reporter
    record: Callable[[RunResult, Path], object]


def run_picks(race: Race, picks: Sequence[Pick]) -> list[Outcome]:
    """Runs picks, stopping the worse ones early; the best comes first.

    Raises:
        InputError: A run cannot be made.
        RunError: A run failed, and no other is left.
    """
    for note in race.task.notes:
        race.reporter.message(note)
    race = replace(race, task=replace(race.task, notes=()))  # said once, not with every run
    running = {pick.rank: pick for pick in picks}
    outcomes: dict[int, Outcome] = {}
    stops = rungs(min(pick.pipeline["training"]["epochs"] for pick in picks), len(picks))
    if stops:
        race.reporter.message(rule(stops, len(picks)))
    for epoch in [*stops, None]:
        for rank, pick in running.items():
            if len(picks) > 1:
                aim = "to its end" if epoch is None else f"to epoch {epoch}"
                race.reporter.message(f"pick {rank}: {in_words(pick.pipeline)}, {aim}")
            outcomes[rank] = _run(race, pick, epoch)
        if epoch is not None:
            running = _better_half(race, running, outcomes)
    order = sorted(outcomes.values(), key=lambda outcome: (outcome.result.status != "ok", -outcome.score))
    if order[0].result.status != "ok":
        raise RunError(f"every pick failed; the first one: {outcomes[picks[0].rank].result.reason}")
    return order


def rungs(epochs: int, count: int) -> list[int]:
    """Epochs after which half of the picks are stopped.

    Example:
        >>> rungs(20, 5), rungs(6, 5), rungs(20, 2), rungs(20, 1)
        ([3, 5, 10], [1, 2, 3], [10], [])
    """
    halvings = min(RUNGS, math.ceil(math.log2(count)))
    return sorted({math.ceil(epochs / 2**halving) for halving in range(1, halvings + 1)} - {epochs})


def rule(stops: Sequence[int], count: int) -> str:
    """What will be stopped when, in a sentence.

    Example:
        >>> rule([3, 5], 4)
        '4 picks side by side; after epoch 3 the best 2 go on, after epoch 5 the best 1'
    """
    parts: list[str] = []
    left = count
    for stop in stops:
        left = math.ceil(left / 2)
        parts.append(f"after epoch {stop} the best {left}{'' if parts else ' go on'}")
    return f"{count} picks side by side; {', '.join(parts)}"


def _run(race: Race, pick: Pick, until_epoch: int | None) -> Outcome:
    """One pick, as far as `until_epoch`."""
    from engine.distillation import distill  # loads torch

    folder = race.out / folder_name(race, pick)
    try:
        result = distill(
            race.task,
            teacher=race.recommendation.teacher,
            student=pick.student,
            pipeline=pick.pipeline,
            out=folder,
            seed=race.seed,
            student_alone=race.student_alone,
            until_epoch=until_epoch,
            fine_tuning=race.fine_tuning,
            options=race.options,
            reporter=race.reporter,
        )
    except RunError as error:
        failed = RunResult.read(folder)
        if failed is None or failed.status != "failed":
            raise
        race.reporter.message(f"pick {pick.rank} failed: {error}")
        result = failed
    if result.status != "pruned":
        race.record(result, folder)
    return Outcome(pick, result, folder)


def folder_name(race: Race, pick: Pick) -> str:
    """The same for the same pick, whatever else was asked for."""
    identity = (
        pick.key,
        race.recommendation.teacher,
        pick.student,
        race.seed,
        race.fine_tuning,
        race.task.fingerprint,
    )
    return f"{pick.pipeline['intermediate']['kind']}-{hash_of(*identity)[:8]}"


def _better_half(race: Race, running: dict[int, Pick], outcomes: dict[int, Outcome]) -> dict[int, Pick]:
    """The picks that go on; the others are closed."""
    order = sorted(running, key=lambda rank: (-outcomes[rank].score, rank))
    kept = math.ceil(len(order) / 2)
    for rank in order[kept:]:
        _close(race, outcomes[rank])
    return {rank: running[rank] for rank in sorted(order[:kept]) if outcomes[rank].result.status != "failed"}


def _close(race: Race, outcome: Outcome) -> None:
    """Records a run that was stopped, and removes what it would have gone on from."""
    result = outcome.result
    if result.status != "pruned":
        return
    reached = f"{result.metric} {outcome.score:.4f} after epoch {len(result.history)}"
    race.reporter.message(f"pick {outcome.pick.rank} is stopped: {reached}")
    race.record(result, outcome.folder)
    if int(os.environ.get("RANK", "0")) == 0:
        folder = RunFolder(outcome.folder, result.identity)
        with folder.locked():
            folder.close(result)
