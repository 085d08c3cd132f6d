"""The Bi-LSTM score of a dataset: what a small Bi-LSTM learns from its gold labels (Distiller, table 7).

Decided here: one network for all kinds of task, on random word vectors, which the engine trains and scores as it
does teachers and students. Of a large dataset a sample is read, so that the score costs seconds and can be compared
between datasets of every size. The network computes in float32 and on one thread, whatever the machine offers: the
score belongs to the dataset.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import QuestionAnsweringModelOutput, TokenClassifierOutput

from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.load import identified
from engine.data.splits import at_most
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, timing
from engine.evaluation.intervals import Measures, in_words
from engine.models.load import parameter_count, size_mb
from engine.models.output import change_unit
from engine.models.start import Model
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.training import Training
from engine.run.fine_tuning import gold_scores


@dataclass(frozen=True)
class BiLSTMSettings:
    """Size and training of the network, and how much of a dataset it reads.

    The values are ours, found on a dozen public datasets of up to 3,000 rows. States of 100, dropout of 0.5 or a
    third more examples move most scores by less than 0.02, which is what another seed does.

    Args:
        width: Of a word's vector.
        spread: Standard deviation of its numbers at the start. The product of a word with itself is then about 9,
            with another one 0 ± 0.9: equal words of two texts find each other before anything is learned.
        hidden: Width of the states in each direction.
        examples: Of the training, repetitions counted: 6 epochs of 3,000 rows.
        answering_examples: The same for question answering, whose texts are several times as long.
        seed: Of the samples, of the network at the start, of the order of examples and of dropout.
    """

    width: int = 100
    spread: float = 0.3
    hidden: int = 64
    dropout: float = 0.3
    batch_size: int = 32
    learning_rate: float = 6e-3
    examples: int = 18_000
    answering_examples: int = 9_000
    most_epochs: int = 20
    train_rows: int = 3_000
    held_out_rows: int = 1_000
    seed: int = 0

    def training(self, task: Task) -> Training:
        """How the network is trained; texts are cut where a student's are."""
        examples = self.answering_examples if task.kind == "question_answering" else self.examples
        epochs = min(math.ceil(examples / len(task.train)), self.most_epochs)
        return Training(epochs=epochs, batch_size=self.batch_size, learning_rate=self.learning_rate).for_task(task)


DEFAULTS = BiLSTMSettings()


@dataclass(frozen=True)
class BiLSTMCosts:
    """Sizes and latency of a Bi-LSTM, as in `RunResult`."""

    parameters: int
    size_mb: float
    latency_ms: float


def bilstm_costs(task: Task, machine: Machine, settings: BiLSTMSettings = DEFAULTS) -> BiLSTMCosts:
    """What the Bi-LSTM costs; with random weights, because it is the same with any."""
    task = sampled(task, settings)
    network, tokenizer = _start(task, machine, settings)
    held_out = encode_held_out(task, tokenizer, settings.training(task))[task.split]
    latency, _ = timing(network, held_out, task.kind, machine.device)
    return BiLSTMCosts(parameter_count(network), size_mb(network), latency)


def _start(task: Task, machine: Machine, settings: BiLSTMSettings) -> Model:
    tokenizer = scratch_tokenizer(task, machine)
    torch.manual_seed(settings.seed)
    return BiLSTM(task, len(tokenizer), settings), tokenizer


def bilstm_score(task: Task, machine: Machine, settings: BiLSTMSettings = DEFAULTS) -> float:
    """The task's metric on the held-out set that is reported, after the Bi-LSTM's best epoch."""
    return bilstm_measures(task, machine, settings)[task.split].scores[task.metric]


def bilstm_measures(task: Task, machine: Machine, settings: BiLSTMSettings = DEFAULTS) -> Measures:
    """What the Bi-LSTM reaches on the sets that select and report, after its best epoch; kept in the cache."""
    task = sampled(task, settings)
    training = settings.training(task)
    start = _start(task, machine, settings)
    key = hash_of("bi_lstm", settings, training.model_dump_json(), task.fingerprint, machine.precision)
    change_unit(start[0], task.unit)
    with one_thread():
        measures = gold_scores("Bi-LSTM", start, task, training, settings.seed, key, machine)
    machine.reporter.message(f"Bi-LSTM: {in_words(measures)}")
    return measures


