"""AutoSKDBERT: the distribution over a team is searched, and its candidates are tried out.

Decided here: candidates share everything but their distribution; the best on the first held-out set stays.
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

from transformers import PreTrainedModel

from engine.base.files import read_sealed, write_sealed, written_atomically
from engine.base.progress import Reporter
from engine.models.forward import faster_attention
from engine.models.load import parameter_count
from engine.objective.equation import Objective
from engine.pipeline.team import AutoSKD
from engine.pipeline.training import Training
from engine.run.folder import Run
from engine.run.result import Candidate, Member
from engine.team.learner import Halves, TextStudent
from engine.team.phases import Found, Search
from engine.team.theta import Theta
from engine.training.batches import TrainingData
from engine.training.loop import Stage, load_best, train
from engine.training.state import LoopState, has_best

RATE = 1e-3  # of θ, the upper end of the paper's (appendix E)
SECOND_ORDER = 2 / 3  # steps of a search in second order, of those in first: either costs less than three trainings

Made = tuple[PreTrainedModel, Objective]  # a student with its objective
Start = Callable[[], Made]  # makes the student as it starts
StageOf = Callable[[str, Path, Made, TrainingData], Stage]
"""Makes the training of a student: its name, its folder, the student, what it is taught."""


def search(run: Run, teachers: Sequence[Member], start: Start, data: TrainingData) -> list[Found]:
    """One search for each learning rate of θ and each number of members to drop."""
    plan, machine = run.plan, run.machine
    spec = plan.pipeline.team
    assert isinstance(spec, AutoSKD)
    halves = Halves(data, plan.pipeline.training.batch_size, plan.seed)
    steps = search_steps(spec, plan.pipeline.training, len(halves))
    rates = spec.theta_learning_rate or (max(RATE, 2 / steps),)
    size = parameter_count(start()[0])
    drops = spec.dropped or (weaker([teacher.parameters for teacher in teachers], size),)
    searches = []
    for number, (rate, dropped) in enumerate(product(rates, drops)):
        folder = run.folder.work / f"search-{number}"
        if data.signals and data.signals.source == "online":
            run.count_passed(folder.name, halves.examples(steps))
        record = folder / "found.json"
        name = "search for θ" if number == 0 else f"search {number + 1} for θ"
        if not machine.agreed(_is_whole(record, name, machine.reporter)):
            how = spec.theta_weight_decay, spec.update, spec.slopes, spec.theta_epsilon
            theta = Theta(len(teachers), rate, *how)
            searched = _search(run, name, steps, theta, dropped, start, halves, folder)
            if machine.main:
                write_sealed(record, asdict(searched))
                (folder / "checkpoint.pt").unlink(missing_ok=True)
            machine.accelerator.wait_for_everyone()
        searches.append(Found(**read_sealed(record) or {}))
        dropped_names = ", ".join(teachers[index].name for index in searches[-1].dropped) or "none"
        machine.reporter.message(f"θ ends at {_shown(searches[-1].history[-1])}; dropped: {dropped_names}")
    return searches


def _is_whole(record: Path, name: str, reporter: Reporter) -> bool:
    """Whether what a search has found is there as it was written."""
    if not record.exists():
        return False
    whole = read_sealed(record) is not None
    if not whole:
        reporter.message(f"{name}: what it had found was damaged; it starts anew")
    return whole


def weaker(sizes: Sequence[int], student: int) -> int:
    """How many members to drop: those with fewer parameters than the student (appendix A.1), but two stay.

    Example:
        >>> weaker([90, 40, 20], student=30), weaker([90, 20, 10], student=30), weaker([90, 20], student=30)
        (1, 1, 0)
    """
    return max(0, min(sum(size < student for size in sizes), len(sizes) - 2))


def search_steps(spec: AutoSKD, training: Training, examples: int) -> int:
    """Steps of a search, each on one batch: as `AutoSKD.search_epochs` says.

    Example:
        >>> spec, training = AutoSKD(members=("layers:2",)), Training(batch_size=10, epochs=6)
        >>> search_steps(spec, training, examples=100)
        60
        >>> search_steps(spec.model_copy(update={"second_order": True}), training, examples=100)
        40
        >>> search_steps(spec.model_copy(update={"search_epochs": 6}), training, examples=100)
        30
    """
    if spec.search_epochs is not None:
        return spec.search_epochs * math.ceil(math.ceil(examples / 2) / training.batch_size)
    steps = math.ceil(examples / training.batch_size) * (training.epochs or 1)
    return math.ceil(SECOND_ORDER * steps) if spec.second_order else steps


def _search(
    run: Run, name: str, steps: int, theta: Theta, dropped: int, start: Start, halves: Halves, folder: Path
) -> Found:
    """One search, which every process makes for itself; that of the main one counts."""
    plan, machine = run.plan, run.machine
    spec, training = plan.pipeline.team, plan.pipeline.training
    assert isinstance(spec, AutoSKD)
    network, objective = start()
    begun = False

    def report(step: int, shares: list[float]) -> None:
        nonlocal begun
        if not begun:
            machine.reporter.start(name, steps, step - 1)
            begun = True
        machine.reporter.advance(name, note=f"θ {_shown(shares)}")

    faster_attention(network, machine.device)
    student = TextStudent(plan, network, objective, halves.data, machine)
    folder.mkdir(parents=True, exist_ok=True)
    search = Search(
        student=student,
        batches=halves,
        theta=theta,
        steps=steps,
        dropped=dropped,
        candidates=spec.candidates,
        second_order=spec.second_order,
        warmup=training.warmup,
        seed=plan.seed,
        folder=folder,
        checkpoint_seconds=machine.options.checkpoint_seconds,
        report=report,
        saved=machine.saved,
        reporter=machine.reporter,
    )
    found = search.run(keep=machine.main)
    machine.reporter.finish(name)
    return found


@dataclass(frozen=True)
class Tried:
    """Students that were trained to be compared; of a run that does not search there is one."""

    stage: Stage  # the training of the best one, with its weights
    state: LoopState  # how it went; where some pause, until `paused_after`
    candidates: list[Candidate]  # all distributions, with the scores so far
    states: list[LoopState]  # how all of them went
    paused_after: int | None  # the epoch that all which will go on have reached; None where none will


def try_out(
    run: Run, distributions: Sequence[Sequence[float]], start: Start, stage_of: StageOf, data: TrainingData
) -> Tried:
    """Trains a student with each distribution, and gives the one that is best.

    Where some pause, all are compared as they were after the epoch that these have reached, so those that stopped
    earlier by themselves compete, too, and none has run longer than others might.
    """

    def stage_with(number: int) -> Stage:
        assert data.team is not None
        team = replace(data.team, combination="drawn", distribution=tuple(distributions[number]))
        work = run.folder.work / f"candidate-{number}"
        return stage_of(f"candidate {number + 1}", work, start(), replace(data, team=team))

    states, paused_after = _trained(run, stage_with, len(distributions))
    compared = [_until(state, paused_after, run.plan.task.metric) for state in states]
    scores = [state.best_score for state in compared if state.best_score is not None]  # every one has an epoch
    best = max(range(len(scores)), key=scores.__getitem__)
    stage = stage_with(best)
    load_best(stage, states[best])
    scored = zip(distributions, scores, strict=True)
    candidates = [Candidate(distribution=list(shares), score=score) for shares, score in scored]
    return Tried(stage, compared[best], candidates, states, paused_after)


def _trained(run: Run, stage_with: Callable[[int], Stage], count: int) -> tuple[list[LoopState], int | None]:
    """Trains every candidate to its end or pause; those that have ended are remembered, by number.

    Returns:
        How each went; the epoch that all paused ones have reached.
    """
    machine, folder = run.machine, run.folder
    known = {int(number): LoopState(**state) for number, state in folder.recall("ended_candidates", {}).items()}
    ended = {number: state for number, state in known.items() if has_best(folder.work / f"candidate-{number}", state)}
    for number in sorted(known.keys() - ended.keys()):
        machine.reporter.message(f"candidate {number + 1}: the best weights were damaged; it starts anew")
    paused: dict[int, LoopState] = {}
    for number in sorted(set(range(count)) - ended.keys()):
        stage = stage_with(number)
        state = train(stage, machine)
        (paused if stage.paused(state) else ended)[number] = state
        if machine.main and number in ended:
            folder.remember(ended_candidates={known: asdict(each) for known, each in ended.items()})
            (stage.folder / "checkpoint.pt").unlink(missing_ok=True)
    states = ended | paused
    reached = min((state.epoch for state in paused.values()), default=None)
    return [states[number] for number in range(count)], reached


def _until(state: LoopState, epoch: int | None, metric: str) -> LoopState:
    """A training as it was after an epoch, or is, where it has come less far; what it has cost counts whole."""
    history = state.history[:epoch]
    best = max(history, key=lambda entry: entry["scores"][metric])  # the first of equal ones, as in the loop
    known = {"epoch": len(history), "best_epoch": best["epoch"], "best_score": best["scores"][metric]}
    return replace(state, history=history, epoch_seconds=state.epoch_seconds[:epoch], **known)


def write_history(path: Path, searches: Sequence[Found], teachers: Sequence[Member]) -> None:
    """Writes θ after each step of each search as CSV: search, step, and a column a teacher."""
    with written_atomically(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["search", "step", *(teacher.name for teacher in teachers)])
        for number, each in enumerate(searches, start=1):
            for step, shares in enumerate(each.history, start=1):
                writer.writerow([number, step, *(f"{share:.6f}" for share in shares)])


def _shown(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.3f}" for share in shares)
