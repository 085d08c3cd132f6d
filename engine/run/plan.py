"""Everything about a run that is settled, and checked, before the first weight is loaded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from transformers import AutoModelForCausalLM

from engine.base.errors import InputError, Problem, counted
from engine.base.files import hash_of
from engine.base.hub import place_of
from engine.base.machine import Machine, check_memory, free_on
from engine.base.options import FineTuning
from engine.data.task import Task
from engine.models.attention import KNOWN
from engine.models.load import has_head, label_order, names_of_outputs
from engine.models.names import ModelName, Scratch, parse_model
from engine.models.question import asking_problems, is_asked, no_language_model, question_for
from engine.models.start import OWN, KnownModels, Model, Start, begin
from engine.objective.attention import check_heads
from engine.objective.mapping import check_layers
from engine.pipeline.class_weights import class_problems
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.training import MOST_EPOCHS, Training
from engine.run.heads import head_problems, memory_problems, unit_problems
from engine.run.memory import check_held, held_problems, weights_of

NEW_HEAD = "Use --fine-tune always to train it on these."
MEMBERS = "team.members"  # role of the members of a team


@dataclass(frozen=True)
class TeacherPlan:
    """What will be done to get a teacher."""

    start: Start
    fine_tune: bool
    fine_tuning: FineTuning  # with a value in place of every `None`

    @property
    def training(self) -> str:
        """How it is fine-tuned, in words."""
        return self.fine_tuning.training

    def begin(self, task: Task, machine: Machine) -> Model:
        """The teacher as it was named: pretrained, fine-tuned before or random, with a head for the task."""
        return begin(self.start, task, self.fine_tuning.seed, machine)

    @property
    def tuned(self) -> str:
        """`training` where it is fine-tuned here, else empty."""
        return self.training if self.fine_tune else ""


def plan_teacher(
    name: ModelName,
    task: Task,
    fine_tuning: FineTuning,
    role: str = "teacher",
    whole: Start | None = None,
    known_models: KnownModels | None = None,
) -> TeacherPlan:
    """Decides whether a teacher has to be fine-tuned; a member of a team may take layers of the `whole` teacher.

    Raises:
        InputError: It cannot be read, was fine-tuned for other labels, or has no head and must not be fine-tuned.
    """
    known_models = known_models or KnownModels()
    if isinstance(name, str) and is_asked(name, fine_tuning, role):
        start = known_models.start_of(name, role, question=question_for(task, fine_tuning))
        start = start.held_in(fine_tuning.weights)
        return TeacherPlan(start, False, fine_tuning.resolved(start.kind, start.width, len(task.train)))
    if fine_tuning.asks and role == "teacher":
        raise no_language_model(str(name), role, fine_tuning)
    if not isinstance(name, str) and fine_tuning.when == "never":
        what = f"a teacher {'from scratch' if isinstance(name, Scratch) else 'of layers'} has to be trained"
        raise InputError.of("--fine-tune", what, "never", ("auto", "always"))
    start = known_models.start_of(name, role, whole).held_in(fine_tuning.weights)
    resolved = fine_tuning.resolved(start.kind, start.width, len(task.train))
    if problems := memory_problems(start.config, start.kind, task.kind, fine_tuning):
        raise InputError(problems)
    if not isinstance(name, str) or start.config is None:
        return TeacherPlan(start, True, resolved)
    ready = has_head(start.config, task.kind)
    if not ready and fine_tuning.when == "never":
        what = f"this model has no head for {task.kind.replace('_', ' ')}, so it must be fine-tuned first"
        raise InputError.of(place_of(role), what, repr(name), (), "Use --fine-tune auto.")
    if not ready or fine_tuning.when == "always":
        return TeacherPlan(start, True, resolved)
    if task.kind != "question_answering" and start.config.num_labels != task.outputs:
        what = f"it was fine-tuned for {counted(start.config.num_labels, 'label')}, and {task.name} has {task.outputs}"
        raise InputError.of(place_of(role), what, repr(name), (), NEW_HEAD)
    names = names_of_outputs(start.config, role)
    if task.labels and label_order(names, task.labels) is None:
        what = f"it was fine-tuned for other labels than those of {task.name}"
        raise InputError.of(place_of(role), what, ", ".join(names), task.labels, NEW_HEAD)
    return TeacherPlan(start.with_head(), False, resolved)


@dataclass(frozen=True)
class RunPlan:
    """One run, decided."""

    task: Task
    pipeline: Pipeline  # with the paper's values for this task in place of every `None`
    teacher_name: str  # as it was typed; the next likewise
    student_name: str
    teacher: TeacherPlan | None  # None where the data bring soft labels
    student: Start
    seed: int
    precision: str
    members: tuple[TeacherPlan, ...] = ()

    @property
    def team(self) -> tuple[TeacherPlan, ...]:
        """The teacher and the members."""
        return (*([self.teacher] if self.teacher else []), *self.members)

    @cached_property
    def most_tokens(self) -> int | None:
        """Tokens that all of its models can read, where something limits them."""
        return most_tokens(self.student, *(each.start for each in self.team))

    @property
    def asks(self) -> bool:
        """Whether a language model among the teachers is asked about the texts."""
        return any(each.start.question for each in self.team)

    @property
    def training_alone(self) -> Training:
        """Of the student without a teacher: as many steps, for which the labelled rows alone may need more epochs."""
        training, task = self.pipeline.training.model_copy(update={"calibrate": False}), self.task
        if task.pool is None or training.epochs is None:
            return training
        as_many = math.ceil(training.epochs * task.examples / len(task.train))
        return training.model_copy(update={"epochs": max(training.epochs, min(as_many, MOST_EPOCHS))})

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides the result; a folder belongs to one."""
        return self.identity_in(self.precision)

    def identity_in(self, precision: str) -> str:
        """That of the same run in another precision."""
        models = [self.student.identity]
        models += [fact for each in self.team for fact in (each.start.identity, each.tuned)]
        if self.pipeline.team.kind == "assistants":  # which trains fine-tuned members, too
            models += [each.training for each in self.team]
        return hash_of(self._key, self.task.fingerprint, *models, self.seed, precision)

    @cached_property
    def _key(self) -> str:
        """Of the pipeline, from all of whose keys it is made."""
        return self.pipeline.key


