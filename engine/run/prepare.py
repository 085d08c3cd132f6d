"""What the training of a student needs beside it: the objective, and examples with the teacher's view."""

from dataclasses import replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.augment.examples import Augmenter, Tokenisation
from engine.augment.policy import policy_for, policy_hash
from engine.base.cache import kept
from engine.base.files import hash_of
from engine.base.machine import Machine, workers_for
from engine.data.task import Task
from engine.models.attention import attention_heads
from engine.models.forward import TeacherNeeds, accepted_inputs
from engine.models.int8 import in_int8
from engine.models.load import depth_and_width, position_limit
from engine.models.names import without_path
from engine.models.start import Model
from engine.objective.equation import Objective
from engine.pipeline.schedule import Course
from engine.pipeline.training import Training
from engine.run.folder import Run
from engine.run.hard_labels import class_weights_in
from engine.run.plan import RunPlan
from engine.run.teacher import Teacher
from engine.signals.augmented import AugmentedSteps
from engine.signals.signals import GivenSignals, OnlineSignals, TeacherSignals, examples_to_pass, mend, signals_for
from engine.signals.store import SignalStore
from engine.tokens.alignment import rules, same_tokenizer
from engine.tokens.examples import INPUTS, Encoded, encode
from engine.training.batches import TrainingData, steps_in_all

LOGITS = TeacherNeeds(layers=(), tokens="all")


def objective_for(plan: RunPlan, teacher: Teacher | None, student: PreTrainedModel) -> Objective:
    """Equation 1 for these two models, or for a student alone that learns from soft labels."""
    sizes = {"teacher_layers": 0, "teacher_width": 0}
    for who, model in (("student", student), *([("teacher", teacher.model)] if teacher else [])):
        sizes[f"{who}_layers"], sizes[f"{who}_width"] = depth_and_width(model.config)
        sizes[f"{who}_heads"] = attention_heads(model.config)
    torch.manual_seed(plan.seed)  # of projections and critics
    return Objective(plan.pipeline, plan.task.kind, **sizes, class_weights=class_weights_in(plan))


def answering(teacher: Teacher, machine: Machine) -> PreTrainedModel:
    """The network that answers training examples: the teacher's own, or what 8-bit integers make of it."""
    return in_int8(teacher.model) if machine.options.int8_teacher else teacher.model


def online_data(
    plan: RunPlan, teacher: Teacher, student: Model, objective: Objective, machine: Machine
) -> TrainingData:
    """Training examples for student and teacher, and what augments them; the teacher runs along."""
    task, training = plan.task, plan.pipeline.training
    model, tokenizer = student
    length = training.max_length or 0
    examples = encode(task.learned, task, tokenizer, length, training.window_overlap)
    other = seen_by(teacher, examples, tokenizer, task, training)
    signals = OnlineSignals(
        answering(teacher, machine), task.kind, other or examples, objective.needs, machine.accelerator
    )
    data = TrainingData(examples, accepted_inputs(model), signals, other, objective.aligned)
    policy = policy_for(plan.pipeline.augmentation, task, machine)
    if policy is None:
        return data
    augmenter = Augmenter(
        task=task,
        policy=policy,
        copies=plan.pipeline.augmentation.copies,
        examples=examples,
        student=Tokenisation(tokenizer, length),
        teacher=None if other is None else Tokenisation(teacher.tokenizer, _longest(teacher, length)),
        accepted=data.accepted,
        teacher_accepted=accepted_inputs(teacher.model),
        aligned=objective.aligned,
        workers=0 if policy.on_device else workers_for(machine),
    )
    return replace(data, augmenter=augmenter, online=replace(signals, needs=LOGITS))


def given_data(plan: RunPlan, student: Model, machine: Machine) -> TrainingData:
    """Training examples with the soft labels that the data bring."""
    training = plan.pipeline.training
    examples = encode(plan.task.learned, plan.task, student[1], training.max_length or 0)
    return TrainingData(examples, accepted_inputs(student[0]), GivenSignals(examples, machine.device))


