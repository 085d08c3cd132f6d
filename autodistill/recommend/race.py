"""Runs picks of a recommendation, and stops the hopeless ones early.

The rule is successive halving (Jamieson and Talwalkar 2016): all picks train side by side; after an eighth, a
quarter and a half of their epochs the better half goes on, the others stop. Each keeps the schedule of its whole
training, so the winner is the student that it would have become alone. Every run can be interrupted at any
moment and goes on where it stopped; a race that is started again repeats nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodistill.history.store import Store
from autodistill.recommend.record import named
from autodistill.recommend.request import check_places
from engine.base.errors import InputError, OutOfMemory, RunError
from engine.base.files import hash_of
from engine.data.load import identified, load_task
from engine.data.task import Task
from engine.run.folder import RunFolder
from engine.run.result import Expected, RunResult, distillation_ratio

if TYPE_CHECKING:
    from autodistill.recommend.record import Entrant, Pick, Recommendation
    from autodistill.recommend.request import Request
    from engine.base.progress import Reporter


@dataclass(frozen=True)
class Outcome:
    """What became of a pick, and the folder of its run."""

    pick: Pick = field(repr=False)
    result: RunResult = field(repr=False)
    folder: Path

    def _repr_html_(self) -> str:
        """As a notebook shows it: as its result is."""
        return self.result._repr_html_()

    @property
    def score(self) -> float:
        """Of the student, its best so far on the set that selects; a failed run's is below all others."""
        score = self.result.selection_score
        return -math.inf if score is None or self.result.status == "failed" else score

    @property
    def ratio(self) -> float | None:
        """Student / teacher on the set that selects; None where it is undefined, or not known."""
        result = self.result
        teacher = result.scores.get("teacher", {}).get(result.selected_on or "", {}).get(result.metric)
        score = result.selection_score
        return None if score is None or teacher is None else distillation_ratio(score, teacher)

    @property
    def seconds(self) -> float:
        """Taken by what was predicted: the teachers' signals, a search, and the student's training."""
        stages = self.result.stage_seconds
        return sum(stages.get(stage, 0.0) for stage in ("signals", "search", "student"))


def record_run(request: Request, result: RunResult, folder: Path, reporter: Reporter) -> None:
    """Adds a run to the request's store, and draws the search for its team's distribution, where there was one."""
    try:
        Store(request.store).add_run(result, folder)
    except InputError as error:  # it could be written to when the run began
        reporter.message(f"The run is finished, but not in the store; the same command adds it. {error}")
    if (folder / "theta.csv").is_file():
        from autodistill.evaluation.figures import draw_team  # loads matplotlib

        draw_team(result, folder)


def distilled(
    request: Request,
    student: str,
    pipeline: Any,
    out: Path,
    reporter: Reporter,
    until_epoch: int | None = None,
    ratio: tuple[float, float] | None = None,
) -> RunResult:
    """`distill` with everything else as a request has it; compared with the Bi-LSTM where with anything."""
    from autodistill.datasets.bilstm import bilstm_measures  # these load torch
    from engine.distillation import distill

    Store(request.store).check_writing()  # what cannot be recorded is an error now, not after hours
    others = {"bilstm": bilstm_measures} if request.student_alone or ratio else {}
    names = ("teacher", "seed", "student_alone", "fine_tuning", "options")
    same: dict[str, Any] = {name: getattr(request, name) for name in names}
    own: dict[str, Any] = {"student": student, "pipeline": pipeline, "out": out, "until_epoch": until_epoch}
    return distill(request.task, **own, **same, expected=Expected(others, ratio), reporter=reporter)


