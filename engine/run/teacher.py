"""The teacher: loaded, fine-tuned here if it is not yet, scored once, and kept for every later pipeline on the
same dataset."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.base.cache import keeping, kept, recalled
from engine.base.errors import counted, listed
from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.base.options import LESS_MEMORY, TRAINED, FineTuning
from engine.data.metrics import Scores
from engine.data.task import SOFT, Task
from engine.evaluation.inference import encode_held_out, measured_on
from engine.evaluation.intervals import Measures, as_record, in_words, measure, scores_of
from engine.evaluation.scores import ANSWER
from engine.models import adapters
from engine.models.load import load_config, load_pretrained, load_tokenizer, save_model
from engine.models.names import without_path
from engine.models.start import Model
from engine.pipeline.training import Training
from engine.run.fine_tuning import fine_tune, kept_measures
from engine.run.plan import RunPlan, TeacherPlan

RECORD = "teacher.json"
READING = ("max_length", "window_overlap")  # of a training, what decides how texts are read
SHARED = (*READING, "class_weights")  # of the student's training, what that of its teachers has, too


@dataclass
class Teacher:
    """A teacher that is ready to teach."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    key: str  # hash of everything that makes it what it is
    measures: Measures

    @property
    def scores(self) -> Scores:
        """On every held-out set."""
        return scores_of(self.measures)

    @property
    def as_model(self) -> Model:
        """Network and tokenizer."""
        return self.model, self.tokenizer


def idle_fine_tuning(plan: RunPlan, fine_tuning: FineTuning) -> list[str]:
    """That options of the fine-tuning change nothing, where no teacher of a run is fine-tuned.

    Args:
        fine_tuning: As it was asked for; what is as it is by default was not.
    """
    asked = fine_tuning.model_dump(exclude_defaults=True, include={*TRAINED, *LESS_MEMORY})
    if not asked or plan.pipeline.team.kind == "assistants" or any(each.fine_tune for each in plan.team):
        return []
    why, remedy = "the data bring soft labels", ""
    if plan.teacher:
        why = f"the teacher is {'asked in words' if plan.teacher.start.question else 'fine-tuned already'}"
        remedy = "; --fine-tune always trains it" + " again" * plan.teacher.start.ready
    names = (f"teacher_{name}" if name in TRAINED else name for name in asked)
    options = listed("--" + name.replace("_", "-") for name in names)
    return [f"{why}, so {options} change{'s' * (len(asked) == 1)} nothing{remedy}"]


def soft_measures(task: Task) -> Measures:
    """What the soft labels of the data reach on the held-out sets that have them."""
    found = {}
    for name, rows in task.held_out.items():
        if SOFT in rows.column_names:
            logits = [np.array(cell) for cell in rows[SOFT]]
            found[name] = measure(task, rows, [ANSWER[task.kind](each) for each in logits])
    return found


def prepare_teacher(
    plan: TeacherPlan, task: Task, training: Training, machine: Machine, label: str = "teacher"
) -> Teacher:
    """Loads a teacher, fine-tuning and scoring it where that has not happened before; it learns from labels alone."""
    task = task.labelled
    if plan.start.question is not None:
        machine.reporter.message(f"{label}: {plan.start.question.in_words(task.labels)}")
    if plan.start.bits != "float32":
        machine.reporter.message(f"{label}: the weights of its linear layers are held in {plan.start.bits}")
    shared = training.model_dump(include=set(SHARED if plan.fine_tune else READING))
    key = hash_of(plan.start.identity, task.fingerprint, plan.tuned or "as it is", shared, machine.precision)

    def learn(model: Model, work: Path) -> Measures:
        if plan.fine_tune:
            own, tuning = training_of(plan, training), plan.fine_tuning
            at_most = "at most " if own.early_stopping else ""
            by = f" by LoRA of rank {tuning.lora}" * bool(tuning.lora)
            how = f"{at_most}{counted(own.epochs or 1, 'epoch')}; the result is kept"
            machine.reporter.message(f"{label}: is fine-tuned on {task.name} first{by}, {how}")
            less: dict[str, Any] = {**tuning.less_memory, "sharded": machine.options.shard_teacher}
            return fine_tune(label, model, task, own, tuning.seed, work, machine, **less)
        held_out = encode_held_out(task, model[1], training)
        return measured_on(model[0], task, held_out, machine.accelerator, machine.reporter)

    start, length = partial(plan.begin, task, machine), training.max_length
    about = f"{task.name}, {without_path(str(plan.start.name))}"
    return kept_teacher(key, task, start, learn, machine, label, length, weights=plan.fine_tune, about=about)


def training_of(plan: TeacherPlan, pipeline: Training) -> Training:
    """How a teacher trains: of the student's training, only how texts are read and what classes weigh counts."""
    own = plan.fine_tuning.model_dump(include={"epochs", "early_stopping", "batch_size", "learning_rate"})
    return Training(**own, **pipeline.model_dump(include=set(SHARED)))


def kept_teacher(
    key: str,
    task: Task,
    start: Callable[[], Model],
    learn: Callable[[Model, Path], Measures],
    machine: Machine,
    label: str,
    max_length: int | None,
    weights: bool = True,
    about: str = "",
) -> Teacher:
    """A teacher from the cache, or made now and put there.

    Args:
        learn: Makes it a teacher, in place, with a folder for its checkpoints; gives its scores.
        max_length: Tokens to which it reads texts.
        weights: Whether `learn` changes it, so that its weights have to be kept.
        about: Dataset and model, for people.
    """
    folder = kept(machine.options.cache, "teachers", key, about=about or task.name)

    def read(folder: Path) -> tuple[Model, Measures]:
        measures = kept_measures(RECORD, task, folder)
        return _load_kept(folder, start, task) if weights else start(), measures

    with machine.alone(folder):
        found = recalled(folder, machine.reporter, read) if machine.main else None
        if machine.agreed(found is not None):
            model, measures = found or read(folder)
            machine.reporter.message(f"{label}: known on this dataset, {in_words(measures)}")
            return Teacher(*model, key, measures)
        model = start()
        work = Path(f"{folder}.work")
        measures = learn(model, work)
        machine.reporter.message(f"{label}: {in_words(measures)}")
        if machine.main:
            with keeping(folder) as aside:
                if weights and not adapters.save_adapters(model[0], aside):
                    save_model(*model, aside, max_length)
                (aside / RECORD).write_text(json.dumps(as_record(measures)), "utf-8")
            shutil.rmtree(work, ignore_errors=True)
        machine.accelerator.wait_for_everyone()
    return Teacher(*model, key, measures)


def _load_kept(folder: Path, start: Callable[[], Model], task: Task) -> Model:
    """A teacher that was fine-tuned here."""
    if (folder / adapters.FILE).exists():
        network, tokenizer = start()
        adapters.load_adapters(network, folder)
        return network, tokenizer
    config = load_config(str(folder), "teacher")
    model = load_pretrained(str(folder), config, task.kind, seed=0, role="teacher", new_head=False)
    return model, load_tokenizer(str(folder), "teacher")
