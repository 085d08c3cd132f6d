"""The masked-language model of contextual augmentation: a named one, or a small one of the dataset's own.

Decided here: size and training of the small one. It knows which words stand where in texts like these, and nothing of
the language beyond them. The main process trains it alone, once for a dataset, so that it never depends on processes.
"""

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling, PreTrainedModel, PreTrainedTokenizerBase

from engine.augment.head import logits_at
from engine.base.cache import intact, keeping, kept
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.data.task import Task, texts_of
from engine.models.held import import_library
from engine.models.load import load_config, load_tokenizer, load_weights, quiet_transformers, save_model
from engine.models.names import Scratch
from engine.models.scratch import scratch_config
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.augmentation import IN_DOMAIN
from engine.tokens.order import step_batches
from engine.tokens.ragged import NO_LABEL

SIZE = Scratch(layers=2, hidden=128, heads=2)
TOKENS = 64  # of a text; the rest of a long one is another text
EPOCHS = 8  # beyond them, texts are learned by heart and the loss on others rises again (benchmarks/RESULTS.md)
EXAMPLES = 20_000  # most texts that are read, repetitions counted
BATCH = 32
LEARNING_RATE = 1e-3
WARMUP = 0.1
MASKED = 0.15
PLACE = "augmentation.contextual.model"


def load_language_model(name: str, task: Task, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A masked-language model with its tokenizer: of a hub name or folder, or trained on the task's texts.

    Raises:
        InputError: It cannot be read, or is no masked-language model.
    """
    if name == IN_DOMAIN:
        return in_domain(task, machine)
    tokenizer = load_tokenizer(name, PLACE)
    if tokenizer.mask_token is None:
        raise InputError.of(PLACE, "its tokenizer has no mask, so it fills in no words", repr(name))
    return _load(name), tokenizer


def _load(name: str) -> PreTrainedModel:
    what = "no masked-language model can be loaded"
    return load_weights(AutoModelForMaskedLM, name, load_config(name, PLACE), PLACE, what)


def in_domain(task: Task, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A small masked-language model of the task's texts, trained once."""
    tokenizer = scratch_tokenizer(task, machine)
    how = (SIZE, TOKENS, EPOCHS, EXAMPLES, BATCH, LEARNING_RATE, MASKED, machine.precision)
    folder = kept(machine.options.cache, "language_models", task.labelled.fingerprint, *how, about=task.name)
    with machine.alone(folder):
        if machine.main and not intact(folder, machine.reporter):
            model = _trained(task, tokenizer, machine)
            with keeping(folder) as aside:
                save_model(model, tokenizer, aside)
        machine.accelerator.wait_for_everyone()
    return _load(str(folder)), tokenizer


def _trained(task: Task, tokenizer: PreTrainedTokenizerBase, machine: Machine) -> PreTrainedModel:
    texts = _pieces(task, tokenizer)
    config = scratch_config(SIZE, len(tokenizer), tokenizer.pad_token_id or 0)
    torch.manual_seed(0)
    with quiet_transformers():
        model = AutoModelForMaskedLM.from_config(config).to(machine.device).train()
    epochs = range(min(EPOCHS, math.ceil(EXAMPLES / len(texts))))
    lengths = np.array([len(text["input_ids"]) for text in texts])
    steps = [ids for epoch in epochs for ids in step_batches(lengths, BATCH, 0, epoch)][: EXAMPLES // BATCH]
    weights = {"params": list(model.parameters()), "initial_lr": LEARNING_RATE}
    optimizer = torch.optim.AdamW([weights], lr=LEARNING_RATE)
    import_library()
    from transformers import get_linear_schedule_with_warmup  # which imports peft

    # It begins behind transformers' first step and ends before its last one, whose rates are 0.
    warmup, total = max(1, round(WARMUP * len(steps))), len(steps) + 1
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, total, last_epoch=0)
    collate = masking(tokenizer)
    machine.reporter.start(name := "language model of the dataset", len(steps))
    for ids in steps:
        masked_loss(model, collate([texts[index] for index in ids]), machine).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        machine.reporter.advance(name)
    machine.reporter.finish(name)
    return model.eval()


def _pieces(task: Task, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
    """Every text as token ids, long ones in pieces."""
    texts = list(texts_of(task))
    pieces = tokenizer(
        texts, truncation=True, max_length=TOKENS, return_overflowing_tokens=True, return_special_tokens_mask=True
    )
    names = ("input_ids", "special_tokens_mask")
    return [dict(zip(names, values, strict=True)) for values in zip(*map(pieces.get, names), strict=True)]


def masking(tokenizer: PreTrainedTokenizerBase) -> DataCollatorForLanguageModeling:
    """Masks tokens of texts (Devlin et al. 2019), every chosen one; the same ones whenever it is made."""
    collate = DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=MASKED, mask_replace_prob=1.0, random_replace_prob=0.0, seed=0
    )
    collate.generator = collate.get_generator(collate.seed)  # which it refuses to make itself in a process of a pool
    return collate


def masked_loss(model: PreTrainedModel, batch: Any, machine: Machine) -> Tensor:
    """Cross-entropy at the masked tokens; 0 where no token is."""
    batch = send_to_device(batch, machine.device)
    masked = batch["labels"] != NO_LABEL
    # fp16 would need its loss scaled.
    with machine.accelerator.autocast() if machine.precision == "bf16" else nullcontext():
        logits = logits_at(masked, model, {name: batch[name] for name in ("input_ids", "attention_mask")})
    total = F.cross_entropy(logits.float(), batch["labels"][masked], reduction="sum")
    return total / masked.sum().clamp(min=1)
