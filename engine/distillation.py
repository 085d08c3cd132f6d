"""`distill`: one run from a dataset and two model names to a student and its record.

The order is the promise: whatever can be known to be wrong is reported before anything is loaded or trained; each
stage leaves something that a later process can go on from; the record is written last, whole.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from engine.base.checks import check_place, check_seed
from engine.base.errors import DiskError, InputError, OutOfMemory, RunError
from engine.base.files import ANSWERS_FILE, disk_errors, hash_of, write_text
from engine.base.machine import machine_for, out_of_memory
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.load import identified, load_task
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out
from engine.evaluation.intervals import Measures, in_words
from engine.evaluation.linear import linear_measures
from engine.models.files import config_faults, tokenizer_faults, weight_faults
from engine.models.given import name_of
from engine.models.names import start_of_name
from engine.models.question import is_asked
from engine.models.start import Model, begin
from engine.objective.equation import Objective
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.presets import usual_preset
from engine.pipeline.read import dump_pipeline, load_pipeline
from engine.run.calibration import calibrate
from engine.run.card import write_card
from engine.run.fine_tuning import student_alone_scores
from engine.run.folder import Run, RunFolder
from engine.run.hard_labels import class_weights_in_words, idle_class_weights
from engine.run.plan import check_batch, check_trains, plan_run
from engine.run.prepare import cached_data, course_of, given_data, objective_for, online_data
from engine.run.record import (
    cut_warnings,
    measures_of,
    now,
    record_of,
    score_facts,
    sizes,
    speeds,
    training_facts,
    write_answers,
)
from engine.run.result import Expected, Member, RunResult, TeamResult
from engine.run.teacher import Teacher, idle_fine_tuning, prepare_teacher, soft_measures
from engine.run.verdict import verdict
from engine.team.members import gather
from engine.team.phases import Found
from engine.team.search import Made, Tried, search, try_out, write_history
from engine.tokens.examples import cut_in_words
from engine.training.batches import TrainingData
from engine.training.loop import Stage, measured_best, train

LESS_MEMORY = "a smaller training.batch_size with more training.gradient_accumulation takes less"


def distill(
    data: Any,
    *,
    teacher: Any = "",
    student: str,
    pipeline: Pipeline | str | Path | Mapping[str, Any] | None = None,
    out: str | Path,
    seed: int = 0,
    student_alone: bool = False,
    until_epoch: int | None = None,
    expected: Expected = Expected(),  # noqa: B008 - frozen
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    reporter: Reporter | None = None,
    **columns: Any,
) -> RunResult:
    """Distils a student for a dataset and writes it with its record into a folder.

    Args:
        data: A hub name, a file, a folder, `demo`, a DataFrame, a `datasets` object, or a `Task`.
        teacher: A hub name, a folder, `scratch:layers=L,hidden=H`, or a model of transformers with its tokenizer in
            memory: `(model, tokenizer)`; none where the data bring soft labels.
        student: One of these names, `layers:K` for K layers of the teacher, or what is no transformer: `lstm`,
            `static`.
        pipeline: A `Pipeline`, a preset's name, a file or a mapping; None: mi_alpha, of a static student, and where no
            model teaches, or one that is asked in words, vanilla_kd.
        out: Folder of the run. The same run started again there goes on where it stopped.
        seed: Of the student's start, the order of examples and dropout.
        student_alone: Whether the student is also fine-tuned without a teacher, to compare.
        until_epoch: The epoch after which the student's training pauses. Its schedule stays that of all
            epochs, so the same call with a later epoch, or none, goes on as if it had never paused.
        expected: What the run is compared with, beside its teacher.
        columns: `text`, `text_pair`, `label`, `kind` and others of `engine.data.load.load_task`.

    Returns:
        The record of the run, which is also in `out/result.json`. Where the training pauses, its status
        is `pruned`: it holds the figures so far, and no student is saved yet.

    Raises:
        InputError: The input cannot be used; nothing was trained.
        RunError: The run failed on its way, such as by a loss that is not finite.
    """
    _check(until_epoch, seed, Path(out), options.cache)
    machine = machine_for(options, reporter)
    teacher = name_of(teacher, options.cache, machine.reporter)
    usual = usual_preset(start_of_name(student), bool(teacher) and not is_asked(teacher, fine_tuning))
    chosen = load_pipeline(usual if pipeline is None else pipeline)
    task = identified(data) if isinstance(data, Task) else load_task(data, **columns)
    for note in task.notes:
        machine.reporter.message(note)
    plan = plan_run(task, chosen, teacher, student, seed=seed, fine_tuning=fine_tuning, precision=machine.rounding)
    for note in (*class_weights_in_words(plan), *idle_class_weights(plan), *idle_fine_tuning(plan, fine_tuning)):
        machine.reporter.message(note)
    check_batch(plan.pipeline, machine.accelerator.num_processes)
    with machine.accelerator.main_process_first():  # one empties the folder, where that was asked for
        folder = RunFolder(out, plan.identity, options.overwrite)
    known = folder.finished() or folder.paused(until_epoch)
    if known and not _lacking(known, student_alone, expected):
        if machine.main and known.status == "ok":
            folder.tidy()
        machine.reporter.message(_state(known, folder))
        return known
    check_trains(plan, machine)
    run = Run(plan, folder, machine)
    if not machine.main:
        return _carry_out(run, student_alone, until_epoch, expected)
    if folder.damaged:
        machine.reporter.message(f"What was remembered of the run in {folder.path} was damaged: it begins anew.")
    with disk_errors(folder.path), folder.locked():
        folder.remember(epochs=plan.pipeline.training.epochs)
        try:
            return _carry_out(run, student_alone, until_epoch, expected)
        except (MemoryError, RuntimeError) as error:
            if not (what := out_of_memory(error)):
                raise
            raise OutOfMemory(f"{what}; {LESS_MEMORY}") from error
        except RunError as error:
            if known is None and not isinstance(error, DiskError):  # with which nothing is wrong with the run
                folder.close(record_of(run, status="failed", reason=str(error)))
            raise


def _check(until_epoch: int | None, seed: int, out: Path, cache: Path) -> None:
    """Raises InputError where a run cannot begin, whatever its data and models are."""
    if until_epoch is not None and until_epoch < 1:
        raise InputError.of("until_epoch", "out of range", until_epoch, ("at least 1",))
    check_seed(seed)
    check_place("--out", out)
    check_place("--cache-dir", cache)


def _state(known: RunResult, folder: RunFolder) -> str:
    """What is said of a run that has nothing left to do, and of its student where that cannot be used."""
    if known.status != "ok":
        return f"This run pauses after epoch {known.epochs}: its result is in {folder.path}."
    faults = chain(*(of_files(folder.path) for of_files in (config_faults, tokenizer_faults, weight_faults)))
    fault = next(faults, "")
    but = f" But its student cannot be used: {fault}; --overwrite makes it anew." if fault else ""
    return f"This run is finished: its result is in {folder.path}.{but}"


def _carry_out(run: Run, student_alone: bool, until_epoch: int | None, expected: Expected) -> RunResult:
    """The stages of a run, in order."""
    if known := run.folder.finished():  # perhaps by another process, just before the lock was ours
        return _compared(known, run, expected) if _lacking(known, student_alone, expected) else known
    plan, machine = run.plan, run.machine
    with run.stage("teacher"):
        planned, training = plan.teacher, plan.pipeline.training
        teacher = prepare_teacher(planned, plan.task, training, machine) if planned else None
        reached = teacher.measures if teacher else soft_measures(plan.task)
    measures = {"teacher": reached} if reached else {}
    if student_alone:
        with run.stage("student_alone"):
            measures["student_alone"] = student_alone_scores(run.plan, run.machine)

    best, tokenizer, team, searches = train_student(run, teacher, until_epoch)
    stage, state = best.stage, best.state
    paused = best.paused_after is not None
    calibration, doubts = ({}, []) if paused else calibrate(run, teacher, stage.student, stage.held_out)
    with run.stage("measuring"):
        measures["student"] = measured_best(stage, state, machine, paused)
    machine.reporter.message(f"student: {in_words(measures['student'])}")
    if not paused:  # nothing is said of a student that will go on
        with run.stage("simple_models"):
            measures |= _others(run, expected)

    facts = score_facts(plan.task, measures)
    facts |= {"predicted_ratio": expected.ratio} | sizes(stage.student)
    facts |= sizes(teacher.model, "teacher_") if teacher else {}
    facts |= training_facts(run, stage.data, state, best.states) | {"team": team, "calibration": calibration}
    said = (*cut_warnings(stage.data.student, plan), *stage.objective.notes, *idle_class_weights(plan))
    facts["warnings"] = [*said, *doubts]
    if paused:
        return _write(record_of(run, status="pruned", paused_after=best.paused_after, **facts), run)
    with run.stage("measuring"):
        facts |= speeds(run, teacher, (stage.student, tokenizer), stage.held_out)
    if team and searches and machine.main:
        run.folder.owns("theta.csv", "theta.png")  # which is drawn beside it
        write_history(run.folder.path / "theta.csv", searches, team.teachers)
    if machine.main:
        run.folder.owns(ANSWERS_FILE)
        write_answers(run.folder.path / ANSWERS_FILE, plan.task, measures)
    return _write(record_of(run, status="ok", **facts), run)


def train_student(
    run: Run, teacher: Teacher | None, until_epoch: int | None
) -> tuple[Tried, PreTrainedTokenizerBase, TeamResult | None, list[Found]]:
    """Trains the student of a run, or goes on training it: from a teacher, or a team.

    Args:
        teacher: None where the data bring soft labels.
        until_epoch: After which epoch the training pauses; that of each candidate, where there are some.

    Returns:
        The student's training, or of several that were tried the best one's; its tokenizer; who taught, where it
        was not one teacher alone; the searches for who should teach.
    """
    plan, machine = run.plan, run.machine
    task, training = plan.task, plan.pipeline.training

    donor = teacher.as_model if teacher else None

    def start() -> Made:
        network, _ = begin(plan.student, task, plan.seed, machine, donor)
        return network, objective_for(plan, teacher, network)

    def stage_of(name: str, folder: Path, made: Made, data: TrainingData) -> Stage:
        own = data.owned_by(hash_of(plan.identity, folder.absolute()))
        return Stage(name, folder, task, *made, own, training, plan.seed, held_out, until_epoch)

    with run.stage("signals"):
        student, tokenizer = begin(plan.student, task, plan.seed, machine, donor)
        held_out = encode_held_out(task, tokenizer, training)
        objective = objective_for(plan, teacher, student)
        data = _taught(run, teacher, (student, tokenizer), objective)
        teachers: list[Member] = []
        if teacher and plan.members:
            teachers, signals = gather(run, teacher, data, (student, tokenizer))
            data = replace(data, team=signals)
    searches: list[Found] = []
    if plan.pipeline.team.kind == "autoskd":
        with run.stage("search"):
            searches = search(run, teachers, start, data)
    with run.stage("student"):
        if searches:
            distributions = list(dict.fromkeys(tuple(shares) for each in searches for shares in each.candidates))
            best = try_out(run, distributions, start, stage_of, data)
        else:
            stage = stage_of("student", run.folder.work / "student", (student, objective), data)
            state = train(stage, machine)
            best = Tried(stage, state, [], [state], state.epoch if stage.paused(state) else None)
    team, taught = None, best.stage.data.team
    if taught is not None:
        shares = list(taught.distribution) if plan.pipeline.team.kind in ("stochastic", "autoskd") else None
        team = TeamResult(teachers=teachers, distribution=shares, candidates=best.candidates)
    return best, tokenizer, team, searches


def _taught(run: Run, teacher: Teacher | None, student: Model, objective: Objective) -> TrainingData:
    """The training examples with what teaches: the teacher's signals, or the soft labels of the data."""
    plan, machine = run.plan, run.machine
    data = online_data(plan, teacher, student, objective, machine) if teacher else given_data(plan, student, machine)
    cut = cut_in_words(data.student, plan.task, plan.pipeline.training.max_length or 0, plan.most_tokens, plan.asks)
    for sentence in (*objective.notes, *cut, *course_of(plan, data).notes):
        machine.reporter.message(f"student: {sentence}")
    return cached_data(data, teacher, student[1], run) if teacher else data


