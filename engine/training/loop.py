"""The training loop: one for students, for students without a teacher, and for teachers.

It reads from top to bottom. Equation 1 is optimised exactly as it is logged; nothing is fetched from the device per
step for the sake of logging; the best epoch on the first held-out set is kept; a kill costs time, never another result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.tracking import TensorBoardTracker
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.base.errors import DiskError, InputError
from engine.base.files import checksum, written_atomically
from engine.evaluation.inference import measured_on, scores_on
from engine.evaluation.intervals import Measured, Measures
from engine.models.forward import Features, faster_attention, forward
from engine.models.output import change_unit
from engine.models.shallow import layer_stack
from engine.models.sharded import Gathered, sharded
from engine.pipeline.schedule import Course
from engine.training.batches import (
    Stream,
    TrainingData,
    count_together,
    examples_in,
    steps_in_all,
    steps_in_epoch,
    to_answer,
)
from engine.training.optimiser import clip_gradients, optimizer_for, schedule, set_learning_rate, step_seed
from engine.training.state import (
    Clock,
    LoopState,
    Meter,
    best_file,
    has_best,
    interrupted,
    interrupts_held,
    resumed,
    save_checkpoint,
)
from engine.training.used_rows import all_rows, left_by_decay, restore_rows, use_rows

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from engine.base.machine import Machine
    from engine.data.task import Task, TaskKind, Unit
    from engine.objective.equation import Objective
    from engine.pipeline.training import Training
    from engine.tokens.batch import Batch
    from engine.tokens.examples import Encoded


PERFECT = 1.0  # the highest value of every score


class Trainee(nn.Module):
    """The student with its objective, as one module that processes can share."""

    def __init__(self, student: nn.Module, objective: Objective, kind: TaskKind):
        super().__init__()
        self.student, self.objective, self.kind = student, objective, kind

    def forward(self, batch: Batch, teacher: Features | None) -> dict[str, Tensor]:
        """The weighted terms of equation 1, one scalar each."""
        layers = self.objective.student_layers_used if batch.inside else ()
        attention = self.objective.student_attention_used if batch.inside else ()
        student = forward(self.student, batch.inputs, self.kind, layers, attention=attention)
        said = batch.labels, batch.totals, batch.alignment, batch.label_alignment
        which = {"augmented": batch.augmented, "labelled": batch.labelled, "weights": batch.weights}
        return self.objective(student, teacher, *said, **which)


@dataclass
class Stage:
    """One training: of the teacher, of the student, or of the student without a teacher."""

    name: str  # shown with the progress
    folder: Path  # where the checkpoint and the best weights are kept
    task: Task
    student: PreTrainedModel
    objective: Objective
    data: TrainingData
    training: Training
    seed: int
    held_out: Mapping[str, Encoded]  # the first one decides which epoch is best; no other is seen before the end
    until_epoch: int | None = None  # after which the training pauses; its schedule stays that of all epochs
    sharded: bool = False  # whether it lies in pieces on all processes while it trains

    @property
    def unit(self) -> Unit:
        """Of what is learned: the student answers in it while it trains."""
        return self.data.student.unit

    @property
    def epochs(self) -> int:
        """Epochs of the whole training."""
        return self.training.epochs or 1

    @property
    def course(self) -> Course:
        """The weights of its objective, step by step."""
        steps = steps_in_all(len(self.data), self.training)
        return Course(self.objective.weights, self.objective.schedule, steps)

    @property
    def last_epoch(self) -> int:
        """The epoch after which the training is over or pauses."""
        return min(self.epochs, self.until_epoch or self.epochs)

    def settled(self, state: LoopState) -> bool:
        """Whether `early_stopping` ends it: the score has not risen for so many epochs, or cannot rise any more."""
        patience = self.training.early_stopping
        of_layers = self.course.first // steps_in_epoch(len(self.data), self.training)  # whose scores say nothing
        waited = state.epoch - max(state.best_epoch or 0, of_layers)
        return patience > 0 and (state.best_score == PERFECT or patience <= waited)

    def paused(self, state: LoopState) -> bool:
        """Whether the training is to go on."""
        return state.epoch < self.epochs and not self.settled(state)


@interrupts_held()
def train(stage: Stage, machine: Machine) -> LoopState:
    """Trains `stage.student` and leaves it with the weights of its best epoch.

    While it trains, values are learned and answered with mean 0 and deviation 1; the scores of regression are
    correlations, which do not see it. A training that pauses leaves a checkpoint, from which the next call goes on; so
    does one that Ctrl-C stops.

    Raises:
        NonFiniteLossError: A term of the loss became NaN or infinite.
        KeyboardInterrupt: Ctrl-C was pressed; the step or evaluation under way came to its end first.
    """
    accelerator, reporter = machine.accelerator, machine.reporter
    training, whole = stage.training, stage
    first = next(iter(stage.held_out))
    change_unit(stage.student, stage.unit.inverse)
    stage, trainee, optimizer, parts = _ready(stage, accelerator)
    student = stage.student
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(torch.amp.GradScaler().state_dict())  # not the last training's
        parts["scaler"] = accelerator.scaler
    checkpoint = stage.folder / ("sharded.pt" if stage.sharded else "checkpoint.pt")
    state = resumed(stage.name, checkpoint, parts, LoopState, reporter) or LoopState()
    epochs, per_epoch = stage.epochs, steps_in_epoch(len(stage.data), training)
    clock = Clock(machine.options.checkpoint_seconds, machine.saved)
    log = _log_in(stage.folder) if machine.options.tensorboard else None
    reporter.start(stage.name, stage.last_epoch * per_epoch, state.step, most=training.early_stopping > 0)
    attention = faster_attention(student, machine.device)
    stream = Stream(stage.data, training, stage.seed, stage.last_epoch, accelerator, stage.course)
    steps = stream.from_step(state.step)

    while state.epoch < stage.last_epoch and not stage.settled(state):
        meter = Meter(state.term_sums)
        trainee.train()
        started = time.perf_counter()
        for batches in islice(steps, per_epoch - state.step_in_epoch):
            state.waited += time.perf_counter() - started
            # A step's random numbers depend on nothing but its number, so a resumed run repeats them.
            torch.manual_seed(step_seed(stage.seed, state.step, accelerator.process_index))
            set_learning_rate(optimizer, schedule(state.step, epochs * per_epoch, training.warmup))

            state.answered += to_answer(batches)
            batches = stage.data.answered(batches, state.step)
            losses = optimise(batches, stage, trainee, optimizer, accelerator)

            state.step += 1
            state.step_in_epoch += 1
            state.examples += examples_in(batches)
            now = time.perf_counter()
            state.seconds, started = state.seconds + now - started, now
            meter.add(losses, state.step)
            note = ""
            if accelerator.is_main_process and clock.report_due():
                means = meter.means(state.step_in_epoch)
                note = f"loss {sum(means.values()):.4f}"
                _log(log, "loss", means, state.step)
            reporter.advance(stage.name, note=note)
            if _all_or_main(stage, machine, accelerator.is_main_process and clock.checkpoint_due()):
                state.term_sums = meter.sums()
                stage.data.settle()
                save_checkpoint(checkpoint, state, parts, accelerator.is_main_process)
                clock.checkpoint_saved()

        terms = meter.means(state.step_in_epoch)
        scores = scores_on(student, stage.task, {first: stage.held_out[first]}, accelerator, reporter)[first]
        score = scores[stage.task.metric]
        state.end_epoch(terms, scores)
        _log(log, "score", scores, state.epoch)
        reporter.message(f"{stage.name}: epoch {state.epoch} of {epochs}, {stage.task.metric} {score:.4f}")
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_epoch, state.best_checksum = score, state.epoch, ""
            if stage.sharded:
                Gathered(student).fill(whole.student)
            if accelerator.is_main_process:
                _save_best(whole, state, left_by_decay(training, state.step, epochs * per_epoch))

    if stage.settled(state) and state.epoch < epochs:
        nothing = "nothing can be" if state.best_score == PERFECT else "nothing was"
        reporter.message(f"{stage.name}: stops, as {nothing} better than epoch {state.best_epoch}")
    stage.data.settle()
    if _all_or_main(stage, machine, accelerator.is_main_process and (stage.paused(state) or interrupted())):
        save_checkpoint(checkpoint, state, parts, accelerator.is_main_process)
    restore_rows(student)
    student.set_attn_implementation(attention)
    if log is not None:
        log.finish()
    reporter.finish(stage.name)
    accelerator.wait_for_everyone()
    load_best(whole, state)
    accelerator.wait_for_everyone()  # the main process may remove the folder now
    accelerator.free_memory(trainee, optimizer)
    return state


def _ready(stage: Stage, accelerator: Accelerator) -> tuple[Stage, nn.Module, Optimizer, dict[str, Any]]:
    """The stage with what learns as its student, that with its objective as one module, the optimiser, and the parts of
    a checkpoint."""
    objective, training = stage.objective, stage.training
    if not stage.sharded:
        use_rows(stage.student, stage.data, next(iter(stage.held_out.values())))
        own = optimizer_for(stage.student, objective, training)
        trainee, optimizer = accelerator.prepare(Trainee(stage.student, objective, stage.task.kind), own)
        return stage, trainee, optimizer, {"student": stage.student, "objective": objective, "optimizer": optimizer}
    stage = replace(stage, student=sharded(stage.student, layer_stack(stage.student), accelerator.device))
    own = optimizer_for(stage.student, objective, training)
    parts = {"student": Gathered(stage.student), "optimizer": Gathered(stage.student, own)}
    objective.to(accelerator.device)
    return stage, Trainee(stage.student, objective, stage.task.kind), accelerator.prepare(own), parts


def _all_or_main(stage: Stage, machine: Machine, asked: bool) -> bool:
    """What the main process asks for: of itself alone, or of all where it holds a piece only."""
    return machine.agreed(asked) if stage.sharded else asked


def _save_best(stage: Stage, state: LoopState, decayed: float) -> None:
    with written_atomically(best_file(stage.folder, state)) as aside, all_rows(stage.student, decayed):
        save_model(stage.student, str(aside))
        state.best_checksum = checksum(aside)


def load_best(stage: Stage, state: LoopState) -> None:
    """Gives the student of a stage the weights of its best epoch, with which it answers in the user's unit.

    Raises:
        DiskError: They are not as they were written.
    """
    if state.best_checksum and not has_best(stage.folder, state):
        what = f"{best_file(stage.folder, state)} is not as it was written"
        raise DiskError(f"{stage.name}: {what}; the same command trains it anew")
    load_model(stage.student, best_file(stage.folder, state))
    change_unit(stage.student, stage.unit)


def _log_in(folder: Path) -> TensorBoardTracker:
    log = TensorBoardTracker("tensorboard", folder)
    try:
        log.start()
    except ImportError as error:
        raise InputError.of("--tensorboard", "tensorboard is not installed; pip install tensorboard") from error
    return log


def _log(log: TensorBoardTracker | None, group: str, values: Mapping[str, float], step: int) -> None:
    if log is not None:
        log.log({f"{group}/{name}": value for name, value in values.items()}, step)


def optimise(
    batches: Sequence[Batch], stage: Stage, trainee: nn.Module, optimizer: Optimizer, accelerator: Accelerator
) -> list[dict[str, Tensor]]:
    """One optimiser step; the weighted terms of each of its forward passes."""
    losses = []
    if stage.task.kind == "tagging":
        count_together(batches, accelerator)
    for batch in batches:
        teacher = stage.data.view(batch)
        with nullcontext() if batch is batches[-1] else accelerator.no_sync(trainee):
            with accelerator.autocast():
                terms = trainee(batch.to(accelerator.device), teacher)
            # Processes average their gradients; the terms' totals count the whole step.
            accelerator.backward(sum(terms.values()) * accelerator.num_processes)
        losses.append(terms)
    accelerator.unscale_gradients()
    clip_gradients(stage.student, stage.objective, stage.training.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return losses


def measured_best(stage: Stage, state: LoopState, machine: Machine, paused: bool = False) -> Measures:
    """What the weights that `train` left reach on every held-out set; of a paused run, the scores on the first one."""
    if paused:
        return {next(iter(stage.held_out)): Measured(state.history[(state.best_epoch or 1) - 1]["scores"])}
    return measured_on(stage.student, stage.task, stage.held_out, machine.accelerator, machine.reporter)
