"""What a model starts as: pretrained, from scratch, or some layers of another one.

Decided here: teacher, members of a team and student start in the same three ways; a student may be no transformer, too.
What a model takes of another one (`layers:K` its layers, a student from scratch its vocabulary, one that is no
transformer its words' vectors) it takes of the donor that is given with it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from engine.base.errors import InputError, counted
from engine.base.files import hash_of
from engine.base.hub import place_of
from engine.base.machine import Machine
from engine.base.options import HeldIn, StartKind
from engine.data.task import Task, TaskKind
from engine.models import load
from engine.models.bilstm import BiLSTMConfig
from engine.models.held import Held
from engine.models.label_words import LabelWords, asked, calibrate, tokens_beside
from engine.models.names import BiLSTM, LayersOfTeacher, ModelName, Scratch, Static
from engine.models.output import change_unit
from engine.models.own import for_texts, tells_apart
from engine.models.question import Question
from engine.models.scratch import scratch_config
from engine.models.shallow import layers_of, shallow_config
from engine.models.static import StaticConfig, zipf_weights
from engine.models.token_vectors import read_vectors, token_vectors
from engine.models.vocabulary import scratch_tokenizer

Model = tuple[PreTrainedModel, PreTrainedTokenizerBase]  # a model with its tokenizer
OWN: dict[type[PretrainedConfig], StartKind] = {BiLSTMConfig: "lstm", StaticConfig: "static"}
"""Configurations of models that are no transformers."""
STATIC_WIDTH = 256  # as model2vec's
LEAST_TEXT = 8  # tokens of a text that a question has to leave room for


@dataclass(frozen=True)
class Start:
    """What a model will start as, settled before anything is loaded."""

    name: ModelName
    role: str  # where it was named (`teacher`, `student`, `team.members`), for messages
    identity: str  # hash of its weights, or of the words that say how it starts, and of whether it keeps its head
    layers: int
    width: int  # of the hidden states
    config: PretrainedConfig | None = None  # of the pretrained model that it comes from, or of what is no transformer
    whole: Start | None = field(default=None, repr=False)  # the model of which it takes layers, or words' vectors
    ready: bool = False  # whether it keeps the head that it was fine-tuned with
    question: Question | None = None  # what a language model is asked, which then has no head
    beside: int = 0  # tokens that it reads beside those of a text: the question's
    bits: HeldIn = "float32"  # what its weights are held in

    @property
    def kind(self) -> StartKind:
        """How it starts; without a configuration from scratch."""
        return "scratch" if self.config is None else OWN.get(type(self.config), "pretrained")

    @cached_property
    def positions(self) -> int | None:
        """Tokens that it can read; None where nothing limits them."""
        limit = 512 if self.config is None else load.position_limit(self.config)
        return None if limit is None else limit - self.beside

    def with_head(self) -> Start:
        """The same, keeping the head that it was fine-tuned with, which others of its layers then have, too."""
        return replace(self, ready=True, identity=hash_of(self.identity, "with its head"))

    def held_in(self, bits: HeldIn) -> Start:
        """The same with its weights in fewer bits, where it has weights to read; others of its layers have what is
        left of them."""
        if bits == "float32" or not isinstance(self.name, str):
            return self
        return replace(self, bits=bits, identity=hash_of(self.identity, "held in", bits))

    def held(self, machine: Machine) -> Held | None:
        """How its weights are held on a machine; None where they are in float32."""
        return None if self.bits == "float32" else Held(self.bits, machine.precision, machine.device)


def start_of(name: ModelName, role: str, whole: Start | None = None, question: Question | None = None) -> Start:
    """Settles what a model starts as; `layers:K` takes the layers of `whole`, the teacher.

    Args:
        question: What a language model is asked, in place of getting a head.

    Raises:
        InputError: The model cannot be read, the teacher has fewer layers than K or answers a question, or a question
            does not suit the model.
    """
    if isinstance(name, Scratch):
        return Start(name, role, repr(name), name.layers, name.hidden)
    if isinstance(name, LayersOfTeacher):
        assert whole is not None
        if whole.question is not None:
            what = "the teacher is asked in words, and its layers would have to learn the task without a head"
            remedy = "--fine-tune always gives it one."
            raise InputError.of(place_of(role), what, f"layers:{name.count}", ("a hub name", "a folder"), remedy)
        if name.count > whole.layers:
            what, got = f"the teacher has only {counted(whole.layers, 'layer')}", f"layers:{name.count}"
            raise InputError.of(place_of(role), what, got, (f"1 to {whole.layers}",))
        identity = hash_of(repr(name), whole.identity)
        return Start(name, role, identity, name.count, whole.width, whole.config, whole)
    if isinstance(name, BiLSTM | Static):
        assert whole is not None
        own = _own_config(name, whole, role)
        return Start(name, role, hash_of(repr(name), whole.identity), *load.depth_and_width(own), own, whole)
    tokenizer = load.load_tokenizer(name, role)
    config = load.load_config(name, role)
    start = Start(name, role, load.weights_hash(name, role), *load.depth_and_width(config), config)
    return start if question is None else _asking(start, question, tokenizer)


def _asking(start: Start, question: Question, tokenizer: PreTrainedTokenizerBase) -> Start:
    """The start of a language model that is asked; an `InputError` where it cannot read the question."""
    identity = hash_of(start.identity, "asked", question.prompt, *question.words, question.calibrated)
    found = replace(start, identity=identity, question=question, beside=tokens_beside(question, tokenizer))
    if found.positions is not None and found.positions < LEAST_TEXT:
        what = f"it takes {counted(found.beside, 'token')} with the longest word, which leaves no room for a text"
        raise InputError.of("--prompt", what, counted(start.positions or 0, "token"), (f"{LEAST_TEXT} fewer",))
    return found


def _own_config(name: BiLSTM | Static, teacher: Start, role: str) -> PretrainedConfig:
    """The configuration of a model that is no transformer, for any task and tokenizer."""
    if isinstance(name, BiLSTM):
        return BiLSTMConfig(hidden_size=2 * name.hidden)
    if name.width is not None and name.width > teacher.width:
        what = f"the teacher's vectors, of which it takes the first numbers, have only {teacher.width}"
        raise InputError.of(place_of(role), what, f"static:width={name.width}", (f"1 to {teacher.width}",))
    return StaticConfig(hidden_size=name.width or min(STATIC_WIDTH, teacher.width))


def check_weights(start: Start, kind: TaskKind) -> None:
    """Compares the weights of a named model with its configuration; an `InputError` where some would be made up."""
    if isinstance(start.name, str) and start.config is not None and start.question is not None:
        load.compare_weights(AutoModelForCausalLM, start.name, start.config, start.role)
    elif isinstance(start.name, str) and start.config is not None:
        load.compare_weights(load.HEADS[kind], start.name, start.config, start.role, new_head=not start.ready)


class KnownModels:
    """What is known of models: each is read once for all runs that are planned together, and anew for the next ones."""

    def __init__(self) -> None:
        self._starts: dict[tuple[object, ...], Start] = {}
        self._checked: set[tuple[object, ...]] = set()
        self._tell_apart: dict[str, bool] = {}

    def start_of(
        self, name: ModelName, role: str, whole: Start | None = None, question: Question | None = None
    ) -> Start:
        """What a model starts as (`start_of`)."""
        key = name, role, whole and (whole.role, whole.identity), question
        if key not in self._starts:
            self._starts[key] = start_of(name, role, whole, question)
        return self._starts[key]

    def check_weights(self, start: Start, kind: TaskKind) -> None:
        """Compares the weights of a model with its configuration (`check_weights`)."""
        key = start.name, start.role, start.identity, kind
        if key not in self._checked:
            check_weights(start, kind)
            self._checked.add(key)

    def tells_apart(self, name: str, role: str) -> bool:
        """Whether a model's tokenizer puts something between two texts."""
        if name not in self._tell_apart:
            self._tell_apart[name] = tells_apart(load.load_tokenizer(name, role))
        return self._tell_apart[name]