def _others(run: Run, expected: Expected) -> dict[str, Measures]:
    """What is expected of other models, and of a linear one where the kind of task has it."""
    linear = linear_measures(run.plan.task)
    found = {role: measured(run.plan.task, run.machine) for role, measured in expected.others.items()}
    return found | ({"linear": linear} if linear else {})


def _lacking(known: RunResult, student_alone: bool, expected: Expected) -> bool:
    """Whether a run is to be compared with what it was not compared with yet; one that pauses, with itself alone."""
    others = expected.others.keys() if known.status == "ok" else set()
    return student_alone and (known.student_alone_score is None or not others <= known.scores.keys())


def _compared(known: RunResult, run: Run, expected: Expected) -> RunResult:
    """A finished run with the student alone beside it, and what else is known now; nothing else is done again."""
    with run.stage("student_alone"):
        alone = student_alone_scores(run.plan, run.machine)
        measures = measures_of(known) | {"student_alone": alone, **_others(run, expected)}
    stages = known.stage_seconds | run.stage_seconds
    others: dict[str, Any] = {"stage_seconds": stages, "seconds": sum(stages.values()), "finished_at": now()}
    others |= {"warnings": known.warnings}
    return _write(RunResult(**known.model_dump() | score_facts(run.plan.task, measures) | others), run)


def _write(result: RunResult, run: Run) -> RunResult:
    """Writes what lies beside a finished student, the record last; of a pausing run the record, beside its work."""
    result = result.model_copy(update={"verdict": verdict(result)})
    if run.machine.main and result.status == "pruned":
        run.folder.write(result)
    elif run.machine.main:
        run.folder.owns("pipeline.toml", "README.md")
        write_text(run.folder.path / "pipeline.toml", dump_pipeline(run.plan.pipeline, "toml"))
        write_card(run.folder.path, result, run.plan.task)
        result = run.folder.close(result)
    return run.machine.agreed(result)
