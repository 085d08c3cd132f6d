"""From a teacher, or a team, to a trained student: the middle of a run.

Decided here: in which order teachers, their signals and students come to be, and what of it can pause.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from engine.base.machine import Machine
from engine.evaluation.inference import encode_held_out
from engine.run.folder import RunFolder
from engine.run.plan import RunPlan
from engine.run.prepare import Passes, cached_signals, objective_for, online_data
from engine.run.record import Watch
from engine.run.result import TeamResult
from engine.run.student import make_student
from engine.run.teacher import Teacher
from engine.signals.signals import OnlineSignals
from engine.team.members import Team, gather
from engine.team.phases import Found
from engine.team.search import Made, TriedOut, search, try_out
from engine.training.batches import TrainingData
from engine.training.loop import Stage, train
from engine.training.state import LoopState


@dataclass
class Taught:
    """A student that has been trained, or whose training pauses.

    Args:
        stage: Its training; the student has the weights of its best epoch.
        tokenizer: The student's.
        passed: Training examples that went through teachers before: to fill the cache, and in searches.
        examples: What the student has seen, repetitions and every other candidate's counted.
        team: Who taught, where it was not one teacher alone.
        found: The searches for who should teach.
    """

    stage: Stage
    state: LoopState
    tokenizer: PreTrainedTokenizerBase
    passed: int
    examples: int
    team: TeamResult | None = None
    found: list[Found] = field(default_factory=list)


def teach(
    plan: RunPlan,
    teacher: Teacher,
    folder: RunFolder,
    watch: Watch,
    until_epoch: int | None,
    machine: Machine,
) -> Taught:
    """Trains the student of a run, or goes on training it.

    Args:
        until_epoch: After which epoch the training pauses; that of each candidate, where there are some.
    """
    task, training = plan.task, plan.pipeline.training
    student, tokenizer = make_student(plan.student, (teacher.model, teacher.tokenizer), task, plan.seed)
    held_out = encode_held_out(task, tokenizer, training)
    passes = Passes(folder, machine)
    objective = objective_for(plan, teacher, student)
    data = online_data(plan, teacher, (student, tokenizer), objective, machine)
    assert isinstance(data.signals, OnlineSignals)
    data = replace(data, signals=cached_signals(data.signals, teacher, plan, passes, machine))

    def start() -> Made:
        fresh, _ = make_student(plan.student, (teacher.model, teacher.tokenizer), task, plan.seed)
        return fresh, objective_for(plan, teacher, fresh)

    def stage_of(name: str, place: Path, made: Made, data: TrainingData) -> Stage:
        return Stage(name, place, task, *made, data, training, plan.seed, held_out, until_epoch)

    team = None
    if plan.members:
        team = gather(plan, teacher, data, (student, tokenizer), passes, machine)
        data = replace(data, team=team.signals)
    watch.lap("signals")
    if team and plan.pipeline.team.kind == "autoskd":
        found = search(plan, team.teachers, start, data, folder, passes, machine)
        watch.lap("search")
        distributions = list(dict.fromkeys(tuple(shares) for each in found for shares in each.candidates))
        tried = try_out(distributions, start, stage_of, data, folder, machine)
    else:
        stage = stage_of("student", folder.work / "student", (student, objective), data)
        state = train(stage, machine)
        found, tried = [], TriedOut(stage, state, [], state.examples)
    watch.lap("student")
    result = None if team is None else _team_result(plan, team, tried)
    return Taught(tried.stage, tried.state, tokenizer, passes.total, tried.examples, result, found)


def _team_result(plan: RunPlan, team: Team, tried: TriedOut) -> TeamResult:
    """Who taught the best student, how often where somebody is drawn, and what else was tried."""
    drawn, signals = plan.pipeline.team.kind in ("stochastic", "autoskd"), tried.stage.data.team
    shares = list(signals.distribution) if drawn and signals else None
    return TeamResult(teachers=team.teachers, distribution=shares, candidates=tried.candidates)
