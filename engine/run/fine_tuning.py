"""Plain training on gold labels: of a teacher, of the student alone, and of a dataset's Bi-LSTM.

What comes out is kept in the cache, so that each is trained once for a dataset.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.cache import keeping, kept, recalled
from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out
from engine.evaluation.intervals import Measured, Measures, as_record, from_record, in_words
from engine.models.adapters import adapted, checkpointing_gradients
from engine.models.forward import accepted_inputs
from engine.models.load import position_limit
from engine.models.start import Model, begin
from engine.objective.equation import Objective, hard_label_only
from engine.pipeline.class_weights import class_weights_of
from engine.pipeline.training import Training
from engine.tokens.examples import cut_in_words, encode
from engine.training.batches import TrainingData
from engine.training.loop import Stage, measured_best, train

if TYPE_CHECKING:
    from engine.run.plan import RunPlan

RECORD = "scores.json"


def fine_tune(
    name: str,
    model: Model,
    task: Task,
    training: Training,
    seed: int,
    folder: Path,
    machine: Machine,
    taught: tuple[Objective, TrainingData] | None = None,
    lora: int | None = None,
    gradient_checkpointing: bool = False,
    sharded: bool = False,
) -> Measures:
    """Trains a model, in place, and leaves it with its best weights, of which it gives the scores.

    Args:
        folder: For checkpoints; the caller removes it.
        taught: What it learns and from what examples; gold labels when absent.
        lora: Rank of the matrices that learn in place of its weights; None: the weights do.
        gradient_checkpointing: Whether its layers are computed again for the gradients, which takes less memory.
        sharded: Whether it lies in pieces on all processes meanwhile.
    """
    network, tokenizer = model
    if taught is None:
        length = training.max_length or 0
        examples = encode(task.train, task, tokenizer, length, training.window_overlap)
        for sentence in cut_in_words(examples, task, length, position_limit(network.config)):
            machine.reporter.message(f"{name}: {sentence}")
        weights = class_weights_of(training.class_weights, task)
        taught = hard_label_only(task.kind, weights), TrainingData(examples, accepted_inputs(network))
    held_out = encode_held_out(task, tokenizer, training)
    stage = Stage(name, folder, task, network, *taught, training, seed, held_out, sharded=sharded)
    with adapted(network, lora, seed), checkpointing_gradients(network, gradient_checkpointing):
        state = train(stage, machine)
    return measured_best(stage, state, machine)


def gold_scores(
    name: str, start: Model, task: Task, training: Training, seed: int, key: str, machine: Machine
) -> Measures:
    """Scores of a model that learns from gold labels alone; it is trained once and its scores are kept.

    They do not depend on a pipeline's objective, so they serve every pipeline that trains alike. `key` is a hash
    of everything that decides them.
    """
    folder = kept(machine.options.cache, "gold_scores", key, about=task.name)
    with machine.alone(folder):
        read = partial(kept_measures, RECORD, task)
        found = recalled(folder, machine.reporter, read) if machine.main else None
        if machine.agreed(found is not None):
            return found or read(folder)
        work = Path(f"{folder}.work")
        measures = fine_tune(name, start, task, training, seed, work, machine)
        if machine.main:
            with keeping(folder) as aside:
                (aside / RECORD).write_text(json.dumps(as_record(measures)), "utf-8")
            shutil.rmtree(work)
        machine.accelerator.wait_for_everyone()
    return measures


def student_alone_scores(plan: RunPlan, machine: Machine) -> Measures:
    """Scores of a run's student without a teacher: fine-tuned on gold labels, as many steps and as fast.

    A student of `layers:K` starts from the teacher as it was named, before it was fine-tuned here.
    """
    task, teacher, training = plan.task.labelled, plan.teacher, plan.training_alone
    start = begin(plan.student, task, plan.seed, machine, teacher.begin(task, machine) if teacher else None)
    of_teacher = (teacher.start.identity, teacher.fine_tune, teacher.fine_tuning.seed) if teacher else ()
    models = (plan.student.identity, *of_teacher)
    key = hash_of(task.fingerprint, *models, training.model_dump_json(), plan.seed, machine.precision)
    measures = gold_scores("student alone", start, task, training, plan.seed, key, machine)
    machine.reporter.message(f"student alone: {in_words(measures)}")
    return measures


def kept_measures(name: str, task: Task, folder: Path) -> Measures:
    """What is kept in a file of a folder of the cache; one of `UNREADABLE` where it is of no model on this task."""
    measures = from_record(json.loads((folder / name).read_text("utf-8")))
    if measures.keys() != task.held_out.keys() or not all(_are_of(task, *each) for each in measures.items()):
        raise ValueError(f"{name} holds the scores of another task")
    return measures


def _are_of(task: Task, split: str, found: Measured) -> bool:
    """Whether there is a score and an interval of each metric of the task, and an answer to each row."""
    numbers = [*found.scores.values(), *(bound for low, high in found.intervals.values() for bound in (low, high))]
    numbers += [each for each in (found.calibration_error, found.null_threshold) if each is not None]
    numeric = all(isinstance(number, int | float) for number in numbers)
    answered = len(found.answers) == len(task.held_out[split])
    return numeric and answered and {*task.metrics} == {*found.scores} == {*found.intervals}
