"""`recommend`: from a dataset, a teacher and students to the pipelines that should be run.

The order: what is known of the dataset; what teacher and students give and cost; what past runs say; then
every pipeline of the space is given a standing, a ratio and a cost, and a few that differ are picked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from autodistill.datasets.embedding import GLOVE
from autodistill.history.store import Store
from autodistill.history.table import flat
from autodistill.ranking.calibration import gaps
from autodistill.ranking.distances import nearest
from autodistill.ranking.fitted import DEFAULT, Fitted, fit_predictor
from autodistill.ranking.knowledge import DEFAULT_SOURCES, load_knowledge
from autodistill.recommend import picks
from autodistill.recommend.caveats import caveats
from autodistill.recommend.costs import Costs, costs_of, describe_dataset
from autodistill.recommend.record import Pick, Recommendation, StudentFacts
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from engine.models.names import Scratch, parse_model
from engine.pipeline.explain import checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import AverageTeam
from engine.run.result import Member

if TYPE_CHECKING:
    from autodistill.datasets.known import Dataset
    from autodistill.ranking.past import RunTable
    from autodistill.recommend.request import Limits, Request
    from engine.base.progress import Reporter
    from engine.data.task import Task
    from engine.pipeline.training import Training

PICKS = 5
"""Picks where no other number is asked for."""
NEAREST = 3

Record = TypeVar("Record", bound=BaseModel)


def recommend(request: Request, reporter: Reporter) -> Recommendation:
    """Answers a request.

    Args:
        request: With its task, a teacher and students.

    Raises:
        InputError: A model cannot be used, or nothing is within the limits.
    """
    task, training = request.task, request.pipeline.training
    if request.members:
        checked(AverageTeam, {"members": list(request.members)})
    table, notes = knowledge_for(request)
    for note in notes:
        reporter.message(note)
    space = {student: _space(task, student, training, request.members) for student in request.students}
    costs = {student: costs_of(request, student, each, reporter) for student, each in space.items()}
    dataset = describe_dataset(request, reporter)
    table = replace(table, datasets={**table.datasets, dataset.name: dataset})
    fitted = fit_predictor(request.predictor or DEFAULT, table, request.options.cache, reporter)
    candidates = predicted(_candidates(request, space, costs, dataset), table, fitted)
    return _record(request, table, costs, dataset, fitted, candidates)


def knowledge_for(request: Request) -> tuple[RunTable, tuple[str, ...]]:
    """The past runs that a request names, or the usual ones; and what was noticed while they were read."""
    sources, vectors = request.meta_data or DEFAULT_SOURCES, request.vectors or GLOVE
    return load_knowledge(sources, Store(request.store), vectors, request.options)


def predicted(candidates: pd.DataFrame, table: RunTable, fitted: Fitted) -> pd.DataFrame:
    """Candidates with their standing in the order and their ratio with its interval."""
    new = replace(table, runs=candidates)
    standings = fitted.rank(new)
    low, middle, high = fitted.calibration(standings, gaps(new)).T
    return candidates.assign(standing=standings, predicted_ratio=middle, low=low, high=high)


def _space(task: Task, student: str, training: Training, members: Sequence[str]) -> list[Pipeline]:
    """Every pipeline that the student can be trained with on the task."""
    resolved = training.for_task(task, isinstance(parse_model(student, "student"), Scratch))
    return [pipeline.for_task(task) for pipeline in pipelines(task.kind, resolved, members)]


def _candidates(
    request: Request, space: Mapping[str, list[Pipeline]], costs: Mapping[str, Costs], dataset: Dataset
) -> pd.DataFrame:
    """A row a run that could be made, in the columns of past runs."""
    about = {
        "dataset": dataset.name,
        "task_kind": request.task.kind,
        "metric": request.task.metric,
        "n_train": len(request.task.train),
        "teacher": request.teacher,
        "bilstm_score": dataset.descriptors.bilstm_score,
    }
    return pd.DataFrame(
        {
            **about,
            **_model_columns(student, costs[student]),
            **flat(pipeline.model_dump()),
            "pipeline": pipeline,
            "predicted_seconds": costs[student].seconds(pipeline),
        }
        for student, each in space.items()
        for pipeline in each
    )


def _model_columns(student: str, costs: Costs) -> dict[str, Any]:
    of_student = {f"student_{name}": getattr(costs, name) for name in ("layers", "hidden_size", "parameters")}
    names = ("teacher_layers", "teacher_hidden_size", "teacher_parameters", "teacher_score")
    return {"student": student, **of_student, **{name: getattr(costs, name) for name in names}}


def within(candidates: pd.DataFrame, limits: Limits, costs: Mapping[str, Costs]) -> pd.DataFrame:
    """The candidates that keep the limits.

    Raises:
        InputError: None does; says how near the nearest is.
    """
    latency = candidates.student.map({name: each.latency_ms for name, each in costs.items()})
    limited = {
        "--budget": (limits.seconds, candidates.predicted_seconds, "s a run"),
        "--max-params": (limits.parameters, candidates.student_parameters, "parameters"),
        "--max-latency": (limits.latency_ms, latency, "ms"),
    }
    kept = pd.Series(True, index=candidates.index)
    for option, (limit, cost, unit) in limited.items():
        if limit is None:
            continue
        kept &= cost <= limit
        if not kept.any():
            hint = f"The least is {cost.min():,.3g} {unit}."
            if option == "--budget":
                hint += " Fewer epochs take less: --set training.epochs=…"
            raise InputError.of(option, "no pipeline stays within this", f"{limit:,.3g} {unit}", (), hint)
    return candidates[kept].reset_index(drop=True)


def _record(
    request: Request,
    table: RunTable,
    costs: Mapping[str, Costs],
    dataset: Dataset,
    fitted: Fitted,
    candidates: pd.DataFrame,
) -> Recommendation:
    task, first = request.task, next(iter(costs.values()))
    allowed = within(candidates, request.limits, costs)
    standings = allowed.standing.to_numpy()
    chosen = picks.diverse(standings, allowed, request.top or PICKS)
    best_for_cost = picks.pareto(standings, allowed.predicted_seconds.to_numpy())
    return Recommendation(
        data=request.data,
        columns=request.columns.given,
        task=task.name,
        task_kind=task.kind,
        metric=task.metric,
        dataset_fingerprint=task.fingerprint,
        train_examples=len(task.train),
        teacher=request.teacher,
        teacher_score=first.teacher_score,
        teacher_parameters=first.teacher_parameters,
        teacher_size_mb=first.teacher_size_mb,
        bilstm_score=dataset.descriptors.bilstm_score,
        members=[_part(Member, each) for each in first.members],
        students=[_part(StudentFacts, each, name=name) for name, each in costs.items()],
        predictor=request.predictor or DEFAULT,
        features=list(getattr(fitted.rank, "features", ())),
        meta_data=list(request.meta_data or DEFAULT_SOURCES),
        past_runs=len(table.runs),
        past_datasets=table.names,
        agreement=fitted.agreement,
        mean_rank_agreement=fitted.mean_rank_agreement,
        candidates=len(allowed),
        picks=[_pick(allowed, table.runs, row, rank) for rank, row in enumerate(chosen, start=1)],
        pareto=[_pick(allowed, table.runs, row, rank) for rank, row in enumerate(best_for_cost, start=1)],
        nearest=dict(list(nearest(table, dataset.name).items())[:NEAREST]),
        warnings=[*first.teacher_warnings, *caveats(task, dataset, table, candidates, fitted)],
    )


def _pick(candidates: pd.DataFrame, past: pd.DataFrame, row: int, rank: int) -> Pick:
    candidate = candidates.iloc[row]
    pipeline: Pipeline = candidate.pipeline
    return Pick(
        rank=rank,
        student=candidate.student,
        pipeline=pipeline.model_dump(mode="json"),
        key=pipeline.key,
        standing=candidate.standing,
        ratio=candidate.predicted_ratio,
        ratio_low=_known(candidate.low),
        ratio_high=_known(candidate.high),
        seconds=candidate.predicted_seconds,
        contributions=picks.contributions(candidates.standing.to_numpy(), candidates, row),
        unseen=picks.unseen_kinds(candidate, past),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _part(model: type[Record], costs: BaseModel, **more: Any) -> Record:
    """What a record keeps of the costs of a model."""
    return model(**costs.model_dump(include=set(model.model_fields)), **more)
