"""The teacher: loaded, fine-tuned here if it is not yet, scored once, kept and reused.

A teacher is kept under the hash of its weights, the dataset's fingerprint and how it was
fine-tuned, so every later pipeline on the same dataset finds it finished.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from engine.data.task import Task
from engine.data.vocabulary import train_tokenizer
from engine.errors import InputError
from engine.files import folder_written_atomically, hash_of
from engine.fine_tuning import Model, fine_tune
from engine.hardware import Machine
from engine.inference import encode_held_out, scores_on
from engine.models import (
    build,
    depth_and_width,
    for_task,
    has_head,
    load_config,
    load_pretrained,
    load_tokenizer,
    reorder_labels,
    save_model,
    scratch_config,
    weights_hash,
)
from engine.names import ModelName, Scratch
from engine.options import FineTuning
from engine.result import Scores, in_words
from engine.spec import Training

RECORD = "teacher.json"


@dataclass
class Teacher:
    """A teacher that is ready to teach.

    Args:
        key: Hash of everything that makes it what it is.
        scores: Held-out set → metric → score.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    key: str
    scores: Scores


@dataclass(frozen=True)
class TeacherPlan:
    """What will be done to get a teacher, decided before anything is loaded.

    Args:
        identity: Hash of the weights, or the words of a `scratch:` name.
    """

    name: ModelName
    config: PretrainedConfig | None
    identity: str
    fine_tune: bool

    def depth_and_width(self) -> tuple[int, int]:
        """Layers and width of the teacher."""
        if isinstance(self.name, Scratch):
            return self.name.layers, self.name.hidden
        assert self.config is not None
        return depth_and_width(self.config)


def plan_teacher(name: ModelName, task: Task, fine_tuning: FineTuning) -> TeacherPlan:
    """Decides whether a teacher has to be fine-tuned.

    Raises:
        InputError: It cannot be read, was fine-tuned for another number of labels, or has no head
            and must not be fine-tuned.
    """
    if isinstance(name, Scratch):
        if fine_tuning.policy == "never":
            raise InputError.of(
                "--fine-tune", "a teacher from scratch has to be trained", "never", ("auto", "always")
            )
        return TeacherPlan(name, None, repr(name), fine_tune=True)
    assert isinstance(name, str)
    config = load_config(name, "teacher")
    ready = has_head(config, task.kind)
    if not ready and fine_tuning.policy == "never":
        what = f"this model has no head for {task.kind.replace('_', ' ')}, so it must be fine-tuned first"
        raise InputError.of("--teacher", what, repr(name), (), "Use --fine-tune auto.")
    fine_tune = not ready or fine_tuning.policy == "always"
    if not fine_tune and task.kind != "question_answering" and config.num_labels != task.outputs:
        what = f"it was fine-tuned for {config.num_labels} labels, and {task.name} has {task.outputs}"
        raise InputError.of(
            "--teacher", what, repr(name), (), "Use --fine-tune always to give it a new head."
        )
    return TeacherPlan(name, config, weights_hash(name, "teacher"), fine_tune)


def scratch_tokenizer(task: Task, machine: Machine) -> PreTrainedTokenizerBase:
    """The WordPiece tokenizer of a task, trained once."""
    folder = machine.options.cache / "vocabularies" / task.fingerprint
    with machine.alone(folder):
        if machine.main and not folder.exists():
            with folder_written_atomically(folder) as aside:
                train_tokenizer(task).save_pretrained(aside)
        machine.accelerator.wait_for_everyone()
    return AutoTokenizer.from_pretrained(folder)


def prepare_teacher(
    plan: TeacherPlan, task: Task, fine_tuning: FineTuning, training: Training, machine: Machine
) -> Teacher:
    """Loads the teacher, fine-tuning and scoring it where that has not happened before."""
    how = fine_tuning.model_dump_json(exclude={"policy"}) if plan.fine_tune else "as it is"
    reading = training.model_dump(include={"max_length", "window_overlap"})
    key = hash_of(plan.identity, task.fingerprint, how, reading, machine.precision)
    folder = machine.options.cache / "teachers" / key
    with machine.alone(folder):
        known = machine.agreed((folder / RECORD).is_file())
        if known and plan.fine_tune:
            model = _load_kept(str(folder), task)
        else:
            model = load_start(plan, task, fine_tuning.seed, machine)
        if known:
            scores: Scores = json.loads((folder / RECORD).read_text("utf-8"))["scores"]
            machine.reporter.message(f"teacher: known on this dataset, {in_words(scores)}")
            return Teacher(*model, key, scores)
        work = Path(f"{folder}.work")
        if plan.fine_tune:
            # Of the pipeline's training only what decides how texts are read: the teacher serves others too.
            own = fine_tuning.model_dump(include={"epochs", "batch_size", "learning_rate"})
            scores = fine_tune(
                "teacher", model, task, Training(**own, **reading), fine_tuning.seed, work, machine
            )
        else:
            held_out = encode_held_out(task, model[1], training)
            scores = scores_on(model[0], task, held_out, machine.accelerator, machine.reporter)
        machine.reporter.message(f"teacher: {in_words(scores)}")
        if machine.main:
            with folder_written_atomically(folder) as aside:
                if plan.fine_tune:
                    save_model(*model, aside)
                (aside / RECORD).write_text(json.dumps({"scores": scores}, indent=2), "utf-8")
            shutil.rmtree(work, ignore_errors=True)
        machine.accelerator.wait_for_everyone()
    return Teacher(*model, key, scores)


def load_start(plan: TeacherPlan, task: Task, seed: int, machine: Machine) -> Model:
    """The teacher as it was named: pretrained or random with a head for the task, or fine-tuned before."""
    if isinstance(plan.name, Scratch):
        tokenizer = scratch_tokenizer(task, machine)
        config = scratch_config(plan.name, len(tokenizer), tokenizer.pad_token_id or 0)
        return build(for_task(config, task, tokenizer), task.kind, seed), tokenizer
    assert isinstance(plan.name, str)
    assert plan.config is not None
    tokenizer = load_tokenizer(plan.name, "teacher")
    if plan.fine_tune:
        config = for_task(copy.deepcopy(plan.config), task, tokenizer)
        return load_pretrained(plan.name, config, task.kind, seed, "teacher"), tokenizer
    model = load_pretrained(plan.name, plan.config, task.kind, seed, "teacher", new_head=False)
    reorder_labels(model, task.labels)
    if task.labels and {str(name).lower() for name in model.config.id2label.values()} != {
        label.lower() for label in task.labels
    }:
        theirs = ", ".join(str(model.config.id2label[index]) for index in range(task.outputs))
        machine.reporter.message(f"teacher: its labels {theirs} are taken as {', '.join(task.labels)}")
    return model, tokenizer


def _load_kept(folder: str, task: Task) -> Model:
    """A teacher that was fine-tuned here."""
    config = load_config(folder, "teacher")
    model = load_pretrained(folder, config, task.kind, seed=0, role="teacher", new_head=False)
    return model, load_tokenizer(folder, "teacher")
