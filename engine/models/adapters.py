"""Fine-tuning in little memory: LoRA (Hu et al. 2022) and gradient checkpointing (Chen et al. 2016).

Decided here: adapters stand beside the linear layers inside the encoder; its other weights are still, and the head,
which is new, learns whole. When the training is over the adapters are merged into the weights, so what is kept, scored
and distilled is an ordinary model.

Equation:
    W' = W + (α / r) · B A,  A (r, inputs) random, B (outputs, r) zero at first, α = 2r
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCALE = 2  # α / r


@contextmanager
def adapted(model: PreTrainedModel, rank: int | None, seed: int) -> Iterator[None]:
    """Gives a model adapters of this rank, in place, that alone learn, with its head; merged into it in the end.

    Nothing happens where `rank` is None. After an error the model is as it was left, adapters and all.
    """
    if rank is None:
        yield
        return
    from peft import LoraConfig  # takes a second
    from peft.tuners.lora import LoraModel

    inside, learned = model.base_model, [parameter.requires_grad for parameter in model.parameters()]
    known = {id(module): module for module in inside.modules() if isinstance(module, nn.Linear | Conv1D)}
    layers = [name for name, module in model.named_modules() if id(module) in known]
    turned = any(isinstance(module, Conv1D) for module in known.values())  # GPT-2's: (inputs, outputs)
    how = LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=layers, fan_in_fan_out=turned)
    torch.manual_seed(seed)
    tuner = LoraModel(model, how, "lora")
    still = {id(parameter) for parameter in inside.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad or id(parameter) not in still)
    yield
    tuner.merge_and_unload()
    for parameter, learns in zip(model.parameters(), learned, strict=True):
        parameter.requires_grad_(learns)


@contextmanager
def checkpointing_gradients(model: PreTrainedModel, whether: bool) -> Iterator[None]:
    """Layers keep but their inputs and are computed again for the gradients: the same numbers, slower, less memory."""
    if not whether:
        yield
        return
    caches = getattr(model.config, "use_cache", None)
    model.config.use_cache = False  # keys and values of layers that are computed again; transformers would warn
    model.activation_checkpointing_enable({"use_reentrant": False})
    try:
        yield
    finally:
        model.activation_checkpointing_disable()
        model.config.use_cache = caches
