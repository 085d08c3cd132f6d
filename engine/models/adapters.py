"""Fine-tuning in little memory: LoRA (Hu et al. 2022) and gradient checkpointing (Chen et al. 2016).

Decided here: adapters stand beside the linear layers inside the encoder; its other weights are still, and the head,
which is new, learns whole. When the training is over the adapters are merged into the weights, so what is kept, scored
and distilled is an ordinary model. Weights that are held in fewer bits (`engine.models.held`) cannot take them up
without being rounded again, which would lose of what was learned: there the adapters stay, and they and the head are
all that checkpoints and the cache hold.

Equation:
    W' = W + (α / r) · B A,  A (r, inputs) random, B (outputs, r) zero at first, α = 2r
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_model, save_model
from transformers.pytorch_utils import Conv1D

from engine.models.held import held_in, import_library, linear_layers

if TYPE_CHECKING:
    from peft.tuners.lora import LoraModel
    from transformers import PreTrainedModel

SCALE = 2  # α / r
FILE = "adapters.safetensors"
NAME = "lora"  # of the adapters, in peft


@contextmanager
def adapted(model: PreTrainedModel, rank: int | None, seed: int) -> Iterator[None]:
    """Gives a model adapters of this rank, in place, that alone learn, with its head; merged into it in the end, where
    its weights are in float32.

    Nothing happens where `rank` is None. After an error the model is as it was left, adapters and all.
    """
    if rank is None:
        yield
        return
    learned = [parameter.requires_grad for parameter in model.parameters()]
    tuner = put_beside(model, rank, seed)
    yield
    if held_in(model) != "float32":
        return
    tuner.merge_and_unload()
    for parameter, learns in zip(model.parameters(), learned, strict=True):
        parameter.requires_grad_(learns)


def put_beside(model: PreTrainedModel, rank: int, seed: int) -> LoraModel:
    """Puts adapters beside a model's linear layers, in place; they and the head alone learn."""
    import_library()
    from peft import LoraConfig  # takes a second
    from peft.tuners.lora import LoraModel

    layers = linear_layers(model)
    turned = any(isinstance(layer, Conv1D) for layer in layers.values())  # GPT-2's: (inputs, outputs)
    how = LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=[*layers], fan_in_fan_out=turned)
    torch.manual_seed(seed)
    tuner = LoraModel(model, how, NAME)
    still = {id(parameter) for parameter in model.base_model.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad or id(parameter) not in still)
    if held_in(model) != "float32":
        _leave_out_what_stands(model)
    return tuner


def _leave_out_what_stands(model: PreTrainedModel) -> None:
    """Has the state of a model be what learns alone, in float32; in place."""
    learns = {name: each for name, each in model.named_parameters() if each.requires_grad}
    for parameter in learns.values():
        parameter.data = parameter.data.float()  # peft makes adapters in the type of what they stand beside

    def write(_: Any, state: dict[str, Any], prefix: str, __: Any) -> None:
        for name in [name for name in state if name.removeprefix(prefix) not in learns]:
            del state[name]

    def read(_: Any, different: Any) -> None:
        different.missing_keys[:] = [name for name in different.missing_keys if name in learns]

    model.register_state_dict_post_hook(write)
    model.register_load_state_dict_post_hook(read)


def save_adapters(model: PreTrainedModel, folder: Path) -> bool:
    """Writes what was learned beside weights that are held in fewer bits; False, and nothing, of any other model."""
    if held_in(model) == "float32":
        return False
    save_model(model, str(folder / FILE))
    return True


def load_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Puts what `save_adapters` wrote beside the weights of a model that is as it was when it began to learn."""
    with safe_open(folder / FILE, "pt") as file:
        rank = min(file.get_slice(name).get_shape()[0] for name in file.keys() if ".lora_A." in name)  # noqa: SIM118
    put_beside(model, rank, seed=0)
    load_model(model, folder / FILE)


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
