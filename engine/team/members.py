"""The members of a team: made ready one after the other, asked once for all training examples.

Decided here: a member's weights are needed only until its logits are in the cache. Of a chain of
assistants only the last one teaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.metrics import Scores
from engine.models.forward import accepted_inputs
from engine.models.load import parameter_count
from engine.objective.equation import outputs_only
from engine.pipeline.team import AutoSKD, StochasticTeam, TeamSpec
from engine.pipeline.training import Weights
from engine.run.fine_tuning import Model, fine_tune
from engine.run.plan import RunPlan
from engine.run.prepare import Passes, cached_signals, seen_by, signals_of
from engine.run.result import Member
from engine.run.teacher import Teacher, TeacherPlan, kept_teacher, load_start, prepare_teacher, training_of
from engine.signals.team import Combination, MemberSignals, TeamSignals
from engine.tokens.examples import encode
from engine.training.batches import TrainingData

COMBINATIONS: dict[str, Combination] = {
    "average": "average",
    "assistants": "drawn",
    "weighted": "all",
    "stochastic": "drawn",
    "autoskd": "all",
}
"""Policy → what becomes of the members' logits; of autoskd while θ is searched."""


@dataclass(frozen=True)
class Team:
    """A team that is ready to teach.

    Args:
        teachers: The teacher, and the members in the order of the pipeline.
        signals: What they say of the training examples.
    """

    teachers: list[Member]
    signals: TeamSignals


def gather(
    plan: RunPlan, teacher: Teacher, data: TrainingData, student: Model, passes: Passes, machine: Machine
) -> Team:
    """Makes the team of a run ready.

    Args:
        data: The training examples through the student's tokenizer.
        passes: Counts what goes through a member.
    """
    spec, training = plan.pipeline.team, plan.pipeline.training
    teachers = [_member(plan.teacher_name, teacher)]
    members: list[MemberSignals] = []
    ask = partial(_signals_of_member, plan, data, student, passes, machine)
    for each, name in zip(plan.members, spec.members, strict=True):
        ready = prepare_teacher(each, plan.task, training, machine, label=name)
        teachers.append(_member(name, ready))
        if spec.kind != "assistants":
            members.append(ask(ready))
    if spec.kind == "assistants":
        members = [ask(_last_assistant(plan, teacher, teachers, passes, machine))]
    signals = TeamSignals(
        tuple(members), data.student, plan.task.token_level, COMBINATIONS[spec.kind], _distribution(spec)
    )
    return Team(teachers, signals)


def _member(name: str, ready: Teacher) -> Member:
    return Member(name=name, parameters=parameter_count(ready.model), scores=ready.scores)


def _distribution(spec: TeamSpec) -> tuple[float, ...]:
    """Who is drawn how often, where somebody is."""
    if isinstance(spec, StochasticTeam):
        count = 1 + len(spec.members)
        return spec.distribution or (1 / count,) * count
    return () if isinstance(spec, AutoSKD) else (0.0, 1.0)  # nobody but the last assistant


def _signals_of_member(
    plan: RunPlan, data: TrainingData, student: Model, passes: Passes, machine: Machine, ready: Teacher
) -> MemberSignals:
    """What a member says of the training examples."""
    other = seen_by(ready, data.student, student[1], plan.task, plan.pipeline.training)
    online = signals_of(ready, other or data.student, plan.task, machine)
    return MemberSignals(cached_signals(online, ready, plan, passes, machine, always=True), other)


def _last_assistant(
    plan: RunPlan, teacher: Teacher, teachers: Sequence[Member], passes: Passes, machine: Machine
) -> Teacher:
    """The end of the chain that begins with the strongest member (TAKD)."""
    metric = plan.task.metric
    plans = [plan.teacher, *plan.members]
    order = sorted(range(len(plans)), key=lambda place: -teachers[place].score(metric))
    strongest, *others = order
    training = plan.pipeline.training
    before = teacher if strongest == 0 else prepare_teacher(plans[strongest], plan.task, training, machine)
    for place in others:
        before = _assistant(plan, plans[place], before, teachers[place].name, passes, machine)
    return before


def _assistant(
    plan: RunPlan, own: TeacherPlan, before: Teacher, name: str, passes: Passes, machine: Machine
) -> Teacher:
    """A member that learns from another one what the student is to learn."""
    task, pipeline, training = plan.task, plan.pipeline, training_of(own, plan.pipeline.training)
    weights = Weights(prediction=pipeline.weights.prediction, hard_label=pipeline.weights.hard_label)
    how = [part.model_dump_json() for part in (weights, training, pipeline.prediction_for(task.kind))]
    key = hash_of(before.key, own.identity, own.fine_tuning.model_dump_json(exclude={"when"}), *how)

    def learn(model: Model, work: Path) -> Scores:
        objective = outputs_only(task.kind, pipeline.prediction, weights)
        examples = encode(task.train, task, model[1], training.max_length or 0, training.window_overlap)
        other = seen_by(before, examples, model[1], task, training)
        online = signals_of(before, other or examples, task, machine)
        signals = cached_signals(online, before, plan, passes, machine, always=True)
        data = TrainingData(examples, accepted_inputs(model[0]), signals, other, objective.aligned)
        seed = own.fine_tuning.seed
        return fine_tune(label, model, task, training, seed, work, machine, (objective, data))

    label = f"{name} as assistant"
    return kept_teacher(key, task, partial(load_start, own, task, machine), learn, machine, label)
