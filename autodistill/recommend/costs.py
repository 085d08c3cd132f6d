"""What has to be measured before a recommendation: the dataset, the teacher's score, what runs cost here.

Everything is measured once and kept: the teacher and its score by the engine, the costs here. So the second question
about a dataset loads no model and needs no torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodistill.datasets.descriptors import describe
from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.history.store import Store
from engine.base.cache import keeping, kept, maker, recalled
from engine.base.files import hash_of
from engine.base.hub import local_snapshot, model_hash
from engine.base.machine import visible_gpus
from engine.data.task import texts_of
from engine.models.names import parse_model, without_path
from engine.pipeline.components import MIAlpha
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import AutoSKD, AverageTeam
from engine.run.result import Member, RunCosts
from engine.run.verdict import WRONG, constant_answer

if TYPE_CHECKING:
    from autodistill.recommend.request import Request
    from engine.base.machine import Machine
    from engine.base.progress import Reporter
    from engine.data.task import Task
    from engine.run.plan import RunPlan
    from engine.run.teacher import Teacher

FIRST = (
    "Measured first, where it is not known yet: how good the teacher and a small Bi-LSTM are on {task}, what the steps "
    "of {student} cost here, and what it reaches alone."
)
LONG = "What {student} reaches alone is not measured, as that takes about {minutes:.0f} min; ratios are less sure."
ALONE_SECONDS = 300
"""What a student reaches alone is measured where that takes no longer, nor than `OF_A_BUDGET`."""
OF_A_BUDGET = 0.1
"""Share of a search's time, for all of its students together."""
RECORD, ALONE = "costs.json", "alone.json"
IN_95 = 3.92
"""Standard errors that a 95 % interval is wide."""
SEARCH_STEP = 1.8
"""A step of a search for θ in first order, in steps of a training (benchmarks/RESULTS.md)."""


class MemberCosts(Member):
    """A member of a team beside the teacher, with what it costs to train it as an assistant and to ask it."""

    training_seconds: float
    signal_seconds: float


