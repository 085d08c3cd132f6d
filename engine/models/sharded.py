"""A training whose weights, gradients and optimiser lie in pieces on all processes: torch's fully sharded data
parallelism (FSDP, Zhao et al. 2023), which accelerate calls its second version.

Decided here: a copy of the model is cut, layer by layer, and learns; the model itself stays where it was and gets the
best weights in the end, so that everything after the training has an ordinary model. A process gathers a layer when it
computes with it, and lets it go again. Whatever gathers takes all processes at once: those with less to do than others
do something once more.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel


def sharded(model: PreTrainedModel, stack: str | None, device: torch.device) -> PreTrainedModel:
    """A copy of a model of which this process holds its piece, on a device; the others make theirs at the same time.

    Args:
        stack: Name of the model's layers (`layer_stack`), each of which is gathered by itself; None: all at once.
    """
    from torch.distributed.device_mesh import init_device_mesh  # these take most of a second
    from torch.distributed.fsdp import fully_shard

    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)  # that nobody writes to
    found = copy.deepcopy(model)
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for layer in () if stack is None else found.get_submodule(stack).children():
        fully_shard(layer, mesh=mesh)
    fully_shard(found, mesh=mesh)
    for module in found.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    return found


def is_sharded(model: nn.Module) -> bool:
    """Whether a model lies in pieces."""
    if not torch.distributed.is_initialized():
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


@dataclass(frozen=True)
class Gathered:
    """A model that lies in pieces, or its optimiser where one is given, as a part of a checkpoint.

    All processes have to ask for its state; the main one gets it. All have to restore it, from the same state.
    """

    model: nn.Module
    optimizer: Optimizer | None = None

    def state_dict(self) -> dict[str, Any]:
        """The whole of it in the memory of the main process, and nothing in the others."""
        from torch.distributed.checkpoint import state_dict as states

        options = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
        if self.optimizer is None:
            return dict(states.get_model_state_dict(self.model, options=options))
        return dict(states.get_optimizer_state_dict(self.model, self.optimizer, options=options))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes this process's piece of what was saved."""
        from torch.distributed.checkpoint import state_dict as states

        options = states.StateDictOptions(full_state_dict=True)
        if self.optimizer is None:
            states.set_model_state_dict(self.model, state, options=options)
        else:
            states.set_optimizer_state_dict(self.model, self.optimizer, state, options=options)

    def fill(self, whole: nn.Module) -> None:
        """Gives an ordinary model, the one of which this is a copy, the weights as they are, in the main process."""
        if state := self.state_dict():
            whole.load_state_dict(state)
