"""The teacher: loaded, fine-tuned here if it is not yet, scored once, kept and reused.

A teacher is kept under the hash of its weights, the dataset's fingerprint and how it was
fine-tuned, so every later pipeline on the same dataset finds it finished.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from engine.base.errors import InputError
from engine.base.files import folder_written_atomically, hash_of
from engine.base.hub import place_of
from engine.base.machine import Machine
from engine.base.options import FineTuning
from engine.data.metrics import Scores, in_words
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, scores_on
from engine.models.load import (
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
from engine.models.names import LayersOfTeacher, ModelName, Scratch
from engine.models.shallow import layers_of, shallow_config
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.training import Training
from engine.run.fine_tuning import Model, fine_tune

RECORD = "teacher.json"
READING = ("max_length", "window_overlap")
"""Of a training, what decides how texts are read."""


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
        config: Of the model that it starts from; None from scratch.
        identity: Hash of the weights, or the words of a `scratch:` name.
        fine_tuning: With a value in place of every `None`.
        whole: The model whose layers `layers:K` takes.
    """

    name: ModelName
    config: PretrainedConfig | None
    identity: str
    fine_tune: bool
    fine_tuning: FineTuning
    whole: TeacherPlan | None = None

    def depth_and_width(self) -> tuple[int, int]:
        """Layers and width of the teacher."""
        if isinstance(self.name, Scratch):
            return self.name.layers, self.name.hidden
        if isinstance(self.name, LayersOfTeacher):
            assert self.whole is not None
            return self.name.count, self.whole.depth_and_width()[1]
        assert self.config is not None
        return depth_and_width(self.config)

    @property
    def tuned(self) -> str:
        """How it is fine-tuned, in words; empty where it is not."""
        return self.fine_tuning.model_dump_json(exclude={"when"}) if self.fine_tune else ""


def plan_teacher(
    name: ModelName,
    task: Task,
    fine_tuning: FineTuning,
    role: str = "teacher",
    whole: TeacherPlan | None = None,
) -> TeacherPlan:
    """Decides whether a teacher has to be fine-tuned.

    Args:
        role: Where it was named, for messages.
        whole: The teacher whose layers a member of its team may take.

    Raises:
        InputError: It cannot be read, was fine-tuned for another number of labels, or has no head
            and must not be fine-tuned.
    """
    if not isinstance(name, str) and fine_tuning.when == "never":
        what = f"a teacher {'from scratch' if isinstance(name, Scratch) else 'of layers'} has to be trained"
        raise InputError.of("--fine-tune", what, "never", ("auto", "always"))
    if isinstance(name, Scratch):
        return TeacherPlan(name, None, repr(name), True, fine_tuning.resolved(from_scratch=True))
    if isinstance(name, LayersOfTeacher):
        assert whole is not None
        check_depth(name, whole.depth_and_width()[0], role)
        own = fine_tuning.resolved(from_scratch=isinstance(whole.name, Scratch))
        return TeacherPlan(name, whole.config, hash_of(repr(name), whole.identity), True, own, whole)
    fine_tuning = fine_tuning.resolved(from_scratch=False)
    config = load_config(name, role)
    ready = has_head(config, task.kind)
    if not ready and fine_tuning.when == "never":
        what = f"this model has no head for {task.kind.replace('_', ' ')}, so it must be fine-tuned first"
        raise InputError.of(place_of(role), what, repr(name), (), "Use --fine-tune auto.")
    fine_tune = not ready or fine_tuning.when == "always"
    if not fine_tune and task.kind != "question_answering" and config.num_labels != task.outputs:
        what = f"it was fine-tuned for {config.num_labels} labels, and {task.name} has {task.outputs}"
        raise InputError.of(
            place_of(role), what, repr(name), (), "Use --fine-tune always to give it a new head."
        )
    return TeacherPlan(name, config, weights_hash(name, role), fine_tune, fine_tuning)


def check_depth(name: LayersOfTeacher, depth: int, role: str) -> None:
    """Whether a teacher has as many layers as `layers:K` asks for.

    Raises:
        InputError: It has not.
    """
    if name.count > depth:
        what = f"the teacher has only {depth} layers"
        raise InputError.of(place_of(role), what, f"layers:{name.count}", (f"1 to {depth}",))