class Costs(RunCosts):
    """What it costs to distil a student on a dataset, and how good its teachers are; steps by `cost_parts`' keys."""

    teacher_score: float
    teacher_error: float | None = None
    """Standard error of its score on the rows that select."""
    linear_score: float | None = None
    """Of a linear model on TF-IDF, on the same rows as the teacher's."""
    trivial_score: float | None = None
    """Of one answer to all."""
    alone_seconds: float
    """Predicted time of training the student without a teacher."""
    student_alone_score: float | None = None
    """What that gives; None: it would have taken too long."""
    teacher_warnings: list[str]
    teacher_layers: int
    teacher_hidden_size: int
    layers: int
    hidden_size: int
    members: list[MemberCosts]

    def seconds(self, pipeline: Pipeline) -> float:
        """Predicted time of a run of the space: what is ready before it (the teachers' signals, the language model of
        contextual augmentation, every assistant's training), and the training."""
        shared = self.signal_seconds + self.language_model_seconds * pipeline.augmentation.trains_first
        if pipeline.team.members:
            shared += sum(member.signal_seconds for member in self.members)
        return shared + self.own_seconds(pipeline) + self.training_seconds(pipeline)

    def own_seconds(self, pipeline: Pipeline) -> float:
        """Predicted time of what this run alone needs before its training: assistants, or a search for θ."""
        if pipeline.team.kind == "assistants":
            return sum(member.training_seconds for member in self.members)
        if isinstance(pipeline.team, AutoSKD):
            return SEARCH_STEP * (pipeline.training.epochs or 1) * self.steps_per_epoch * self._step(pipeline)
        return 0.0

    def training_seconds(self, pipeline: Pipeline) -> float:
        """Predicted time of its steps, and of an evaluation an epoch; of a team by autoskd of all candidates, of which
        there are no more than steps of its search's second phase."""
        epochs, team = pipeline.training.epochs or 1, pipeline.team
        training = epochs * (self.steps_per_epoch * self._step(pipeline) + self.evaluation_seconds)
        if isinstance(team, AutoSKD):
            steps = epochs * self.steps_per_epoch
            training *= min(team.candidates, steps - steps // 2)
        return training

    def _step(self, pipeline: Pipeline) -> float:
        """Seconds of a step."""
        base, *stack = cost_parts(pipeline)
        step = self.step_seconds[base.key]
        if stack:
            plain, augmenting = (self.step_seconds[part.key] for part in stack)
            step += max(augmenting - plain, 0.0)
        return step


def cost_parts(pipeline: Pipeline) -> list[Pipeline]:
    """The pipelines whose steps make up the cost of a step: without augmentation; then plain, and augmented.

    α, the prediction loss and weights cost nothing, and augmented examples cost the same whatever is learned of the
    originals.
    """
    intermediate, training = pipeline.intermediate, pipeline.training
    if isinstance(intermediate, MIAlpha):
        intermediate = intermediate.model_copy(update={"alpha": MIAlpha().alpha})
    whole = Pipeline(intermediate=intermediate, mapping=pipeline.mapping, training=training)
    if not pipeline.augmentation.operators:
        return [whole]
    return [whole, Pipeline(training=training), Pipeline(augmentation=pipeline.augmentation, training=training)]


def costs_of(request: Request, student: str, pipelines: Sequence[Pipeline], reporter: Reporter) -> Costs:
    """Measures what is not known yet of a student with the request's teacher and members.

    Args:
        pipelines: Those that will be compared, with one training, resolved for the task.
    """
    kinds = {part.key: part for pipeline in pipelines for part in cost_parts(pipeline)}
    folder = _kept(request, student, "costs", *sorted(kinds))
    costs = recalled(folder, reporter, lambda folder: Costs.model_validate_json((folder / RECORD).read_text("utf-8")))
    if costs is None:
        costs = _measured(request, student, kinds, reporter)
        with keeping(folder) as aside:
            (aside / RECORD).write_text(costs.model_dump_json(indent=2), "utf-8")
    alone = _alone(request, student, next(iter(kinds.values())), costs.alone_seconds, reporter)
    return costs.model_copy(update={"student_alone_score": alone})


def _measured(request: Request, student: str, kinds: Mapping[str, Pipeline], reporter: Reporter) -> Costs:
    """All but what the student reaches alone."""
    from engine.base.machine import machine_for  # loads torch
    from engine.evaluation.linear import linear_measures
    from engine.run.costs import measure_costs
    from engine.run.plan import plan_run, with_pipeline
    from engine.run.record import score_facts
    from engine.run.teacher import prepare_teacher

    task, members, machine = request.task, request.members, machine_for(request.options, reporter)
    how: dict[str, Any] = {"fine_tuning": request.fine_tuning, "precision": machine.rounding}
    plan = plan_run(task, next(iter(kinds.values())), request.teacher, student, **how)
    plans = {name: with_pipeline(plan, each) for name, each in kinds.items()}
    if members:  # found before anything is trained
        team = Pipeline(team=AverageTeam(members=members), training=plan.pipeline.training)
        plan = plan_run(task, team, request.teacher, student, **how)
    reporter.message(FIRST.format(task=task.name, student=student))
    assert plan.teacher is not None  # such data are refused before
    ready = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    facts = score_facts(task, {"teacher": ready.measures, "linear": linear_measures(task)})
    measured = measure_costs(plans, ready, machine)
    step = min(measured.step_seconds.values())
    epoch = measured.steps_per_epoch * step + measured.evaluation_seconds
    return Costs(
        **_scores(task, facts),
        alone_seconds=(plan.training_alone.epochs or 1) * epoch,
        teacher_layers=plan.teacher.start.layers,
        teacher_hidden_size=plan.teacher.start.width,
        layers=plan.student.layers,
        hidden_size=plan.student.width,
        **vars(measured),
        members=list(_member_costs(members, plan, ready, machine)),
    )


def _alone(request: Request, student: str, pipeline: Pipeline, seconds: float, reporter: Reporter) -> float | None:
    """What the student reaches alone, measured once; None where nobody has, and it takes too many seconds."""
    folder = _kept(request, student, "alone", pipeline.training.model_dump_json())
    known = recalled(folder, reporter, lambda folder: float((folder / ALONE).read_text("utf-8")))
    if known is not None:
        return known
    share = OF_A_BUDGET / max(len(request.students), 1)
    if seconds > min(ALONE_SECONDS, share * (request.effort.budget or math.inf)):
        reporter.message(LONG.format(student=without_path(student), minutes=max(seconds / 60, 1)))
        return None

    from engine.base.machine import machine_for
    from engine.run.fine_tuning import student_alone_scores
    from engine.run.plan import plan_run

    task, machine = request.task, machine_for(request.options, reporter)
    how: dict[str, Any] = {"fine_tuning": request.fine_tuning, "precision": machine.rounding}
    plan = plan_run(task, pipeline, request.teacher, student, **how)
    score = student_alone_scores(plan, machine)[task.split].scores[task.metric]
    with keeping(folder) as aside:
        (aside / ALONE).write_text(repr(score), "utf-8")
    return score


def _scores(task: Task, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What teacher and simple models reach on this dataset, and what that means."""
    return {
        "teacher_score": facts["teacher_score"],
        "teacher_error": _error(facts["intervals"]["teacher"].get(next(iter(task.validation)), {}).get(task.metric)),
        "linear_score": facts["scores"].get("linear", {}).get(facts["split"], {}).get(task.metric),
        "trivial_score": facts["trivial_score"],
        "teacher_warnings": _teacher_warnings(task, facts),
    }


def _error(interval: Sequence[float] | None) -> float | None:
    """The standard error that a 95 % interval means."""
    return None if interval is None else (interval[1] - interval[0]) / IN_95


def _teacher_warnings(task: Task, facts: Mapping[str, Any]) -> list[str]:
    """What makes any ratio to this teacher mean little, in words; rows of one class tell nothing of a teacher."""
    metric, split, score, trivial = task.metric, facts["split"], facts["teacher_score"], facts["trivial_score"]
    low, linear = facts["intervals"]["teacher"][split][metric][0], facts["scores"].get("linear", {}).get(split)
    found: list[str] = []
    if task.kind == "classification" and len(set(task.held_out[split]["label"][:])) == 1:
        return found
    if trivial is not None and low <= trivial:
        always = constant_answer(task.kind, metric, task.labels[task.positive] if metric == "f1" else None)
        what = f"not clearly above that of {always} ({trivial:.3f})"
        found.append(f"The teacher's {metric} is {score:.3f}, {what}: the distillation ratio means little here.")
    if linear and score <= linear[metric]:
        what = f"no more than that of a linear model on TF-IDF ({linear[metric]:.3f})"
        found.append(f"The teacher's {metric} is {score:.3f}, {what}: {WRONG}.")
    return found


def _member_costs(names: Sequence[str], plan: RunPlan, teacher: Teacher, machine: Machine) -> Iterator[MemberCosts]:
    """The members of a plan, fine-tuned where they were not yet, as assistants of the teacher."""
    from engine.run.costs import measure_costs
    from engine.run.teacher import prepare_teacher, training_of

    task = plan.task
    held_out = next(iter(task.validation.values()))
    for name, member in zip(names, plan.members, strict=True):
        ready = prepare_teacher(member, task, plan.pipeline.training, machine, label=name)
        training = training_of(member, plan.pipeline.training)
        chain = replace(plan, task=task.labelled, pipeline=Pipeline(training=training).for_task(task.labelled))
        found = measure_costs({name: chain}, teacher, machine, (ready.model, ready.tokenizer))
        epoch = found.steps_per_epoch * found.step_seconds[name] + found.evaluation_seconds
        yield MemberCosts(
            name=name,
            parameters=found.parameters,
            scores=ready.scores,
            training_seconds=(training.epochs or 1) * epoch,
            signal_seconds=found.evaluation_seconds * task.examples / len(held_out),
        )


def describe_dataset(request: Request, reporter: Reporter) -> Dataset:
    """What the meta layer knows of a dataset: from the store, or counted and trained now and put there."""
    task, description, store = request.task, request.description, Store(request.store)
    for descriptors, words in store.datasets():
        if descriptors.fingerprint == task.fingerprint and description in ("", descriptors.description):
            identity = {"dataset": task.name, "source": task.source, "hub": task.hub}
            return Dataset(descriptors.model_copy(update=identity), words)

    from autodistill.datasets.bilstm import bilstm_score  # loads torch
    from engine.base.machine import machine_for

    score = bilstm_score(task, machine_for(request.options, reporter))
    descriptors = describe(task, description).model_copy(update={"bilstm_score": score})
    words = count_words(texts_of(task))
    store.add_dataset(descriptors, words)
    return Dataset(descriptors, words)


def _kept(request: Request, student: str, *what: str) -> Path:
    """Where what is measured of a student is kept: by everything that it depends on."""
    options, models = request.options, {"teacher": [request.teacher], "student": [student], "members": request.members}
    known = [[_model_identity(name, role) for name in names] for role, names in models.items()]
    cores = os.cpu_count(), os.environ.get("OMP_NUM_THREADS")
    machine = options.device, visible_gpus(), options.precision, options.int8_teacher, *cores
    identity = hash_of(request.task.fingerprint, *known, what, request.fine_tuning.model_dump_json(), *machine)
    about = f"{request.task.name}, {without_path(student)}"
    return kept(options.cache, "costs", maker(Path(__file__).parents[1]), identity, about=about)


def _model_identity(name: str, role: str) -> str:
    """Hash of a model's files, or the words of a name that builds one."""
    if not isinstance(parse_model(name, role), str):
        return name
    return model_hash(local_snapshot(name, role))
