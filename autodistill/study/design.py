"""Which runs a study consists of, in the order in which they are made.

Decided here: a *cell* is a dataset with a number of rows, a teacher and a student. All cells share the core; every cell
draws its own random pipelines; a drawn share of both has a second seed. The parts of a study are made one after the
other, of each first the core, then the random pipelines. All cells make a few of them in turn, with their second seeds,
so that a study that is stopped early has fewer pipelines, not fewer datasets, and knows its noise; runs that share a
teacher's signals stand together.

The core is chosen one by one: the next pipeline is the one whose pairs of values (an objective with a mapping, a
mapping with an augmentation, …) have met the least so far. After one with augmentation comes the same without, with
the usual weights: no gold labels. Every run of the core with augmentation has a twin besides, which learns from gold
labels, too, and differs in nothing else, so that what augmentation adds is seen alone. A kind of task for which a
pipeline's prediction loss is not defined has its own loss in that place; what is then there twice runs once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from autodistill.history.table import flat
from autodistill.recommend.space import COMPONENTS, pipelines
from autodistill.study.spec import Source
from engine.base.errors import InputError
from engine.base.files import hash_of
from engine.base.options import Precision
from engine.data.groups import GROUPS, known_in
from engine.data.splits import drawn
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.training import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from datasets import Dataset

    from autodistill.study.spec import Study
    from engine.base.spec import Spec
    from engine.data.task import Task, TaskKind
    from engine.pipeline.training import Training
    from engine.run.plan import RunPlan

STAGES = ("core", "twin", "random", "repeated", "search")
"""What a run is there for, in their order."""
TURN = 6
"""Pipelines that a cell makes in its turn; each change costs the reading of a dataset and its signals."""
DEARER = {"mi_alpha": 1.0}
"""Kind → what it adds to a step, in steps (docs/methods/costs.md); the others add little."""
Allowed = tuple[tuple[str, tuple[str, ...]], ...]
"""Component → the kinds that are tried, as `Study.space` has them."""
Group = tuple[str, int | None, int, str]
"""Data, rows, rows that report, teacher: runs of one group share what the teacher says of the training examples."""


@dataclass(frozen=True)
class Job:
    """One run of a study, as a worker is told of it."""

    identity: str
    """Of the run (`RunPlan.identity`)."""
    stage: str
    source: Source
    rows: int | None
    teacher: str
    student: str
    pipeline: dict[str, Any]
    seed: int
    test_rows: int = 0
    alike: frozenset[str] = frozenset()
    """Identities of the same run in any precision."""
    until: int | None = None
    """The epoch after which it pauses; None: it goes to its end."""

    @property
    def group(self) -> Group:
        """What it shares with others."""
        return self.source.data, self.rows, self.test_rows, self.teacher

    @cached_property
    def words(self) -> str:
        """For people."""
        return f"{words_of(self)}: {self.training}"

    @property
    def training(self) -> str:
        """What is trained until when, for people."""
        found = flat(self.pipeline)
        kinds = [str(found.get(name)) for name in ("intermediate", "mapping", "augmentation")]
        return ", ".join([*kinds, *([f"to epoch {self.until}"] if self.until else [])])


def words_of(each: Job | Cell) -> str:
    """Dataset, rows and student as people call them."""
    rows = f"{each.rows:,} rows" if each.rows else "all rows"
    return f"{each.source.data.rstrip('/').rpartition('/')[2]} ({rows}), {each.student}"


@dataclass(frozen=True)
class Sample:
    """A dataset with a number of rows."""

    source: Source
    rows: int | None
    test_rows: int
    fingerprint: str
    """Of the task that it is."""


@dataclass(frozen=True)
class Cell:
    """A sample of a dataset, a teacher and a student, while a study is planned."""

    source: Source
    rows: int | None
    teacher: str
    student: str
    plan: RunPlan
    """Of any pipeline."""
    test_rows: int = 0

    @property
    def sample(self) -> Sample:
        """The dataset with its number of rows."""
        return Sample(self.source, self.rows, self.test_rows, self.plan.task.fingerprint)

    @property
    def key(self) -> str:
        """Hash of what it is."""
        return hash_of(self.plan.task.fingerprint, self.teacher, self.student)


def with_test(task: Task, seed: int) -> Task:
    """The task with a test set: where its source brings none, every other row that selects, of each class its share."""
    from engine.data.load import identified

    return identified(_with_test(task, seed))


def _with_test(task: Task, seed: int) -> Task:
    """The same, whose fingerprint is not worked out."""
    if task.test:
        return task
    validation, test = {}, {}
    for name, rows in task.validation.items():
        chosen = drawn(rows, (len(rows) + 1) // 2, seed, task.kind)
        validation[name] = rows.select(chosen)
        test[name.replace("validation", "test")] = rows.select(sorted({*range(len(rows))} - {*chosen}))
    return replace(task, validation=validation, test=test, fingerprint="")


def whole_task(source: Source, seed: int) -> Task:
    """A dataset of a study with all of its rows, and a test set; perhaps without a fingerprint."""
    from engine.data.load import load_task

    return _with_test(load_task(source.data, **source.columns.model_dump(exclude_defaults=True)), seed)


def task_of(
    source: Source, rows: int | None, seed: int, test_rows: int = 0, whole: Callable[[Source, int], Task] = whole_task
) -> Task:
    """A dataset of a study with so many training rows at most, and a test set.

    Args:
        test_rows: Training rows that are not drawn join a test set that has fewer than these.
        whole: Reads the dataset.
    """
    from datasets import concatenate_datasets

    from engine.data.load import identified

    task = whole(source, seed)
    if rows is None or rows >= len(task.train):
        return identified(task)
    chosen = drawn(task.train, rows, seed, task.kind)
    smaller = replace(task, train=task.train.select(chosen), fingerprint="")
    (first, test), *_ = task.test.items()
    if len(test) < test_rows:
        spare = _unseen(task.train, smaller.train, task.kind)
        added = drawn(spare, min(test_rows - len(test), len(spare)), seed, task.kind)
        larger = concatenate_datasets([test, spare.select(added)]) if added else test
        smaller = replace(smaller, test={**task.test, first: larger})
    return identified(smaller)


def _unseen(rows: Dataset, train: Dataset, kind: TaskKind) -> Dataset:
    """The rows whose texts do not train."""
    known = known_in(rows.with_format("arrow")[:], [train.with_format("arrow")[:]], GROUPS[kind].fields)
    return rows.select(np.flatnonzero(~known))


def space_of(study: Study, kind: TaskKind) -> tuple[Pipeline, ...]:
    """The pipelines of a study's space that a kind of task can have."""
    return _space(tuple(study.space.items()), study.training, kind)


