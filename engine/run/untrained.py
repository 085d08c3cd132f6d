"""The in-domain language model before it has learned: what it costs, without the time that it takes to train it.

Its speed does not depend on its weights, so costs are measured with random ones; the first run that needs it trains it.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.augment.language_model import BATCH, EPOCHS, EXAMPLES, SIZE, TOKENS, masked_loss, masking
from engine.base.machine import Machine
from engine.data.task import Task, texts_of
from engine.models.load import quiet_transformers, save_model
from engine.models.scratch import scratch_config
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.augmentation import Augmentation, Contextual
from engine.run.timing import timed

STEPS = 3  # that are timed, from short texts to long ones, after one that is not


@contextmanager
def untrained(spec: Augmentation, task: Task, machine: Machine) -> Iterator[Augmentation]:
    """The policy with random weights, in a file, in place of the language model that it would train on `task`."""
    if not spec.trains_first:
        yield spec
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(*_model(task, machine), Path(folder))
        operators = (
            each.model_copy(update={"model": folder}) if isinstance(each, Contextual) else each
            for each in spec.operators
        )
        yield spec.model_copy(update={"operators": tuple(operators)})


def training_seconds(sample: Task, task: Task, machine: Machine) -> float:
    """What it takes to train the language model of a task, from a few steps on texts of a sample of it."""
    model, tokenizer = _model(task, machine)
    pieces = tokenizer(
        list(texts_of(sample)),
        truncation=True,
        max_length=TOKENS,
        return_overflowing_tokens=True,
        return_special_tokens_mask=True,
    )
    count = len(pieces["input_ids"])
    texts = count * len(task.train) / len(sample.train)
    order = np.argsort([len(ids) for ids in pieces["input_ids"]], kind="stable")
    middles = (np.arange(STEPS) + 0.5) / STEPS * max(count - BATCH, 0)
    batches = [order[start : start + BATCH] for start in middles.astype(int)]
    optimizer = torch.optim.AdamW(model.to(machine.device).train().parameters())
    collate, names = masking(tokenizer), ("input_ids", "special_tokens_mask")

    def step(rows: np.ndarray) -> None:
        batch = collate([{name: pieces[name][row] for name in names} for row in rows])
        masked_loss(model, batch, machine).backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = timed(machine, [partial(step, rows) for rows in (batches[0], *batches)])
    return fmean(seconds) * training_steps(texts)


def training_steps(texts: float) -> int:
    """Steps that the language model of so many texts, long ones counted as several, is trained for.

    Example:
        >>> [training_steps(texts) for texts in (40, 1_000, 5_000)]
        [16, 256, 625]
    """
    epochs = min(EPOCHS, math.ceil(EXAMPLES / texts))
    return min(math.ceil(texts / BATCH) * epochs, EXAMPLES // BATCH)


def _model(task: Task, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = scratch_tokenizer(task, machine)
    torch.manual_seed(0)
    with quiet_transformers():
        config = scratch_config(SIZE, len(tokenizer), tokenizer.pad_token_id or 0)
        return AutoModelForMaskedLM.from_config(config), tokenizer