def sampled(task: Task, settings: BiLSTMSettings) -> Task:
    """The task with the sets that select and report alone, and no more rows than the settings allow."""
    task = identified(task)
    train = at_most(task.train, settings.train_rows, settings.seed, task.kind)
    names = dict.fromkeys((next(iter(task.validation)), task.split))
    kept = {name: at_most(task.held_out[name], settings.held_out_rows, settings.seed, task.kind) for name in names}
    whole = len(train) == len(task.train) and all(len(rows) == len(task.held_out[name]) for name, rows in kept.items())
    fingerprint = task.fingerprint if whole else hash_of(task.fingerprint, settings)
    validation, test = ({name: kept[name] for name in sets if name in kept} for sets in (task.validation, task.test))
    return replace(task, train=train, validation=validation, test=test, fingerprint=fingerprint)


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch compute on one thread of the CPU.

    With two, a network as small as this gains a third at best, and where other work keeps a core busy they wait for
    each other at every word: up to 80 times as long was measured.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class BiLSTM(PreTrainedModel):
    """One bidirectional LSTM layer over word vectors, and an output layer on what `READ` takes of its states.

    Equation: of two texts, each word x sees beside its own vector |x − a|, its difference from the mean of the other
        text's words y, weighted by likeness: a = Σ_y softmax_y(x · y) y (Parikh et al. 2016).
    """

    def __init__(self, task: Task, vocabulary: int, settings: BiLSTMSettings):
        super().__init__(PretrainedConfig())
        shape = task.kind if task.token_level else "pair" if task.pair else "single"
        self.kind, self.two_texts = task.kind, shape in ("pair", "question_answering")
        self.read, parts = READ[shape]
        self.words = nn.Embedding(vocabulary, settings.width)
        nn.init.normal_(self.words.weight, std=settings.spread)
        seen = settings.width * (1 + self.two_texts)
        self.ahead = nn.LSTM(seen, settings.hidden, batch_first=True)
        self.back = nn.LSTM(seen, settings.hidden, batch_first=True)
        self.dropout = nn.Dropout1d(settings.dropout)
        self.output = nn.Linear(parts * 2 * settings.hidden, task.outputs)
        self.register_state_dict_post_hook(_copied)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, **_: Any
    ) -> TokenClassifierOutput | QuestionAnsweringModelOutput:
        """The logits of a batch of tokens (B, N), whose types are 0 in the first text, 1 in the second."""
        mask = attention_mask.bool()
        first, second = mask & (token_type_ids == 0), mask & (token_type_ids == 1)
        with torch.autocast(input_ids.device.type, enabled=False):
            words = self.words(input_ids)
            if self.two_texts:
                words = torch.cat([words, (words - attended(words, first, second)).abs()], dim=-1)
            states = self._dropped(self._states(self._dropped(words), mask))
            logits = self.output(self.read(states, first, second))
        if self.kind == "question_answering":
            return QuestionAnsweringModelOutput(start_logits=logits[..., 0], end_logits=logits[..., 1])
        return TokenClassifierOutput(logits=logits)

    def _states(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, N, 2 · hidden): what the LSTM has read up to each word, from the left and from the right.

        Two LSTMs, one on the words turned around in front of their padding: torch's bidirectional one would begin
        with the padding, and on packed sequences it takes 2 to 20 times as long on a CPU.
        """
        position, length = torch.arange(mask.shape[1], device=mask.device), mask.sum(1, keepdim=True)
        turned = torch.where(position < length, length - 1 - position, position).unsqueeze(-1)
        ahead, _ = self.ahead(words)
        back, _ = self.back(torch.take_along_dim(words, turned, dim=1))
        return torch.cat([ahead, torch.take_along_dim(back, turned, dim=1)], dim=-1)

    def _dropped(self, values: Tensor) -> Tensor:
        """Dropout of the same numbers in all words of a text (Gal and Ghahramani 2016)."""
        return self.dropout(values.transpose(1, 2)).transpose(1, 2)


def attended(words: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """For each word (B, N, width) the mean of the other text's words, weighted by likeness; at padding, any value.

    `first` and `second` (B, N) are true where a word belongs to this text.
    """
    other = torch.where(first.unsqueeze(2), second.unsqueeze(1), first.unsqueeze(1))
    likeness = (words @ words.transpose(1, 2)).masked_fill(~other, torch.finfo(words.dtype).min)
    return likeness.softmax(dim=-1) @ words


def _copied(network: nn.Module, state: dict[str, Tensor], *_: Any) -> None:
    """On a GPU an LSTM's weights are views of one tensor, and safetensors saves no views."""
    state.update({name: tensor.clone() for name, tensor in state.items()})


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    """(B, width): each number's maximum over the words of a text."""
    return states.masked_fill(~mask.unsqueeze(-1), torch.finfo(states.dtype).min).amax(dim=1)


def _two_texts(states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """[u, v, |u − v|, u ∘ v] of two texts (Conneau et al. 2017)."""
    u, v = _largest(states, first), _largest(states, second)
    return torch.cat([u, v, (u - v).abs(), u * v], dim=-1)


def _with_question(states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """[h, q, h ∘ q] of each word's state and the question."""
    question = _largest(states, first).unsqueeze(1).expand_as(states)
    return torch.cat([states, question, states * question], dim=-1)


READ: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], int]] = {
    "single": (lambda states, first, second: _largest(states, first | second), 1),
    "pair": (_two_texts, 4),
    "tagging": (lambda states, first, second: states, 1),
    "question_answering": (_with_question, 3),
}
"""Shape of the task → what the output layer reads of states, first and second text; its width in states."""