def core_of(study: Study) -> tuple[Pipeline, ...]:
    """The pipelines that every cell runs, before they meet a kind of task."""
    return _core(tuple(study.space.items()), study.training, study.design.core)


@lru_cache(maxsize=64)
def _space(allowed: Allowed, training: Training, kind: TaskKind) -> tuple[Pipeline, ...]:
    chosen = []
    for pipeline in pipelines(kind, training):
        columns = flat(pipeline.model_dump(exclude_none=True)) if allowed else {}
        if all(columns.get(component) in kinds for component, kinds in allowed):
            chosen.append(pipeline)
    if not chosen:
        raise InputError.of("space", "no pipeline has these kinds", str(dict(allowed)))
    return tuple(chosen)


@lru_cache(maxsize=64)
def _core(allowed: Allowed, training: Training, size: int) -> tuple[Pipeline, ...]:
    space = _space(allowed, training, "classification")
    pairs = [[*itertools.combinations(_values(pipeline), 2)] for pipeline in space]
    costs = np.array([relative_cost(pipeline) for pipeline in space])
    number = {pipeline.key: place for place, pipeline in enumerate(space)}
    met: Counter[tuple[str, str]] = Counter()
    chosen: list[int] = []
    while len(chosen) < min(size, len(space)):
        gains = np.array([sum(1 / (1 + met[pair]) ** 2 for pair in each) for each in pairs]) / costs
        gains[chosen] = -np.inf
        best = int(gains.argmax())
        plain = number.get(unaugmented(space[best]).key, best) if space[best].augmentation.operators else best
        new = [best] if plain in {best, *chosen} else [best, plain]
        met.update(itertools.chain.from_iterable(pairs[each] for each in new))
        chosen += new
    return tuple(space[place] for place in chosen[:size])


def unaugmented(pipeline: Pipeline, **others: Spec) -> Pipeline:
    """The pipeline without its augmentation, and without the weights that go with one, but for what is given."""
    return Pipeline(**{name: getattr(pipeline, name) for name in (*COMPONENTS, "team", "training")} | others)


