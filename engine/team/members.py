"""The members of a team: made ready one after the other, asked once for all training examples.

Decided here: a member's weights are needed only until its logits are in the cache. Of a chain of assistants only
the last one teaches.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from engine.base.files import hash_of
from engine.evaluation.intervals import Measures
from engine.models.forward import accepted_inputs
from engine.models.load import parameter_count
from engine.models.start import Model
from engine.objective.equation import outputs_only
from engine.pipeline.team import AutoSKD, StochasticTeam, TeamSpec
from engine.pipeline.training import Training, Weights
from engine.run.fine_tuning import fine_tune
from engine.run.folder import Run
from engine.run.hard_labels import class_weights_in
from engine.run.plan import TeacherPlan
from engine.run.prepare import LOGITS, answering, cached_signals, seen_by
from engine.run.result import Member
from engine.run.teacher import Teacher, kept_teacher, prepare_teacher, training_of
from engine.signals.signals import OnlineSignals
from engine.signals.team import Combination, MemberSignals, TeamSignals
from engine.tokens.examples import Encoded, encode
from engine.training.batches import TrainingData

COMBINATIONS: dict[str, Combination] = {
    "average": "average",
    "assistants": "drawn",
    "weighted": "all",
    "stochastic": "drawn",
    "autoskd": "all",
}
"""Kind → what becomes of the members' logits; of autoskd while θ is searched."""


def gather(run: Run, teacher: Teacher, data: TrainingData, student: Model) -> tuple[list[Member], TeamSignals]:
    """Makes the team of a run ready.

    Args:
        data: The training examples through the student's tokenizer.

    Returns:
        The teacher, and the members in the order of the pipeline; what they say of the training examples.
    """
    plan, machine = run.plan, run.machine
    spec, training = plan.pipeline.team, plan.pipeline.training
    teachers = [_member(plan.teacher_name, teacher)]
    members: list[MemberSignals] = []
    for each, name in zip(plan.members, spec.members, strict=True):
        ready = prepare_teacher(each, plan.task, training, machine, label=name)
        teachers.append(_member(name, ready))
        if spec.kind != "assistants":
            members.append(_signals(run, ready, data.student, student, training))
    if spec.kind == "assistants":
        last = _last_assistant(run, teacher, teachers)
        members = [_signals(run, last, data.student, student, training)]
    level, combination = plan.task.token_level, COMBINATIONS[spec.kind]
    scaled = isinstance(spec, StochasticTeam | AutoSKD) and spec.scales(plan.task.kind)
    return teachers, TeamSignals(tuple(members), data.student, level, combination, _distribution(spec), scaled)


def _member(name: str, ready: Teacher) -> Member:
    return Member(name=name, parameters=parameter_count(ready.model), scores=ready.scores)


def _distribution(spec: TeamSpec) -> tuple[float, ...]:
    """Who is drawn how often, where somebody is."""
    if isinstance(spec, StochasticTeam):
        count = 1 + len(spec.members)
        return spec.distribution or (1 / count,) * count
    return () if isinstance(spec, AutoSKD) else (0.0, 1.0)  # nobody but the last assistant


def _signals(run: Run, ready: Teacher, examples: Encoded, student: Model, training: Training) -> MemberSignals:
    """What a member says of a student's training examples."""
    task = run.plan.task
    other = seen_by(ready, examples, student[1], task, training)
    online = OnlineSignals(answering(ready, run.machine), task.kind, other or examples, LOGITS, run.machine.accelerator)
    return MemberSignals(cached_signals(online, ready, run, always=True), other)


def _last_assistant(run: Run, teacher: Teacher, teachers: Sequence[Member]) -> Teacher:
    """The end of the chain that begins with the strongest member (TAKD)."""
    plan, metric = run.plan, run.plan.task.metric
    order = sorted(range(len(plan.team)), key=lambda index: -teachers[index].score(metric))
    strongest, *others = order
    before = teacher
    if strongest:
        before = prepare_teacher(plan.team[strongest], plan.task, plan.pipeline.training, run.machine)
    for index in others:
        before = _assistant(run, plan.team[index], before, teachers[index].name)
    return before


def _assistant(run: Run, own: TeacherPlan, before: Teacher, name: str) -> Teacher:
    """A member that learns from another one what the student is to learn, of the labelled rows."""
    plan, machine = run.plan, run.machine
    task, pipeline, training = plan.task.labelled, plan.pipeline, training_of(own, plan.pipeline.training)
    weights = Weights(prediction=pipeline.weights.prediction, hard_label=pipeline.weights.hard_label)
    how = [part.model_dump_json() for part in (weights, training, pipeline.prediction_for(task.kind))]
    key = hash_of(before.key, own.start.identity, own.training, machine.rounding, *how)

    def learn(model: Model, work: Path) -> Measures:
        objective = outputs_only(task.kind, pipeline.prediction, weights, class_weights_in(plan))
        examples = encode(task.train, task, model[1], training.max_length or 0, training.window_overlap)
        taught = _signals(run, before, examples, model, training)
        accepted = accepted_inputs(model[0])
        data = TrainingData(examples, accepted, taught.signals, taught.encoded, objective.aligned)
        tuning, taught_by = own.fine_tuning, (objective, data)
        return fine_tune(label, model, task, training, tuning.seed, work, machine, taught_by, **tuning.less_memory)

    label = f"{name} as assistant"
    return kept_teacher(key, task, partial(own.begin, task, machine), learn, machine, label, training.max_length)