def run_recommended(
    request: Request, recommendation: Recommendation, reporter: Reporter, data: Any = None
) -> list[Outcome]:
    """Runs one pick of a recommendation, or several side by side; the best comes first.

    Everything is as it was when the recommendation was made, the teacher too, unless the request asks for another.

    Args:
        request: `pick` or `top` say which; the first pick where neither does.
        data: The dataset of the recommendation, where its name does not lead to it.

    Raises:
        InputError: The dataset is not the recommendation's, or there is no such pick.
        RunError: Every run failed.
    """
    check_places(request)
    picks = recommendation.chosen(request.pick, request.top)
    data = recommendation.data if data is None else data
    task = identified(data) if isinstance(data, Task) else load_task(data, **recommendation.columns)
    if task.fingerprint != recommendation.dataset_fingerprint:
        what, hint = "the recommendation was made for other data", "Run `autodistill recommend` again."
        raise InputError.of(recommendation.data, what, task.name, (), hint)
    return run_picks(_repeated(request, recommendation, task), picks, reporter)


def _repeated(request: Request, recommendation: Recommendation, task: Task) -> Request:
    """The request with what it leaves open as the recommendation has it."""
    asked = request.fine_tuning.model_dump(exclude_defaults=True)
    options = request.options
    precision = recommendation.precision if options.precision == "auto" else options.precision
    rounding = {"precision": precision, "int8_teacher": options.int8_teacher or recommendation.int8_teacher}
    known = {"task": task, "teacher": recommendation.teacher, "options": options.model_copy(update=rounding)}
    return request.model_copy(update={**known, "fine_tuning": recommendation.fine_tuning.model_copy(update=asked)})


def run_picks(request: Request, picks: Sequence[Pick], reporter: Reporter) -> list[Outcome]:
    """Runs picks, stopping the worse ones early; the best comes first.

    Args:
        request: With its task and teacher; in the folder `out` each run has one of its own.

    Raises:
        RunError: Every run failed.
    """
    for note in request.task.notes:
        reporter.message(note)
    request = request.model_copy(update={"task": replace(request.task, notes=())})  # once, not with every run
    running, students = {pick.rank: pick for pick in picks}, [pick.student for pick in picks]
    outcomes: dict[int, Outcome] = {}
    stops = rungs(min(pick.pipeline["training"]["epochs"] for pick in picks), len(picks))
    if stops:
        reporter.message(rule(stops, len(picks)))
    for epoch in [*stops, None]:
        for rank, pick in running.items():
            if rank in outcomes and outcomes[rank].result.status == "ok":
                continue  # over already: by early stopping, or because it has fewer epochs
            if len(picks) > 1:
                aim = "to its end" if epoch is None else f"to epoch {epoch}"
                reporter.message(f"pick {rank}: {named(pick, students)}, {aim}")
            outcomes[rank] = _run(request, pick, epoch, reporter)
        if epoch is not None:
            going_on = _better_half(running, outcomes)
            for rank in sorted(running.keys() - going_on.keys()):
                _stop(request, outcomes[rank], reporter)
            running = going_on
    order = sorted(outcomes.values(), key=lambda outcome: (outcome.result.status != "ok", -outcome.score))
    if order[0].result.status != "ok":
        failed = [outcomes[pick.rank] for pick in picks if outcomes[pick.rank].result.status == "failed"]
        who = "every pick" if len(failed) == len(picks) else "every pick that was not stopped"
        raise RunError(f"{who} failed; the first one: {failed[0].result.reason}")
    return order


def rungs(epochs: int, count: int) -> list[int]:
    """Epochs after which half of the picks are stopped, at most three, the last after half of all.

    Example:
        >>> rungs(20, 5), rungs(6, 5), rungs(20, 2), rungs(20, 1)
        ([3, 5, 10], [1, 2, 3], [10], [])
    """
    halvings = min(3, math.ceil(math.log2(count)))
    return sorted({math.ceil(epochs / 2**halving) for halving in range(1, halvings + 1)} - {epochs})