def twin_of(pipeline: Pipeline) -> Pipeline:
    """The pipeline without its augmentation; what it learns from the examples themselves has the same weights."""
    unused = {name: 0.0 for name in Weights.model_fields if name.startswith("augmented_")}
    return unaugmented(pipeline, weights=pipeline.weights.model_copy(update=unused))


def _values(pipeline: Pipeline) -> list[str]:
    """The values of a pipeline's components that a space varies, each with its knobs."""
    parts = pipeline.model_dump(exclude={"training"}, exclude_none=True)
    named = {name: flat({name: part}) for name, part in parts.items()}
    return [f"{name}: {sorted(columns.items(), key=str)}" for name, columns in named.items()]


def relative_cost(pipeline: Pipeline) -> float:
    """What a step takes, in steps of a training by predictions alone."""
    kinds = (pipeline.intermediate.kind, *pipeline.augmentation.kinds)
    passes = 2.0 if pipeline.augmentation.operators else 1.0  # of the student, each step
    return passes + sum(DEARER.get(kind, 0.0) for kind in kinds)


def for_kind(pipeline: Pipeline, kind: TaskKind) -> Pipeline:
    """The pipeline, or with the prediction loss of a kind of task that has not the pipeline's."""
    if not pipeline.problems_with(kind):
        return pipeline
    return pipeline.model_copy(update={"prediction": None})


def jobs_of(parts: Sequence[tuple[Study, Sequence[Cell]]], refused: Callable[[Cell, Pipeline, str], None]) -> list[Job]:
    """All runs of a study.

    Args:
        parts: The study's, each with its cells.
        refused: Is told of each pipeline that does not suit a cell, and why.
    """
    found: dict[str, tuple[tuple[int, int, int], Job]] = {}
    wanted = (
        (number, *each)
        for number, (part, cells) in enumerate(parts)
        for each in _wanted(part, cells, core_of(part) if cells else ())
    )
    for number, stage, rank, cell, pipeline, seed in wanted:
        try:
            job = job_of(stage, cell, pipeline, seed)
        except InputError as error:
            refused(cell, pipeline, str(error))
            continue
        found.setdefault(job.identity, ((number, rank // TURN, STAGES.index(stage)), job))
    return [job for _, job in sorted(found.values(), key=lambda each: each[0])]


def job_of(stage: str, cell: Cell, pipeline: Pipeline, seed: int) -> Job:
    """A run of a pipeline in a cell; an `InputError` where it does not suit that one."""
    plan = replace(planned_in(cell, pipeline), seed=seed)
    written = pipeline.model_dump(mode="json", exclude_none=True)  # as it is when it is read again
    what = cell.source, cell.rows, cell.teacher, cell.student, written, seed
    alike = frozenset(map(plan.identity_in, get_args(Precision)))
    return Job(plan.identity, stage, *what, cell.test_rows, alike | {plan.identity})


def planned_in(cell: Cell, pipeline: Pipeline) -> RunPlan:
    """The plan of a pipeline in a cell; an `InputError` where it does not suit that one."""
    from engine.run.plan import with_pipeline  # loads torch

    settled = pipeline.model_copy(update={"training": cell.plan.pipeline.training})  # counted once
    return with_pipeline(cell.plan, settled)


def _wanted(
    study: Study, cells: Sequence[Cell], core: Sequence[Pipeline]
) -> Iterator[tuple[str, int, Cell, Pipeline, int]]:
    """Stage, rank among the cell's pipelines, cell, pipeline and seed of every run that is wanted, cell by cell."""
    design = study.design
    for cell in cells:
        kind = cell.plan.task.kind
        space = space_of(study, kind)
        generator = np.random.default_rng([study.seed, int(cell.key[:12], 16)])
        places = generator.permutation(len(space))[: design.random]
        own = [("core", for_kind(pipeline, kind)) for pipeline in core]
        own += [("random", space[number]) for number in places]
        again = generator.random(len(own)) < design.repeated
        for rank, ((stage, pipeline), twice) in enumerate(zip(own, again, strict=True)):
            yield stage, rank, cell, pipeline, study.seed
            if stage == "core" and pipeline.augmentation.operators:
                yield "twin", rank, cell, twin_of(pipeline), study.seed
            if twice:
                yield "repeated", rank, cell, pipeline, study.seed + 1