def tokenizer_of(
    start: Start, task: Task, machine: Machine, donor: PreTrainedTokenizerBase | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer that a model reads with: its own, the donor's, or one made of the task's texts."""
    if isinstance(start.name, str):
        return load.load_tokenizer(start.name, start.role)
    if donor is not None:
        return donor
    return tokenizer_of(start.whole, task, machine) if start.whole else scratch_tokenizer(task, machine)


def configuration(
    start: Start, task: Task, tokenizer: PreTrainedTokenizerBase, donor: PretrainedConfig | None
) -> PretrainedConfig:
    """The configuration of a model with a head for the task; a head that stays keeps its own."""
    if isinstance(start.name, Scratch):
        config = scratch_config(start.name, len(tokenizer), tokenizer.pad_token_id or 0)
    elif isinstance(start.name, LayersOfTeacher):
        assert donor is not None
        config = shallow_config(donor, start.name.count)
    else:
        config = copy.deepcopy(start.config)
        if isinstance(start.name, BiLSTM | Static):
            config = for_texts(config, task, tokenizer)
    return config if start.ready else load.for_task(config, task, tokenizer)


def begin(start: Start, task: Task, seed: int, machine: Machine, donor: Model | None = None) -> Model:
    """The model as it starts, with its tokenizer; the same for the same seed. Without a donor, `layers:K` takes
    layers of the whole model as that starts."""
    if donor is None and start.whole is not None:
        donor = begin(start.whole, task, seed, machine)
    if start.question is not None:
        return _asked(start, task, machine)
    network, vocabulary = _lent(start, donor) or (None, None)
    tokenizer = tokenizer_of(start, task, machine, vocabulary)
    config = configuration(start, task, tokenizer, None if network is None else network.config)
    if isinstance(start.name, LayersOfTeacher):
        assert network is not None
        return layers_of(network, start.name.count, config), tokenizer
    if not isinstance(start.name, str):
        model = load.build(config, task.kind, seed)
        if isinstance(start.name, BiLSTM | Static):
            assert network is not None
            assert vocabulary is not None
            _take_vectors(model, (network, vocabulary), machine)
    else:
        new = not start.ready
        model = load.load_pretrained(start.name, config, task.kind, seed, start.role, new, start.held(machine))
    if start.ready:
        _match_labels(model, task, machine)
    else:
        change_unit(model, task.unit)  # a new head answers as if the values' mean were 0, their deviation 1
    return model, tokenizer


def _asked(start: Start, task: Task, machine: Machine) -> Model:
    """A language model with the question that it is asked."""
    assert isinstance(start.name, str)
    assert start.config is not None
    assert start.question is not None
    held = start.held(machine)
    causal = load.load_weights(AutoModelForCausalLM, start.name, start.config, start.role, held=held)
    tokenizer = load.load_tokenizer(start.name, start.role)
    model, prompted = asked(causal, tokenizer, start.question, start.positions)
    if start.question.calibrated:
        with machine.accelerator.autocast():
            calibrate(model.to(machine.device), prompted, task.pair)
    return model, prompted


def _lent(start: Start, donor: Model | None) -> Model | None:
    """What a model takes from a donor. One that is asked in words lends no prompt, and no vocabulary to a student from
    scratch, which learns from its answers alone and would have to learn a language model's many tokens."""
    if donor is None or not isinstance(donor[0], LabelWords):
        return donor
    return None if isinstance(start.name, Scratch) else (donor[0].causal, donor[0].tokenizer)


def _take_vectors(model: PreTrainedModel, donor: Model, machine: Machine) -> None:
    """Gives a model that is no transformer the vectors that its teacher has of each token, in place."""
    words: Any = model.get_input_embeddings()
    if isinstance(model.config, StaticConfig):
        vectors = token_vectors(*donor, words.embedding_dim, machine) * zipf_weights(donor[1])[:, None]
    elif (read := read_vectors(donor[0], *words.weight.shape)) is not None:
        vectors = read * model.config.spread
    else:
        return  # random ones stay: what the teacher reads is narrower
    with torch.no_grad():
        words.weight.copy_(torch.from_numpy(vectors))


def _match_labels(model: PreTrainedModel, task: Task, machine: Machine) -> None:
    """Puts the outputs of a fine-tuned model into the dataset's order, by their names; says it where it has none."""
    if not task.labels:
        return
    names = load.names_of_outputs(model.config)
    load.reorder_labels(model, task.labels)
    if load.unnamed(names) and not load.unnamed(task.labels):
        pairs = ", ".join(f"{name} as {label}" for name, label in zip(names, task.labels, strict=True))
        machine.reporter.message(f"teacher: its labels have no names and are taken in their order: {pairs}")


def planned_parameters(start: Start, task: Task, machine: Machine, teacher: Start | None = None) -> int:
    """Number of parameters of a model that is not built; a student may take its teacher's vocabulary."""

    def planned(start: Start, vocabulary: PreTrainedTokenizerBase | None = None) -> PretrainedConfig:
        whole = None if start.whole is None else planned(start.whole)
        return configuration(start, task, tokenizer_of(start, task, machine, vocabulary), whole)

    if teacher is not None and teacher.question is not None and isinstance(start.name, Scratch):
        teacher = None  # it lends no vocabulary
    return load.parameters_of(planned(start, tokenizer_of(teacher, task, machine) if teacher else None), task.kind)
