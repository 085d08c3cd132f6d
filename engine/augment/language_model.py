"""The masked-language model of contextual augmentation: a named one, or a small one of the dataset's own.

Decided here: size and training of the small one. It knows which words stand where in texts like these, and
nothing of the language beyond them; it is trained once for a dataset and kept.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.base.cache import kept
from engine.base.errors import InputError
from engine.base.files import folder_written_atomically
from engine.base.hub import local_snapshot
from engine.base.machine import Machine
from engine.data.task import Task, texts_of
from engine.models.load import load_config, load_tokenizer, quiet_transformers, save_model, scratch_config
from engine.models.names import Scratch
from engine.models.vocabulary import scratch_tokenizer
from engine.pipeline.augmentation import IN_DOMAIN
from engine.tokens.order import step_batches
from engine.training.optimiser import schedule, step_seed

SIZE = Scratch(layers=2, hidden=128, heads=2)
TOKENS = 64
"""Of a text; the rest of a long one is another text."""
EPOCHS = 8
"""Beyond them, texts are learned by heart and the loss on others rises again (benchmarks/RESULTS.md)."""
EXAMPLES = 20_000
"""Most texts that are read, repetitions counted."""
BATCH = 32
LEARNING_RATE = 1e-3
WARMUP = 0.1
MASKED = 0.15
PLACE = "augmentation.contextual.model"

MaskedModel = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def load_language_model(name: str, task: Task, machine: Machine) -> MaskedModel:
    """A masked-language model with its tokenizer.

    Args:
        name: A hub name or a folder; `in_domain` stands for one that is trained on the task's texts.

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
    config = load_config(name, PLACE)
    try:
        with quiet_transformers():
            model, report = AutoModelForMaskedLM.from_pretrained(
                local_snapshot(name, PLACE),
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        what = f"no masked-language model can be loaded ({str(error).splitlines()[0]})"
        raise InputError.of(PLACE, what, repr(name)) from error
    head = [key for key in report["missing_keys"] if "embedding" not in key and "pooler" not in key]
    if head:
        raise InputError.of(PLACE, "it was saved without the head that fills in words", repr(name))
    return model


def in_domain(task: Task, machine: Machine) -> MaskedModel:
    """A small masked-language model of the task's texts, trained once."""
    tokenizer = scratch_tokenizer(task, machine)
    how = (SIZE, TOKENS, EPOCHS, EXAMPLES, BATCH, LEARNING_RATE, MASKED, machine.precision)
    folder = kept(machine.options.cache, "language_models", task.fingerprint, *how)
    with machine.alone(folder):
        if machine.main and not folder.exists():
            model = _trained(task, tokenizer, machine)
            with folder_written_atomically(folder) as aside:
                save_model(model, tokenizer, aside)
        machine.accelerator.wait_for_everyone()
    return _load(str(folder)), tokenizer


def _trained(task: Task, tokenizer: PreTrainedTokenizerBase, machine: Machine) -> PreTrainedModel:
    device, name = machine.device, "language model of the dataset"
    texts = _pieces(task, tokenizer)
    config = scratch_config(SIZE, len(tokenizer), tokenizer.pad_token_id or 0)
    torch.manual_seed(0)
    with quiet_transformers():
        model = AutoModelForMaskedLM.from_config(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    lengths = np.array([len(text) for text in texts])
    epochs = range(min(EPOCHS, math.ceil(EXAMPLES / len(texts))))
    steps = [ids for epoch in epochs for ids in step_batches(lengths, BATCH, 0, epoch)][: EXAMPLES // BATCH]
    machine.reporter.start(name, len(steps))
    for step, ids in enumerate(steps):
        torch.manual_seed(step_seed(0, step, 0))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * schedule(step, len(steps), WARMUP)
        inputs = tokenizer.pad({"input_ids": [texts[at] for at in ids]}, return_tensors="pt").to(device)
        loss = _loss(model, inputs, tokenizer, machine)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        machine.reporter.advance(name)
    machine.reporter.finish(name)
    return model.eval()


def _pieces(task: Task, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Every text as token ids, long ones in pieces."""
    found = tokenizer(
        list(texts_of(task)), truncation=True, max_length=TOKENS, return_overflowing_tokens=True
    )
    return found["input_ids"]


def _loss(
    model: PreTrainedModel, inputs: Any, tokenizer: PreTrainedTokenizerBase, machine: Machine
) -> Tensor:
    """Cross-entropy at the masked tokens (Devlin et al. 2019; every chosen token is masked)."""
    ids = inputs["input_ids"]
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
    masked = (torch.rand(ids.shape).to(ids.device) < MASKED) & ~special
    hidden = ids.masked_fill(masked, tokenizer.mask_token_id)
    # fp16 would need its loss scaled.
    with machine.accelerator.autocast() if machine.precision == "bf16" else nullcontext():
        logits = model(input_ids=hidden, attention_mask=inputs["attention_mask"]).logits
    return F.cross_entropy(logits[masked].float(), ids[masked], reduction="sum") / masked.sum().clamp(min=1)
