"""The baseline score of a dataset: what a small Bi-LSTM learns from its gold labels (Distiller, table 7).

Decided here: one network for every kind of task, from random word vectors, trained and scored by the engine
as teachers and students are. It reads a sample of a large dataset, so that the score costs seconds, and is
comparable between datasets whatever their size. It computes in float32 everywhere, so that the score belongs
to the dataset and not to the machine's precision.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import QuestionAnsweringModelOutput, TokenClassifierOutput

from engine.data.splits import sample
from engine.data.task import Task
from engine.files import hash_of
from engine.fine_tuning import Model, baseline_scores
from engine.hardware import Machine
from engine.models import for_task
from engine.spec import Training
from engine.teacher import scratch_tokenizer


@dataclass(frozen=True)
class BaselineSettings:
    """How the baseline is measured; measured on nine datasets of 3,000 rows, unless a source is named."""

    train_rows: int = 3000
    held_out_rows: int = 1000
    width: int = 100
    """Of a word's vector, which starts at random."""
    spread: float = 0.3
    """Standard deviation of the numbers of a random word vector. The dot product of a word with itself is
    then 9 and with another one 0 ± 0.9, so words of two texts are paired by identity from the start."""
    hidden: int = 64
    """Width of the LSTM's states in each direction."""
    dropout: float = 0.3
    batch_size: int = 32
    learning_rate: float = 4e-3
    examples: int = 24_000
    """That are trained on, repetitions counted: 8 epochs of 3,000 rows."""
    most_epochs: int = 30
    answering_examples: int = 12_000
    """The same for question answering, whose texts are ten times as long."""
    seed: int = 0

    def training(self, task: Task) -> Training:
        """How the network is trained; texts are read as long as students read them."""
        examples = self.answering_examples if task.kind == "question_answering" else self.examples
        return Training(
            epochs=min(math.ceil(examples / len(task.train)), self.most_epochs),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        ).for_task(task)


SETTINGS = BaselineSettings()


class BiLSTMConfig(PretrainedConfig):
    """Sizes of the network, as transformers wants them."""

    model_type = "bi_lstm"
    kind: str = "classification"
    two_texts: bool = False
    vocab_size: int = 8000
    pad_token_id: int | None = None
    width: int = 100
    spread: float = 0.3
    hidden: int = 64
    dropout: float = 0.3