def most_tokens(*starts: Start) -> int | None:
    """Tokens that all of these can read; None where nothing limits them."""
    return min((limit for start in starts if (limit := start.positions)), default=None)


def plan_run(
    task: Task,
    pipeline: Pipeline,
    teacher: str,
    student: str,
    *,
    seed: int = 0,
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 - frozen
    precision: str = "float32",
    known_models: KnownModels | None = None,
) -> RunPlan:
    """The run, where pipeline, dataset and models go together; else an `InputError` with every reason.

    Args:
        known_models: Of the plans of other runs, made at the same time, whose models need not be read again.
    """
    known_models = known_models or KnownModels()
    if task.soft_labels:
        return _without_teacher(task, pipeline, teacher, student, seed, precision, known_models)
    names = parse_model(teacher, "teacher"), parse_model(student, "student")
    if problems := pipeline.problems_with(task.kind) + class_problems(pipeline.training.class_weights, task):
        raise InputError(problems)
    teacher_plan = plan_teacher(names[0], task, fine_tuning, known_models=known_models)
    whole = teacher_plan.start
    others = (parse_model(name, MEMBERS) for name in pipeline.team.members)
    members = tuple(plan_teacher(name, task, fine_tuning, MEMBERS, whole, known_models) for name in others)
    own = known_models.start_of(names[1], "student", whole)
    most = most_tokens(whole, own, *(member.start for member in members))
    settled = pipeline.for_task(task, own.kind, most, own.width)
    plan = RunPlan(task, settled, teacher, student, teacher_plan, own, seed, precision, members)
    _check_fits(plan, pair_problems(own, task, known_models))
    check_memory("--teacher and --student", sum(map(weights_of, (*(each.start for each in plan.team), plan.student))))
    for start in (*(each.start for each in plan.team), plan.student):
        known_models.check_weights(start, task.kind)
    return plan


