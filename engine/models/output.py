"""A model's output layer: the order of its classes, the unit of its values, the temperature of its probabilities.

Decided here: outside of training, the models of a regression task answer in the user's unit, also when plain
transformers loads them, because the unit is a part of their output layer's weights. That layer computes in float32
under mixed precision, too: bf16 tells no two numbers between 2,000 and 2,008 apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.base.errors import InputError
from engine.data.task import NO_UNIT, Unit

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ExactLinear(nn.Linear):
    """A linear layer that computes in float32, also under mixed precision."""

    def forward(self, states: Tensor) -> Tensor:
        """Shapes: states (..., D) → (..., C)."""
        with torch.autocast(states.device.type, enabled=False):
            return super().forward(states.float())


def output_layer(model: nn.Module, outputs: int) -> tuple[str, nn.Linear] | None:
    """Name and module of the one linear layer of `outputs` numbers; None where there is none, or several.

    Example:
        >>> output_layer(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)), 1)
        ('1', Linear(in_features=4, out_features=1, bias=True))
    """
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == outputs
    ]
    return found[0] if len(found) == 1 else None


def change_unit(model: nn.Module, unit: Unit) -> None:
    """Makes a model with one output answer mean + deviation · y where it answered y, in place.

    Raises:
        InputError: It has no single output layer with a bias.
    """
    if unit == NO_UNIT:
        return
    found = output_layer(model, 1)
    if found is None or found[1].bias is None:
        what = "its head has no single output layer with a bias, which would hold the unit of its answers"
        raise InputError.of("model", what, type(model).__name__)
    layer = found[1]
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() * unit.deviation)
        layer.bias.copy_(layer.bias.double() * unit.deviation + unit.mean)


def divide_outputs(model: nn.Module, outputs: int, temperature: float) -> bool:
    """Makes a model answer its logits / temperature, in place; False where it has no linear output layer.

    Of several linear layers of as many numbers the last one gives the logits: a head ends with it.
    """
    layers = [each for each in model.modules() if isinstance(each, nn.Linear) and each.out_features == outputs]
    if not layers:
        return False
    with torch.no_grad():
        for parameter in layers[-1].parameters():
            parameter.copy_(parameter.double() / temperature)
    return True


def answer_exactly(model: PreTrainedModel) -> PreTrainedModel:
    """Puts an `ExactLinear` with the same weights in place of the output layer of a model with one output."""
    if found := output_layer(model, 1):
        name, layer = found
        with torch.device("meta"):
            exact = ExactLinear(layer.in_features, 1, bias=layer.bias is not None)
        exact.weight, exact.bias = layer.weight, layer.bias
        model.set_submodule(name, exact.train(layer.training))
    return model