def cached_data(data: TrainingData, teacher: Teacher, tokenizer: PreTrainedTokenizerBase, run: Run) -> TrainingData:
    """The data of `online_data`, with what the teacher says from the cache where it may be and fits."""
    assert isinstance(data.signals, OnlineSignals)
    signals = cached_signals(data.signals, teacher, run)
    return replace(data, signals=signals, augmented=_kept_steps(data, teacher, tokenizer, run))


def _kept_steps(
    data: TrainingData, teacher: Teacher, tokenizer: PreTrainedTokenizerBase, run: Run
) -> AugmentedSteps | None:
    """The augmented batches of all students that read alike, of the same teacher and seed; None where nothing is
    augmented or kept."""
    plan, machine = run.plan, run.machine
    options, training = machine.options, plan.pipeline.training
    if data.augmenter is None or options.signals == "online":
        return None
    tokens = hash_of(rules(tokenizer), data.student.tokens.values.tobytes(), data.student.lengths.tobytes())
    stream = training.max_length, training.batch_size, training.gradient_accumulation, plan.seed
    models = sorted(data.accepted & {*INPUTS}), data.aligned, machine.rounding, machine.device.type
    processes = machine.accelerator.process_index, machine.accelerator.num_processes
    policy = policy_hash(plan.pipeline.augmentation)
    identity = "augmented", teacher.key, policy, tokens, stream, models, processes
    first = course_of(plan, data).first
    folder = kept(options.cache, "signals", *identity, *[first] * bool(first), about=about_signals(plan))
    return AugmentedSteps(folder, int(options.cache_budget_gb * 1e9), machine.reporter, first)


def course_of(plan: RunPlan, data: TrainingData) -> Course:
    """The weights of the student's training on these data, step by step."""
    pipeline = plan.pipeline
    return Course(pipeline.weights, pipeline.schedule, steps_in_all(len(data), pipeline.training))


def about_signals(plan: RunPlan) -> str:
    """Dataset and teacher that signals are of."""
    return f"{plan.task.name}, {without_path(plan.teacher_name)}"


def seen_by(
    teacher: Teacher, examples: Encoded, tokenizer: PreTrainedTokenizerBase, task: Task, training: Training
) -> Encoded | None:
    """Training examples of a student through a teacher's tokenizer; None where it is the student's `tokenizer`."""
    if same_tokenizer(tokenizer, teacher.tokenizer):
        return None
    limit = _longest(teacher, training.max_length or 0)
    return encode(examples.source, task, teacher.tokenizer, limit, None, examples.windows)


def _longest(teacher: Teacher, length: int) -> int:
    """Tokens that a teacher reads of a text of which the student reads `length`; it may need more for the same."""
    return min(position_limit(teacher.model.config) or 2 * length, 2 * length)


def cached_signals(online: OnlineSignals, teacher: Teacher, run: Run, always: bool = False) -> TeacherSignals:
    """A teacher's signals from the cache where they fit the budget, or `always`; what is missing is computed now."""
    plan, machine = run.plan, run.machine
    length, tokens = plan.pipeline.training.max_length, online.encoded.tokens.values.data
    about = about_signals(plan)
    folder = kept(machine.options.cache, "signals", teacher.key, machine.rounding, length, tokens, about=about)
    _, width = depth_and_width(teacher.model.config)
    store = SignalStore(folder, online.encoded.lengths, plan.task.outputs, plan.task.token_level, width)
    if always or machine.options.signals != "online":
        mend(store, online.needs, machine)
    run.count_passed(store.folder.name, examples_to_pass(store, online.needs))
    signals = signals_for(online, store, machine, always)
    if signals.source == "online":
        run.count_passed(store.folder.name, 0, anew=True)  # it will see them while the student learns
    return signals
