"""`recommend`: from a dataset, a teacher and students to the pipelines that should be run.

The order: what is known of the dataset; what teacher and students give and cost; what past runs say; then every
pipeline of the space is given a standing, a ratio and a cost, and a few that differ are picked.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel

from autodistill.datasets.known import Dataset
from autodistill.history.store import Store
from autodistill.history.table import MODEL_SIZES, flat
from autodistill.ranking.distances import nearest
from autodistill.ranking.diverse import diverse, percentiles
from autodistill.ranking.fitted import Fitted, fit_predictor
from autodistill.ranking.knowledge import load_knowledge, with_dataset
from autodistill.ranking.past import RunTable
from autodistill.recommend import picks
from autodistill.recommend.caveats import caveats
from autodistill.recommend.costs import Costs, costs_of, describe_dataset
from autodistill.recommend.experience import experience
from autodistill.recommend.record import Pick, Recommendation, StudentFacts
from autodistill.recommend.request import Limits, Request, check_teachable
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError, digits
from engine.base.progress import Reporter
from engine.models.names import start_of_name
from engine.pipeline.explain import checked
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import AverageTeam
from engine.run.result import Member

PICKS = 5
"""Picks where no other number is asked for."""
TIED_DECIMALS = 9
"""Standings that are equal in so many decimals are tied: sums in another order."""


class Ranked(NamedTuple):
    """The candidates within the limits, in the columns of past runs, with standing, ratio and cost; and what they rest
    on."""

    candidates: pd.DataFrame
    past: RunTable
    costs: Mapping[str, Costs]
    dataset: Dataset
    fitted: Fitted


def recommend(request: Request, reporter: Reporter) -> Recommendation:
    """Answers a request that has its task, a teacher and students.

    Raises:
        InputError: A model cannot be used, or nothing is within the limits.
    """
    return _record(request, rank(request, reporter))


def space_of(request: Request) -> dict[str, list[Pipeline]]:
    """Student → the pipelines that are compared; lengths and learning rates are left to each run, which knows its
    models."""
    task, training = request.task, request.pipeline.training
    training = training.model_copy(update={"epochs": training.for_task(task).epochs})
    return {
        student: [
            each.model_copy(update={"prediction": each.prediction_for(task.kind)})
            for each in pipelines(task.kind, training, request.members, start_of_name(student))
        ]
        for student in request.students
    }


def rank(request: Request, reporter: Reporter) -> Ranked:
    """Every pipeline of the space that keeps the limits, with its standing among all of them.

    Raises:
        InputError: A model cannot be used, or nothing is within the limits.
    """
    task = request.task
    check_teachable(request)
    if request.members:
        checked(AverageTeam, {"members": list(request.members)})
    sources = request.meta_data, Store(request.store), request.vectors, request.options
    table, notes = load_knowledge(*sources, reporter)
    for note in (*task.notes, *notes):
        reporter.message(note)
    space = space_of(request)
    costs = {student: costs_of(request, student, each, reporter) for student, each in space.items()}
    dataset = describe_dataset(request, reporter)
    table = with_dataset(table, dataset)
    fitted = fit_predictor(request.predictor, table, request.options.cache, reporter)
    table = replace(table, datasets={**table.datasets, dataset.name: dataset})  # candidates are of it as it is now
    candidates = _candidates(request, space, costs, dataset)
    new = replace(table, runs=candidates)
    standings = fitted.rank(new).round(TIED_DECIMALS)
    known = experience(candidates, table.runs)
    low, middle, high = fitted.calibration(standings, new, known.outside, known.reached).T
    candidates = candidates.assign(
        standing=standings, predicted_ratio=middle, low=low, high=high, outside=known.outside
    )
    return Ranked(within(candidates, request.limits, costs), table, costs, dataset, fitted)


def _candidates(
    request: Request, space: Mapping[str, list[Pipeline]], costs: Mapping[str, Costs], dataset: Dataset
) -> pd.DataFrame:
    """A row a run that could be made, in the columns of past runs."""
    task = request.task
    about = {"dataset": dataset.name, "task_kind": task.kind, "metric": task.metric, "n_train": len(task.train)}
    about |= {"teacher": request.teacher, "bilstm_score": dataset.descriptors.bilstm_score}
    about |= {name: getattr(next(iter(costs.values())), name) for name in ("linear_score", "trivial_score")}
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
    of_student = {f"student_{name}": getattr(costs, name) for name in MODEL_SIZES}
    of_student["student_alone_score"] = costs.student_alone_score
    of_teacher = {f"teacher_{name}": getattr(costs, f"teacher_{name}") for name in (*MODEL_SIZES, "score")}
    return {"student": student, **of_student, **of_teacher}


def within(candidates: pd.DataFrame, limits: Limits, costs: Mapping[str, Costs]) -> pd.DataFrame:
    """The candidates that keep the limits; where none does, an `InputError` that says how near the nearest is."""
    latency = candidates.student.map({name: each.latency_ms for name, each in costs.items()})
    limited = {
        "--max-time": (limits.seconds, candidates.predicted_seconds, "s a run"),
        "--max-params": (limits.parameters, candidates.student_parameters, "parameters"),
        "--max-latency": (limits.latency_ms, latency, "ms"),
    }
    kept = pd.Series(True, index=candidates.index)
    for option, (limit, cost, unit) in limited.items():
        if limit is None:
            continue
        kept &= cost <= limit
        if not kept.any():
            hint = f"The least is {digits(cost.min())} {unit}."
            if option == "--max-time":
                hint += " Fewer epochs take less: --set training.epochs=…"
            raise InputError.of(option, "no pipeline stays within this", f"{digits(limit)} {unit}", (), hint)
    return candidates[kept].reset_index(drop=True)


def _record(request: Request, ranked: Ranked) -> Recommendation:
    task, (allowed, past, costs, dataset, fitted) = request.task, ranked
    first = next(iter(costs.values()))
    of_the_teacher = first.model_dump(include={"teacher_score", "teacher_parameters", "teacher_size_mb"})
    trust = fitted.trust(len(costs))
    best, front = _picks(allowed, past.runs, request.top or PICKS)
    return Recommendation(
        data=request.data,
        columns=request.columns.model_dump(exclude_defaults=True),
        task=task.name,
        task_kind=task.kind,
        metric=task.metric,
        split=task.split,
        dataset_fingerprint=task.fingerprint,
        train_examples=len(task.train),
        unlabelled_examples=task.examples - len(task.train),
        teacher=request.teacher,
        **of_the_teacher,
        fine_tuning=request.fine_tuning,
        **request.options.model_dump(include={"precision", "int8_teacher"}),
        training=request.pipeline.training,
        limits=request.limits,
        **{name: getattr(request, name) for name in ("description", "vectors", "predictor")},
        bilstm_score=dataset.descriptors.bilstm_score,
        members=[Member(**_facts(Member, each)) for each in first.members],
        students=[StudentFacts(name=name, **_facts(StudentFacts, each)) for name, each in costs.items()],
        features=None if (features := getattr(fitted.rank, "features", None)) is None else list(features),
        meta_data=list(request.meta_data),
        past_runs=len(past.runs),
        past_datasets=past.names,
        agreement=trust.agreement,
        agreement_datasets=trust.datasets,
        mean_rank_agreement=trust.mean_rank,
        agreement_pair=trust.pair,
        candidates=len(allowed),
        outside=bool(allowed.outside.any()),
        picks=best,
        pareto=front,
        nearest=dict(list(nearest(past, dataset.name).items())[:3]),
        warnings=[*first.teacher_warnings, *caveats(task, dataset, past, allowed, trust)],
    )


def _picks(candidates: pd.DataFrame, past: pd.DataFrame, count: int) -> tuple[list[Pick], list[Pick]]:
    """The picks and the front; what is in both is one pick with one rank."""
    standings, made = candidates.standing.to_numpy(), {}
    best = picks.with_a_team(diverse(standings, candidates, count), standings, candidates)
    front = picks.pareto(standings, candidates.predicted_seconds.to_numpy())
    shares = percentiles(standings)
    for rank, row in enumerate(dict.fromkeys([*best, *front]), start=1):
        candidate = candidates.iloc[row]
        made[row] = Pick(
            rank=rank,
            student=candidate.student,
            pipeline=candidate.pipeline.model_dump(mode="json"),
            key=candidate.pipeline.key,
            standing=candidate.standing,
            percentile=shares[row],
            ratio=candidate.predicted_ratio,
            ratio_low=None if np.isnan(candidate.low) else candidate.low,
            ratio_high=None if np.isnan(candidate.high) else candidate.high,
            seconds=candidate.predicted_seconds,
            contributions=picks.contributions(standings, candidates, row),
            unseen=picks.unseen_kinds(candidate, past),
        )
    return [made[row] for row in best], [made[row] for row in front]


def _facts(model: type[BaseModel], costs: BaseModel) -> dict[str, Any]:
    """What a record keeps of the costs of a model."""
    return costs.model_dump(include=set(model.model_fields))