def _without_teacher(
    task: Task, pipeline: Pipeline, teacher: str, student: str, seed: int, precision: str, known_models: KnownModels
) -> RunPlan:
    """The run of a student that learns from the soft labels of the data."""
    name, known = parse_model(student, "student"), task.soft_labels
    problems = pipeline.problems_with(task.kind) + class_problems(pipeline.training.class_weights, task)
    if teacher:
        what = f"the data bring soft labels ({known}), so no model teaches"
        problems.append(Problem("--teacher", what, repr(teacher), (), "Leave one of both out."))
    if not isinstance(name, str | Scratch):
        what = "it takes layers or tokens from a teacher, and soft labels come without one"
        problems.append(Problem("--student", what, student, ("a hub name", "a folder", "scratch:layers=2,hidden=128")))
    if pipeline.intermediate.kind != "none" and pipeline.weights.intermediate > 0:
        what = "it learns from a teacher's hidden states, and soft labels come without any"
        problems.append(Problem("intermediate.kind", what, f"'{pipeline.intermediate.kind}'", ("none",)))
    if pipeline.augmentation.operators:
        what = "soft labels are of the texts as they are, and nobody can be asked about others"
        problems.append(Problem("augmentation.operators", what, ", ".join(pipeline.augmentation.kinds), ("none",)))
    if pipeline.team.kind != "single":
        what = "a team has models that teach, and the data bring soft labels"
        problems.append(Problem("team.kind", what, f"'{pipeline.team.kind}'", ("single",)))
    if problems:
        raise InputError(problems)
    own = known_models.start_of(name, "student")
    settled = pipeline.for_task(task, own.kind, most_tokens(own), own.width)
    plan = RunPlan(task, settled, known, student, None, own, seed, precision)
    _check_fits(plan)
    check_memory("--student", weights_of(own))
    known_models.check_weights(own, task.kind)
    return plan


def with_pipeline(plan: RunPlan, pipeline: Pipeline) -> RunPlan:
    """The plan of another pipeline, of the same team, for the same models, which are not looked at again.

    Raises:
        InputError: It does not suit them.
    """
    settled = pipeline.for_task(plan.task, plan.student.kind, plan.most_tokens, plan.student.width)
    other = replace(plan, pipeline=settled)
    _check_fits(other)
    return other


def _check_fits(plan: RunPlan, known: Sequence[Problem] = ()) -> None:
    """Raises an `InputError` with every reason, and those that are `known`, why its pipeline, models and dataset do not
    go together."""
    settled, kind = plan.pipeline, plan.task.kind
    problems = settled.problems_with(kind, plan.student.kind)
    if plan.teacher and plan.student.kind != "static":  # which has no layers, as is said above
        problems += check_layers(settled.mapping, plan.student.layers, plan.teacher.start.layers)
    if plan.teacher and plan.teacher.start.question is None:
        problems += attention_problems(settled, plan.teacher.start, plan.student)
    problems += known
    problems += window_problems(settled, plan)
    problems += pool_problems(settled, plan.task)
    for each in plan.team:
        problems += held_problems(each.start, each.fine_tune, each.fine_tuning)
    for start in (*(each.start for each in plan.team), plan.student):
        asked = start.question is not None
        mixing = "mixup" in settled.augmentation.kinds and start.role != MEMBERS and not asked
        problems += asking_problems(settled, start.role) if asked else ()
        problems += head_problems(start.config, kind, start.role, mixing, AutoModelForCausalLM if asked else None)
        problems += unit_problems(None if start.ready else start.config, plan.task, start.role)
        problems += length_problems(start, settled.training.max_length or 0)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))


