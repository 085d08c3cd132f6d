"""What a study consists of on this machine: its runs, worked out from its datasets and models.

Decided here: each dataset and model is read once for all parts. What is planned are facts alone, no datasets and no
models, so that it can be kept (`kept`) and a driver need not hold them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from autodistill.study.design import Cell, Job, Sample, jobs_of, task_of, whole_task
from autodistill.study.searching import SearchPlan, searches_of
from autodistill.study.spec import Study
from engine.base.errors import InputError, MemoryShort
from engine.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from engine.data.task import Task
    from engine.models.start import KnownModels

MOST_REASONS = 3  # in a message


@dataclass
class Planned:
    """What a study consists of, on this machine."""

    samples: list[Sample] = field(default_factory=list)
    """Each once, by its fingerprint."""
    jobs: list[Job] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Why a pipeline does not suit a cell → how often."""
    left_out: list[str] = field(default_factory=list)
    """Datasets, or students of theirs, that cannot be used, and why."""
    searches: list[SearchPlan] = field(default_factory=list)
    """Beside the jobs: which of their runs are made is only known once others have been."""
    may_change: bool = False
    """Whether something was left out for what may be another time: data that could not be read, too little memory."""

    def runs(self, identities: Iterable[str]) -> dict[str, Job]:
        """The runs of identities, of those that a search may ask for, too."""
        searched = (job for search in self.searches for job in search.jobs.values())
        found: dict[str, Job] = {}
        for job in itertools.chain(self.jobs, searched):
            found.setdefault(job.identity, job)
            if found.keys() >= {*identities}:
                break
        return found


def plan_study(study: Study, precision: str) -> Planned:
    """All runs of a study. Datasets are read, models are looked at, nothing is trained.

    Args:
        precision: `Machine.rounding` of the workers.

    Raises:
        InputError: No dataset can be used.
    """
    from engine.models.start import KnownModels  # loads torch

    planned = Planned()
    read, known_models = _reader(), KnownModels()
    cells = [(part, _cells(part, precision, read, known_models, planned)) for part in study.each_part]
    found = {cell.sample.fingerprint: cell.sample for _, own in cells for cell in own}
    planned.samples = [*found.values()]
    if not planned.samples:
        raise InputError.of("datasets", "none can be used", _some(planned.left_out))

    def refused(_: Cell, __: Pipeline, why: str) -> None:
        planned.refused[why] = planned.refused.get(why, 0) + 1

    planned.jobs = jobs_of(cells, refused)
    searches = (each for part, own in cells for each in searches_of(part, own, planned.left_out))
    planned.searches = [*{each.key: each for each in searches}.values()]
    planned.left_out = [*dict.fromkeys(planned.left_out)]  # once, not for each number of rows
    return planned


def _some(reasons: Iterable[str]) -> str:
    """The first different ones of many."""
    found = [*dict.fromkeys(reasons)]
    more = len(found) - MOST_REASONS
    return "; ".join([*found[:MOST_REASONS], *([f"and {more:,} more like these"] if more > 0 else [])])


def tasks_of(study: Study, samples: Sequence[Sample]) -> list[Task]:
    """The datasets that a study has planned, each read once."""
    read = _reader()
    return [read(each.source, each.rows, study.seed, each.test_rows) for each in samples]


def _reader() -> Callable[..., Task]:
    """`task_of`, which does not read again what it has read."""
    return cache(partial(task_of, whole=cache(whole_task)))


def _cells(
    part: Study, precision: str, read: Callable[..., Task], known_models: KnownModels, planned: Planned
) -> list[Cell]:
    """The cells of a part of a study.

    Args:
        read: `task_of`, or what does not read again what it has read.
        planned: Is told of what cannot be used, and why.
    """
    from engine.run.plan import plan_run  # loads torch

    cells, seen = [], set()
    first = Pipeline(training=part.training)
    plan_of = partial(plan_run, fine_tuning=part.fine_tuning, precision=precision, known_models=known_models)
    for rows, source in itertools.product(part.rows or (None,), part.datasets):
        try:
            task = read(source, rows, part.seed, part.test_rows)
        except InputError as error:
            planned.left_out.append(f"{source.data}: {error}")
            planned.may_change = True
            continue
        if task.fingerprint in seen:
            continue  # it has not so many rows, and was there already
        seen.add(task.fingerprint)
        for teacher, student in itertools.product(part.teachers, part.students):
            try:
                plan = plan_of(task, first, teacher, student)
            except InputError as error:
                planned.left_out.append(f"{source.data} with {teacher} and {student}: {error}")
                planned.may_change |= isinstance(error, MemoryShort) or isinstance(error.__cause__, OSError)
            else:
                cells.append(Cell(source, rows, teacher, student, plan, part.test_rows))
    return cells
