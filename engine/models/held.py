"""Weights that are held in fewer bits, so that a large teacher fits: it answers a little differently.

Decided here: what is held so are the weights of the linear layers inside the encoder, most of a large model; all
others, and the head, stay in float32. bf16 is ours and needs no library; 8 and 4 bits are bitsandbytes', by way of
transformers: LLM.int8() (Dettmers et al. 2022), which multiplies integers, and NF4 with scales that are rounded, too
(QLoRA, Dettmers et al. 2023). Each weight is rounded as it is read, so that few are ever there in float32.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from engine.base.errors import InputError
from engine.base.options import HeldIn

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

ORDERED = "support_avx512bf16_for_cpu"
"""Of a layer of 4 bits: whether the first answer puts its weight into an order from which it cannot learn any more, and
which widths that are no multiple of 32 do not have."""
BLOCK = 64  # weights of 4 bits that share a scale
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BY_LIBRARY = ("8bit", "4bit")
LIBRARY = "bitsandbytes"
HUB_CODE = "kernels"
"""Package by which bitsandbytes takes compiled code from the model hub as soon as it is imported, on many CPUs."""
SMALLER: dict[HeldIn, int] = {"float32": 1, "bf16": 2, "8bit": 4, "4bit": 8}
"""What of float32's bytes is needed at least is 1 / this."""


@dataclass(frozen=True)
class Held:
    """How a model's weights are to be held, where it computes, and in what."""

    bits: HeldIn
    precision: str
    device: torch.device

    def loading(self, auto: Any, config: PretrainedConfig, usual: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The class that loads a model so, and what its `from_pretrained` is given.

        Args:
            auto: Class of transformers that would load it in float32, given what is `usual`.
        """
        with torch.device("meta"):
            plain = auto.from_config(config)
        inside = {id(layer) for layer in linear_layers(plain).values()}
        if not inside:
            raise InputError.of("--teacher-weights", "this model has no linear layers of torch", config.model_type)
        if self.bits == "bf16":
            return _in_bf16(type(plain)), dict(usual)
        if self.bits == "4bit" and self.device.type == "cpu":
            _check_widths(plain)
        linear = (name for name, each in plain.named_modules() if isinstance(each, nn.Linear | Conv1D))
        outside = [name for name in linear if id(plain.get_submodule(name)) not in inside]
        import_library()
        bits = {"load_in_8bit": True} if self.bits == "8bit" else {"load_in_4bit": True, **self._in_4_bits()}
        how = BitsAndBytesConfig(llm_int8_skip_modules=outside, **bits)
        return auto, {**usual, "quantization_config": how, "device_map": {"": self.device}}

    def _in_4_bits(self) -> dict[str, Any]:
        """As in QLoRA, computing in the run's precision."""
        how = {"quant_type": "nf4", "use_double_quant": True, "compute_dtype": DTYPES[self.precision]}
        return {f"bnb_4bit_{name}": value for name, value in how.items()}

    def settle(self, model: PreTrainedModel) -> None:
        """Has a model that was loaded so know it, in place; students that take its layers are ordinary models."""
        if self.bits == "bf16":
            model.__class__ = type(model).__bases__[0]
        elif hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        for layer in linear_layers(model).values():
            if hasattr(layer, ORDERED):
                setattr(layer, ORDERED, False)
        model.held_in = self.bits


def _check_widths(model: PreTrainedModel) -> None:
    """Raises an `InputError` where bitsandbytes would compute with other weights, and not say so: on a CPU (0.50) it
    reads rows that do not end with a block as if they did."""
    for layer in linear_layers(model).values():
        width = cast(Tensor, layer.weight).shape[isinstance(layer, nn.Linear)]
        if width % BLOCK:
            what = f"on a CPU bitsandbytes reads 4 bits wrongly where the width is no multiple of {BLOCK}"
            raise InputError.of("--teacher-weights", what, f"width {width}", ("float32", "bf16", "8bit"))


def _in_bf16(kind: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The same class, whose linear layers are there in bf16 before weights are read into them."""

    class InBf16(kind):
        def __init__(self, config: PretrainedConfig) -> None:
            super().__init__(config)
            for layer in linear_layers(self).values():
                layer.__class__ = Bf16Linear if isinstance(layer, nn.Linear) else Bf16Conv1D
                layer.weight = nn.Parameter(cast(Tensor, layer.weight).to(torch.bfloat16))

    return InBf16


class Bf16Linear(nn.Linear):
    """A linear layer whose weight is in bf16, and that computes in its input's type, or autocast's."""

    def forward(self, states: Tensor) -> Tensor:
        """Shapes: states (..., inputs) → (..., outputs)."""
        return F.linear(states, _as_computed(self.weight, states), self.bias)


class Bf16Conv1D(Conv1D):
    """The same for GPT-2's layers, whose weight is (inputs, outputs)."""

    def forward(self, states: Tensor) -> Tensor:
        """Shapes: states (..., inputs) → (..., outputs)."""
        return F.linear(states, _as_computed(self.weight, states).T, self.bias)


def _as_computed(weight: Tensor, states: Tensor) -> Tensor:
    return weight if torch.is_autocast_enabled(states.device.type) else weight.to(states.dtype)


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Name in the model → each linear layer inside its encoder, whatever its weights are held in."""
    inside = {id(each) for each in model.base_model.modules() if isinstance(each, nn.Linear | Conv1D)}
    return {name: each for name, each in model.named_modules() if id(each) in inside}


def held_in(model: nn.Module) -> HeldIn:
    """What a model's weights are held in."""
    return getattr(model, "held_in", "float32")


def has_library() -> bool:
    """Whether bitsandbytes is installed."""
    return find_spec(LIBRARY) is not None


def import_library() -> None:
    """Imports bitsandbytes where it is installed, quietly, and without the code that it would take from the model hub
    and run (docs/security.md). Whatever imports it else, as peft does, comes later."""
    if LIBRARY in sys.modules or not has_library():
        return
    modules: dict[str, Any] = sys.modules
    taken = {HUB_CODE: modules[HUB_CODE]} if HUB_CODE in modules else {}
    modules[HUB_CODE] = None  # as Python says that there is none
    logging.getLogger(LIBRARY).setLevel(logging.ERROR)  # it would tell of every layer how that computes
    try:
        import_module(LIBRARY)
    finally:
        del modules[HUB_CODE]
        modules.update(taken)


def _in_float(layer: Any) -> Tensor:
    """The weight of a layer of bitsandbytes, which stays as it is."""
    weight = layer.weight
    if weight.dtype == torch.int8:
        scales = weight.SCB if layer.state.SCB is None else layer.state.SCB  # it moves there with the first answer
        return weight.data * (scales / 127).unsqueeze(-1)
    import_library()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data, weight.quant_state)


def whole_tensor(model: PreTrainedModel, key: str) -> Tensor:
    """What an ordinary model that answers alike would have under a key of its state, in float32."""
    path, _, leaf = key.rpartition(".")
    layer = model.get_submodule(path)
    base = getattr(layer, "base_layer", layer)
    tensor: Tensor = getattr(base, leaf)
    if held_in(model) == "float32" or leaf != "weight" or not isinstance(base, nn.Linear | Conv1D):
        return tensor
    weight = tensor if tensor.is_floating_point() else _in_float(base)
    weight = weight.detach().float()
    if hasattr(layer, "get_delta_weight"):
        weight = weight + layer.get_delta_weight("lora").detach()
    return weight.T if getattr(base, "source_cls", None) is Conv1D else weight