def attention_problems(pipeline: Pipeline, teacher: Start, student: Start) -> list[Problem]:
    """Whether what an objective on attention compares is known of teacher and student; what is from scratch is BERT."""
    kind = pipeline.intermediate.kind
    if kind not in ("attention", "relations") or pipeline.weights.intermediate == 0 or student.kind in OWN.values():
        return []
    what = f"{kind} compares attention's queries and keys, which are not known of models of this type"
    types = ((start.role, start.config.model_type) for start in (teacher, student) if start.config is not None)
    remedy = "intermediate.kind = mse compares hidden states, which all models have."
    problems = [Problem(place_of(role), what, name, tuple(KNOWN), remedy) for role, name in types if name not in KNOWN]
    return problems + check_heads(pipeline.intermediate, student.width, teacher.width)


def window_problems(pipeline: Pipeline, plan: RunPlan) -> list[Problem]:
    """Whether long texts can be read in windows, where that is asked for."""
    overlap, task = pipeline.training.window_overlap, plan.task
    if overlap is None or task.kind != "classification":
        return []
    against = {
        "these are pairs, and nothing says which piece of one text belongs to which of the other": task.pair,
        "soft labels are of whole texts, and windows would each need their own": task.soft_labels,
        "a language model is asked about whole texts": plan.asks,
    }
    whys = (what for what, holds in against.items() if holds)
    return [Problem("training.window_overlap", what, str(overlap), (), "Remove the key.") for what in whys]


def pool_problems(pipeline: Pipeline, task: Task) -> list[Problem]:
    """Whether a pipeline learns anything from texts without labels."""
    weights, intermediate = pipeline.weights, pipeline.intermediate.kind != "none"
    by_teacher = weights.prediction + weights.augmented_prediction + weights.intermediate * intermediate
    if task.pool is None or by_teacher > 0:
        return []
    what = "this pipeline learns from labels alone, and these texts have none"
    return [Problem("--unlabelled", what, f"weights.prediction {weights.prediction:g}", ("more than 0",))]


def check_trains(plan: RunPlan, machine: Machine) -> None:
    """Raises an `InputError` with the numbers where the device's memory cannot hold what trains: four times its
    weights (with gradients and Adam's two means; by LoRA or in four pieces once), and the teacher beside it."""
    held = next((each.start.bits for each in plan.team if each.start.bits != "float32"), "")
    check_held(held, machine.options)
    free = free_on(machine.device)
    pieces = machine.accelerator.num_processes if machine.options.shard_teacher else 1
    for each in plan.team:
        weights = weights_of(each.start) * each.fine_tune
        check_memory("--teacher", weights if each.fine_tuning.lora else max(4 * weights // pieces, weights), free)
    beside = weights_of(plan.teacher.start) if plan.teacher else 0
    check_memory("--student", beside + 4 * weights_of(plan.student), free)


def length_problems(start: Start, max_length: int) -> list[Problem]:
    """Whether a model can read texts of `max_length` tokens."""
    limit = start.positions
    if limit is None or max_length <= limit:
        return []
    who = "team's member" if start.role == MEMBERS else start.role
    what = f"the {who} reads at most {limit} tokens"
    return [Problem("training.max_length", what, str(max_length), (f"8 to {limit}",))]


def pair_problems(student: Start, task: Task, known_models: KnownModels) -> list[Problem]:
    """Whether a student that is no transformer can see where the second of two texts begins."""
    whole = student.whole or student
    two = task.pair or task.kind == "question_answering"
    if not two or student.kind not in ("lstm", "static") or not isinstance(whole.name, str):
        return []
    if known_models.tells_apart(whole.name, whole.role):
        return []
    what = "the tokenizer puts nothing between two texts, so that these students cannot tell them apart"
    return [Problem(place_of(student.role), what, student.kind)]


def check_batch(pipeline: Pipeline, processes: int) -> None:
    """Whether each process has examples enough for mi_alpha, which contrasts those of one process.

    Raises:
        InputError: A process would have but one example, or none.
    """
    size = pipeline.training.batch_size
    if pipeline.intermediate.kind == "mi_alpha" and size // processes < 2:
        what = f"mi_alpha needs two examples in each of the {processes} processes"
        raise InputError.of("training.batch_size", what, size, (f"at least {2 * processes}",))