class BiLSTM(PreTrainedModel):
    """One bidirectional LSTM layer over word vectors, with an output layer for the kind of task.

    Equation: of two texts, each word sees beside its own vector x its difference |x − a| from what it finds
        in the other text, a = Σ_j softmax_j(x · y_j) y_j (Parikh et al. 2016; as f_align of Chen et al.
        2017). A text is the maximum of its states, two texts are [u, v, |u − v|, u ∘ v] (Conneau et al.
        2017); an answer's ends are read from [h, q, h ∘ q], q being the question.
    """

    config_class = BiLSTMConfig

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.width, padding_idx=config.pad_token_id)
        nn.init.normal_(self.words.weight, std=config.spread)
        seen = config.width * (2 if config.two_texts else 1)
        self.forwards = nn.LSTM(seen, config.hidden, batch_first=True)
        self.backwards = nn.LSTM(seen, config.hidden, batch_first=True)
        self.dropout = nn.Dropout1d(config.dropout)
        states = (
            3
            if config.kind == "question_answering"
            else 4
            if config.two_texts and config.kind != "tagging"
            else 1
        )
        self.output = nn.Linear(2 * config.hidden * states, config.num_labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, **_: Any
    ) -> TokenClassifierOutput | QuestionAnsweringModelOutput:
        """Logits as the heads of transformers give them.

        Shapes:
            input_ids, attention_mask, token_type_ids: (B, N).
            logits: (B, C); (B, N, C) in tagging; start and end (B, N) in question answering.
        """
        with torch.autocast(input_ids.device.type, enabled=False):
            mask = attention_mask.bool()
            first, second = mask & (token_type_ids == 0), mask & (token_type_ids == 1)
            words = self.words(input_ids)
            if self.config.two_texts:
                words = torch.cat([words, (words - _partners(words, first, second)).abs()], dim=-1)
            states = self._dropped(self._states(self._dropped(words), mask))
            if self.config.kind == "question_answering":
                question = _largest(states, first).unsqueeze(1).expand_as(states)
                logits = self.output(torch.cat([states, question, states * question], dim=-1))
                return QuestionAnsweringModelOutput(start_logits=logits[..., 0], end_logits=logits[..., 1])
            if self.config.kind != "tagging":
                states = (
                    self._text(states, first, second) if self.config.two_texts else _largest(states, mask)
                )
            return TokenClassifierOutput(logits=self.output(states))

    def _text(self, states: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Two texts as one vector (B, 4 · states)."""
        one, other = _largest(states, first), _largest(states, second)
        return torch.cat([one, other, (one - other).abs(), one * other], dim=-1)

    def _dropped(self, values: Tensor) -> Tensor:
        """Dropout that is the same for all tokens of an example (B, N, D)."""
        return self.dropout(values.transpose(1, 2)).transpose(1, 2)

    def _states(self, words: Tensor, mask: Tensor) -> Tensor:
        """States of both directions (B, N, 2 · hidden); the way back begins at each text's last token."""
        position, length = torch.arange(mask.shape[1], device=mask.device), mask.sum(1, keepdim=True)
        turned = torch.where(position < length, length - 1 - position, position).unsqueeze(-1)
        ahead, _ = self.forwards(words)
        back, _ = self.backwards(torch.take_along_dim(words, turned, dim=1))
        return torch.cat([ahead, torch.take_along_dim(back, turned, dim=1)], dim=-1)


def _partners(words: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(B, N, width): for each word the mean of the other text's words, weighted by likeness."""
    across = (first.unsqueeze(2) & second.unsqueeze(1)) | (second.unsqueeze(2) & first.unsqueeze(1))
    likeness = (words @ words.transpose(1, 2)).masked_fill(~across, torch.finfo(words.dtype).min)
    return likeness.softmax(dim=-1) @ words


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    """Maximum over the tokens of a text (B, D); states lie above −1."""
    return states.masked_fill(~mask.unsqueeze(-1), -1).amax(dim=1)


def baseline_score(task: Task, machine: Machine, settings: BaselineSettings = SETTINGS) -> float:
    """The score of the Bi-LSTM on the first held-out set, in the task's metric.

    It is measured once for a dataset and kept in the cache.
    """
    small = _sample(task, settings)
    training = settings.training(small)
    key = hash_of("bi_lstm", asdict(settings), task.fingerprint, training.model_dump_json())
    first = next(iter(small.validation))
    return baseline_scores(_start(small, settings, machine), small, training, settings.seed, key, machine)[
        first
    ][task.metric]


def _start(task: Task, settings: BaselineSettings, machine: Machine) -> Model:
    """The network before it is trained, with its tokenizer."""
    tokenizer = scratch_tokenizer(task, machine)
    config = BiLSTMConfig(
        kind=task.kind,
        two_texts=task.pair or task.kind == "question_answering",
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        width=settings.width,
        spread=settings.spread,
        hidden=settings.hidden,
        dropout=settings.dropout,
    )
    torch.manual_seed(settings.seed)
    return BiLSTM(for_task(config, task, tokenizer)), tokenizer


def _sample(task: Task, settings: BaselineSettings) -> Task:
    """The rows that are read: at most so many of the training rows and of the first held-out set."""
    name, held_out = next(iter(task.validation.items()))

    def drawn(rows: Dataset, most: int) -> Dataset:
        return rows if len(rows) <= most else rows.select(sample(len(rows), most, settings.seed))

    return replace(
        task,
        train=drawn(task.train, settings.train_rows),
        validation={name: drawn(held_out, settings.held_out_rows)},
    )
