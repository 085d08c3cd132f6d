"""The Bi-LSTM score of a dataset: what a small Bi-LSTM learns from its gold labels (Distiller, table 7).

Decided here: the network of Bi-LSTM students, on random word vectors, which the engine trains and scores as it does
teachers and students. Of a large dataset a sample is read, so that the score costs seconds and can be compared
between datasets of every size. The network computes in float32 and on one thread, whatever the machine offers: the
score belongs to the dataset.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from engine.base.files import hash_of
from engine.base.machine import Machine
from engine.data.load import identified
from engine.data.splits import at_most
from engine.data.task import Task
from engine.evaluation.inference import encode_held_out, timing
from engine.evaluation.intervals import Measures, in_words
from engine.models.bilstm import BiLSTMConfig
from engine.models.load import build, for_task, parameter_count, size_mb
from engine.models.output import change_unit
from engine.models.own import for_texts
from engine.models.start import Model
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.training import Training
from engine.run.fine_tuning import gold_scores
from engine.run.verdict import BILSTM_ROWS


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
    train_rows: int = BILSTM_ROWS
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
    size = {"word_width": settings.width, "hidden_size": 2 * settings.hidden}
    config = BiLSTMConfig(**size, spread=settings.spread, dropout=settings.dropout)
    return build(for_task(for_texts(config, task, tokenizer), task, tokenizer), task.kind, settings.seed), tokenizer


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
    task = identified(task).labelled
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
