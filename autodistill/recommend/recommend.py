"""`recommend`: from a dataset, a teacher and a student to the pipelines that should be run.

The order: what is known of the dataset; what teacher and student give and cost; what past runs say; then
every pipeline of the space is given a place, a ratio and a cost, and a few that differ are picked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from autodistill.datasets.embedding import GLOVE
from autodistill.datasets.known import Dataset
from autodistill.history.store import Store
from autodistill.history.table import flat
from autodistill.ranking.calibration import gaps
from autodistill.ranking.distances import nearest
from autodistill.ranking.fitted import DEFAULT, Fitted, fit_predictor
from autodistill.ranking.knowledge import DEFAULT_SOURCES, load_knowledge
from autodistill.ranking.past import RunTable
from autodistill.recommend import picks
from autodistill.recommend.caveats import doubts
from autodistill.recommend.costs import Measured, MeasuredMember, describe_dataset, measure
from autodistill.recommend.record import Pick, Recommendation, StudentFacts
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.task import Task
from engine.models.names import Scratch, parse_model
from engine.pipeline.explain import validated
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import AverageTeam
from engine.pipeline.training import Training
from engine.run.result import Member

NEAREST = 3


@dataclass(frozen=True)
class Limits:
    """What a suggestion may cost.

    Args:
        seconds: Of one run, predicted.
        parameters: Of the student.
        latency_ms: Of the student, one example at a time.
    """

    seconds: float | None = None
    parameters: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Question:
    """What is asked for.

    Args:
        data: How the dataset was named, for the record; `columns` likewise.
        students: Names of the students that are compared.
        members: Further teachers; where there are some, pipelines with teams are compared too.
        count: Number of picks.
        training: Of every pipeline; what is None there gets the paper's value for the task.
        description: The task in a sentence or two.
        sources: Of past runs; see `knowledge.load_knowledge`.
        vectors: Word vectors that datasets are embedded with.
    """

    task: Task
    teacher: str
    students: Sequence[str]
    members: Sequence[str] = ()
    data: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    count: int = 5
    limits: Limits = Limits()
    training: Training = Training()  # noqa: RUF009 - frozen
    fine_tuning: FineTuning = FineTuning()  # noqa: RUF009 - frozen
    description: str = ""
    predictor: str = DEFAULT
    sources: Sequence[str] = DEFAULT_SOURCES
    vectors: str = GLOVE


def recommend(question: Question, store: Store, options: RunOptions, reporter: Reporter) -> Recommendation:
    """Answers a question.

    Raises:
        InputError: A model cannot be used, or nothing is within the limits.
    """
    task, members = question.task, question.members
    if members:
        validated(AverageTeam, {"members": list(members)})
    table, notes = load_knowledge(question.sources, store, question.vectors, options)
    for note in notes:
        reporter.message(note)
    space = {student: _space(task, student, question.training, members) for student in question.students}
    measured = {
        student: measure(
            task, question.teacher, student, members, each, question.fine_tuning, options, reporter
        )
        for student, each in space.items()
    }
    dataset = describe_dataset(task, question.description, store, options, reporter)
    table = replace(table, datasets={**table.datasets, dataset.name: dataset})
    fitted = fit_predictor(question.predictor, table, options.cache, reporter)
    candidates = predicted(_candidates(question, space, measured, dataset), table, fitted)
    return _record(question, table, measured, dataset, fitted, candidates)


def predicted(candidates: pd.DataFrame, table: RunTable, fitted: Fitted) -> pd.DataFrame:
    """Candidates with their place in the order and their ratio with its interval."""
    asked = replace(table, runs=candidates)
    places = fitted.rank(asked)
    low, middle, high = fitted.calibration(places, gaps(asked)).T
    return candidates.assign(place=places, predicted_ratio=middle, low=low, high=high)


def _space(task: Task, student: str, training: Training, members: Sequence[str]) -> list[Pipeline]:
    """Every pipeline that the student can be trained with on the task."""
    resolved = training.for_task(task, isinstance(parse_model(student, "student"), Scratch))
    return [pipeline.for_task(task) for pipeline in pipelines(task.kind, resolved, members)]


def _candidates(
    question: Question,
    space: Mapping[str, list[Pipeline]],
    measured: Mapping[str, Measured],
    dataset: Dataset,
) -> pd.DataFrame:
    """A row a run that could be made, in the columns of past runs."""
    about = {
        "dataset": dataset.name,
        "task_kind": question.task.kind,
        "metric": question.task.metric,
        "n_train": len(question.task.train),
        "teacher": question.teacher,
        "bilstm_score": dataset.descriptors.bilstm_score,
    }
    rows = [
        {
            **about,
            **_model_columns(student, measured[student]),
            **flat(pipeline.model_dump()),
            "pipeline": pipeline,
            "predicted_seconds": measured[student].seconds(pipeline),
        }
        for student, each in space.items()
        for pipeline in each
    ]
    return pd.DataFrame(rows)


def _model_columns(student: str, measured: Measured) -> dict[str, Any]:
    return {
        "student": student,
        "student_layers": measured.layers,
        "student_hidden_size": measured.hidden_size,
        "student_parameters": measured.parameters,
        "teacher_layers": measured.teacher_layers,
        "teacher_hidden_size": measured.teacher_hidden_size,
        "teacher_parameters": measured.teacher_parameters,
        "teacher_score": measured.teacher_score,
    }


def within(candidates: pd.DataFrame, limits: Limits, measured: Mapping[str, Measured]) -> pd.DataFrame:
    """The candidates that keep the limits.

    Raises:
        InputError: None does; says how near the nearest is.
    """
    latency = candidates.student.map({name: facts.latency_ms for name, facts in measured.items()})
    costs = {
        "--budget": (limits.seconds, candidates.predicted_seconds, "s a run"),
        "--max-params": (limits.parameters, candidates.student_parameters, "parameters"),
        "--max-latency": (limits.latency_ms, latency, "ms"),
    }
    kept = pd.Series(True, index=candidates.index)
    for place, (limit, cost, unit) in costs.items():
        if limit is None:
            continue
        kept &= cost <= limit
        if not kept.any():
            hint = f"The least is {cost.min():,.3g} {unit}."
            if place == "--budget":
                hint += " Fewer epochs take less: --set training.epochs=…"
            raise InputError.of(place, "nothing can be had for this", f"{limit:,.3g} {unit}", (), hint)
    return candidates[kept].reset_index(drop=True)


def _record(
    question: Question,
    table: RunTable,
    measured: Mapping[str, Measured],
    dataset: Dataset,
    fitted: Fitted,
    candidates: pd.DataFrame,
) -> Recommendation:
    task, first = question.task, next(iter(measured.values()))
    allowed = within(candidates, question.limits, measured)
    places = allowed.place.to_numpy()
    chosen = picks.diverse(places, allowed, question.count)
    best_for_cost = picks.pareto(places, allowed.predicted_seconds.to_numpy())
    return Recommendation(
        data=question.data,
        columns={name: value for name, value in question.columns.items() if value is not None},
        task=task.name,
        task_kind=task.kind,
        metric=task.metric,
        dataset_fingerprint=task.fingerprint,
        train_examples=len(task.train),
        teacher=question.teacher,
        teacher_score=first.teacher_score,
        teacher_parameters=first.teacher_parameters,
        teacher_size_mb=first.teacher_size_mb,
        bilstm_score=dataset.descriptors.bilstm_score,
        members=[_member_facts(member) for member in first.members],
        students=[_student_facts(name, facts) for name, facts in measured.items()],
        predictor=question.predictor,
        features=list(getattr(fitted.rank, "features", ())),
        meta_data=list(question.sources),
        past_runs=len(table.runs),
        past_datasets=table.names,
        agreement=fitted.agreement,
        mean_rank_agreement=fitted.mean_rank_agreement,
        candidates=len(allowed),
        picks=[_pick(allowed, table.runs, row, rank) for rank, row in enumerate(chosen, start=1)],
        pareto=[_pick(allowed, table.runs, row, rank) for rank, row in enumerate(best_for_cost, start=1)],
        nearest=dict(list(nearest(table, dataset.name).items())[:NEAREST]),
        warnings=[*first.teacher_warnings, *doubts(task, dataset, table, candidates, fitted)],
    )


def _pick(candidates: pd.DataFrame, past: pd.DataFrame, row: int, rank: int) -> Pick:
    found = candidates.iloc[row]
    pipeline: Pipeline = found.pipeline
    return Pick(
        rank=rank,
        student=found.student,
        pipeline=pipeline.model_dump(mode="json"),
        key=pipeline.key,
        place=found.place,
        ratio=found.predicted_ratio,
        ratio_low=_known(found.low),
        ratio_high=_known(found.high),
        seconds=found.predicted_seconds,
        contributions=picks.contributions(candidates.place.to_numpy(), candidates, row),
        unseen=picks.unseen_kinds(found, past),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _student_facts(name: str, measured: Measured) -> StudentFacts:
    sizes = {"parameters", "size_mb", "latency_ms", "throughput"}
    return StudentFacts(name=name, **measured.model_dump(include=sizes))


def _member_facts(measured: MeasuredMember) -> Member:
    return Member(**measured.model_dump(include=set(Member.model_fields)))
