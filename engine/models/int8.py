"""A model whose linear layers multiply 8-bit integers: a teacher that answers faster, and a little differently.

Decided here: weights have one scale for each output and inputs one for each token, both symmetric and without an
offset, so nothing has to be calibrated. Embeddings, norms, attention's products and the head keep their precision.
"""

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.base.errors import InputError

MOST = 127  # of a signed byte, used alike on both sides of 0
SMALLEST = 1e-12  # a scale, so that a row of zeros divides by no zero


class Int8Linear(nn.Module):
    """A linear layer without gradients, for CPUs: both factors are rounded to 8 bits, and their sums are exact.

    Shapes:
        (..., E) → (..., outputs); float32, whatever the inputs' type.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = _scales(weight)
        self.register_buffer("weight", (weight / scales).round_().to(torch.int8))
        self.register_buffer("scales", scales.squeeze(-1))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().float())

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1]).float()
        scales = _scales(rows)
        sums = torch._int_mm((rows / scales).round_().to(torch.int8), self.weight.T)  # as torchao does
        outputs = (sums * scales).mul_(self.scales)
        return (outputs if self.bias is None else outputs.add_(self.bias)).view(*inputs.shape[:-1], -1)


def _scales(rows: Tensor) -> Tensor:
    """What each row (n, E) is divided by to fit into a byte, (n, 1)."""
    return rows.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST).div_(MOST)


def in_int8(model: PreTrainedModel) -> PreTrainedModel:
    """The same model with `Int8Linear` for every linear layer but the head's; all other tensors are shared.

    Raises:
        InputError: It has none, as GPT-2, whose layers are of another class.
    """
    body: nn.Module = model.base_model
    replaced = {id(each): Int8Linear(each) for each in body.modules() if type(each) is nn.Linear}
    if not replaced:
        raise InputError.of("--int8-teacher", "this model has no linear layers of torch", model.config.model_type)
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, {**shared, **replaced})