def prepare_teacher(
    plan: TeacherPlan, task: Task, training: Training, machine: Machine, label: str = "teacher"
) -> Teacher:
    """Loads a teacher, fine-tuning and scoring it where that has not happened before.

    Args:
        label: Shown with the progress.
    """
    reading = training.model_dump(include=set(READING))
    key = hash_of(plan.identity, task.fingerprint, plan.tuned or "as it is", reading, machine.precision)

    def learn(model: Model, work: Path) -> Scores:
        return fine_tune(
            label, model, task, training_of(plan, training), plan.fine_tuning.seed, work, machine
        )

    def score(model: Model, _: Path) -> Scores:
        held_out = encode_held_out(task, model[1], training)
        return scores_on(model[0], task, held_out, machine.accelerator, machine.reporter)

    start = partial(load_start, plan, task, machine)
    if plan.fine_tune:
        return kept_teacher(key, task, start, learn, machine, label)
    return kept_teacher(key, task, start, score, machine, label, weights=False)


def training_of(plan: TeacherPlan, pipeline: Training) -> Training:
    """How long and how fast a teacher trains.

    Args:
        pipeline: The student's training. Only how it reads texts counts: a teacher serves other students too.
    """
    own = plan.fine_tuning.model_dump(include={"epochs", "batch_size", "learning_rate"})
    return Training(**own, **pipeline.model_dump(include=set(READING)))


def kept_teacher(
    key: str,
    task: Task,
    start: Callable[[], Model],
    learn: Callable[[Model, Path], Scores],
    machine: Machine,
    label: str,
    weights: bool = True,
) -> Teacher:
    """A teacher from the cache, or made now and put there.

    Args:
        key: Hash of everything that makes it what it is.
        start: Loads it as it starts.
        learn: Makes it a teacher, in place, with a folder for its checkpoints; gives its scores.
        weights: Whether `learn` changes it, so that its weights have to be kept.
    """
    folder = machine.options.cache / "teachers" / key
    with machine.alone(folder):
        known = machine.agreed((folder / RECORD).is_file())
        model = _load_kept(str(folder), task) if known and weights else start()
        if known:
            scores: Scores = json.loads((folder / RECORD).read_text("utf-8"))["scores"]
            machine.reporter.message(f"{label}: known on this dataset, {in_words(scores)}")
            return Teacher(*model, key, scores)
        work = Path(f"{folder}.work")
        scores = learn(model, work)
        machine.reporter.message(f"{label}: {in_words(scores)}")
        if machine.main:
            with folder_written_atomically(folder) as aside:
                if weights:
                    save_model(*model, aside)
                (aside / RECORD).write_text(json.dumps({"scores": scores}, indent=2), "utf-8")
            shutil.rmtree(work, ignore_errors=True)
        machine.accelerator.wait_for_everyone()
    return Teacher(*model, key, scores)


def tokenizer_of(plan: TeacherPlan, task: Task, machine: Machine) -> PreTrainedTokenizerBase:
    """The tokenizer that a teacher reads with."""
    if isinstance(plan.name, str):
        return load_tokenizer(plan.name, "teacher")
    return tokenizer_of(plan.whole, task, machine) if plan.whole else scratch_tokenizer(task, machine)


def config_of(plan: TeacherPlan, task: Task, machine: Machine) -> PretrainedConfig:
    """The configuration of a teacher with a head for the task."""
    tokenizer = tokenizer_of(plan, task, machine)
    if isinstance(plan.name, Scratch):
        config = scratch_config(plan.name, len(tokenizer), tokenizer.pad_token_id or 0)
        return for_task(config, task, tokenizer)
    if isinstance(plan.name, LayersOfTeacher):
        assert plan.whole is not None
        return shallow_config(config_of(plan.whole, task, machine), plan.name.count)
    return for_task(copy.deepcopy(plan.config), task, tokenizer)


def load_start(plan: TeacherPlan, task: Task, machine: Machine) -> Model:
    """The teacher as it was named: pretrained or random with a head for the task, or fine-tuned before."""
    seed, tokenizer = plan.fine_tuning.seed, tokenizer_of(plan, task, machine)
    if isinstance(plan.name, Scratch):
        return build(config_of(plan, task, machine), task.kind, seed), tokenizer
    if isinstance(plan.name, LayersOfTeacher):
        assert plan.whole is not None
        network, _ = load_start(plan.whole, task, machine)
        config = for_task(shallow_config(network.config, plan.name.count), task, tokenizer)
        return layers_of(network, plan.name.count, config), tokenizer
    assert plan.config is not None
    if plan.fine_tune:
        config = config_of(plan, task, machine)
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