def rule(stops: Sequence[int], count: int) -> str:
    """What will be stopped when, in a sentence.

    Example:
        >>> rule([3, 5], 4)
        '4 picks side by side; what goes on: after epoch 3 the best 2, after epoch 5 the best one'
    """
    parts: list[str] = []
    left = count
    for stop in stops:
        left = math.ceil(left / 2)
        parts.append(f"after epoch {stop} the best {left if left > 1 else 'one'}")
    return f"{count} picks side by side; what goes on: {', '.join(parts)}"


def _run(request: Request, pick: Pick, until_epoch: int | None, reporter: Reporter) -> Outcome:
    assert request.out is not None
    low, high = pick.ratio_low, pick.ratio_high
    ratio = None if low is None or high is None else (low, high)
    folder = request.out / folder_name(request, pick)
    try:
        result = distilled(request, pick.student, pick.pipeline, folder, reporter, until_epoch, ratio)
    except RunError as error:
        left = record_of_failure(error, folder)
        reporter.message(f"pick {pick.rank} failed: {error}")
        if left is None:
            return Outcome(pick, _failed(request, pick, str(error)), folder)
        result = left
    if result.status != "pruned":
        record_run(request, result, folder, reporter)
    return Outcome(pick, result, folder)


def record_of_failure(error: RunError, folder: Path, before: RunResult | None = None) -> RunResult | None:
    """The record that a failed run left; None where its memory did not suffice: with more of it, it goes on.

    Args:
        before: The record that lay there when the run began.

    Raises:
        RunError: The same, where nothing is wrong with the run, as where another process works in its folder.
    """
    if isinstance(error, OutOfMemory):
        return None
    left = RunResult.read(folder)
    if left is None or left.status != "failed" or left == before:
        raise error
    return left


def _failed(request: Request, pick: Pick, reason: str) -> RunResult:
    """What is known of a run that failed and left no record; it has no identity, and is not in the store."""
    task = request.task
    return RunResult(
        status="failed",
        reason=reason,
        identity="",
        task=task.name,
        task_kind=task.kind,
        dataset_fingerprint=task.fingerprint,
        labels=list(task.labels),
        train_examples=len(task.train),
        unlabelled_examples=task.examples - len(task.train),
        teacher=request.teacher,
        student=pick.student,
        pipeline=pick.pipeline,
        seed=request.seed,
        metric=task.metric,
    )


def folder_name(request: Request, entrant: Entrant) -> str:
    """The same for the same student and pipeline, whatever else was asked for."""
    options = request.options
    rounding = (options.precision, options.int8_teacher)
    identity = [
        entrant.key,
        request.teacher,
        entrant.student,
        request.seed,
        request.fine_tuning.model_dump_json(),  # without what is not said, so that a new field renames no folder
        request.task.fingerprint,
    ]
    identity += rounding if rounding != ("auto", False) else []
    return f"{entrant.pipeline['intermediate']['kind']}-{hash_of(*identity)[:8]}"


def _better_half(running: dict[int, Pick], outcomes: dict[int, Outcome]) -> dict[int, Pick]:
    order = sorted(running, key=lambda rank: (-outcomes[rank].score, rank))
    kept = order[: math.ceil(len(order) / 2)]
    return {rank: running[rank] for rank in sorted(kept) if outcomes[rank].result.status != "failed"}


def _stop(request: Request, outcome: Outcome, reporter: Reporter) -> None:
    if outcome.result.status == "pruned":
        reached = f"{outcome.result.metric} {outcome.score:.4f} after epoch {outcome.result.epochs}"
        reporter.message(f"pick {outcome.pick.rank} is stopped: {reached}")
        close(request, outcome.result, outcome.folder, reporter)


def close(request: Request, result: RunResult, path: Path, reporter: Reporter) -> None:
    """Records a run that pauses and will not go on, and removes what it would have gone on from."""
    record_run(request, result, path, reporter)
    if int(os.environ.get("RANK", "0")) == 0:
        folder = RunFolder(path, result.identity)
        with folder.locked():
            folder.close(result)
