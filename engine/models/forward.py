"""One forward pass, whatever the model: what goes in, what comes out, and which of it a pipeline needs.

Decided here: how examples are mixed (mixup) inside a model: the word embeddings are, of each model its own; a
position that either partner has is there; token types are the first one's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.data.task import TaskKind
from engine.models.attention import Part, listening
from engine.models.own import NEITHER, OwnModel

SHARES = "mixup_shares"  # name of λ (n,) among a model's inputs; the others have 2n rows then


@dataclass
class Features:
    """What one forward pass of a model shows of a batch.

    Shapes:
        logits: (B, C), or (B, N, C) where the model answers per token.
        hidden: layer index (1 is the first transformer layer, 0 the embeddings' output) → (B, N, width). Holds only the
            layers that were asked for. Where only first tokens were asked for, N is 1.
        mask: (B, N), true where a token is real and not padding.
        attention: part of a layer's attention → (B, N, width), the vectors of all heads side by side. Holds only
            the parts that were asked for.
        team: (m, B, C) or (m, B, N, C) logits of several teachers at the student's positions, which teach in
            place of `logits`; None with one teacher.
        paired: (B, N of the student), true where each of them has a token; None where all have its tokens.
    """

    logits: Tensor
    hidden: Mapping[int, Tensor]
    mask: Tensor
    team: Tensor | None = None
    paired: Tensor | None = None
    attention: Mapping[Part, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Features:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Features:
        """The same in page-locked memory, from which a GPU copies without waiting."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Features:
        hidden = {layer: change(states) for layer, states in self.hidden.items()}
        attention = {part: change(vectors) for part, vectors in self.attention.items()}
        return Features(change(self.logits), hidden, change(self.mask), attention=attention)


@dataclass(frozen=True)
class TeacherNeeds:
    """What the teacher's signals must hold for a pipeline, beside the logits."""

    layers: tuple[int, ...]  # whose hidden states may be compared; 0 is the embeddings' output
    tokens: Literal["all", "first"]  # `first`: only token 0 of each sequence is read
    attention: tuple[Part, ...] = ()


def forward(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    kind: TaskKind,
    layers: Sequence[int] = (),
    first: bool = False,
    attention: Sequence[Part] = (),
) -> Features:
    """One forward pass, with the hidden states of these layers, 1 being the first transformer layer, and these parts of
    attention.

    Args:
        inputs: (B, N) tensors of the tokenizer: `input_ids`, `attention_mask` and others; of pairs that are
            to be mixed (2B, N), with their shares (`engine.augment.mixup`).
        first: Whether hidden states of the first token suffice.
    """
    inputs = mixed_inputs(model, inputs) if SHARES in inputs else inputs
    with listening(model, attention) as said:
        output = model(**inputs, output_hidden_states=bool(layers), return_dict=True)
    ends = [output.start_logits, output.end_logits] if kind == "question_answering" else None
    logits = output.logits if ends is None else torch.stack(ends, dim=-1)
    hidden = {layer: output.hidden_states[layer][:, : 1 if first else None] for layer in layers}
    return Features(logits, hidden, inputs["attention_mask"].bool(), attention=said)


def mixed_inputs(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model takes in place of pairs (2n, N): embeddings of mixed words (n, N, width)."""
    shares, known = inputs[SHARES], {name: values for name, values in inputs.items() if name != SHARES}
    half = len(shares)
    rest = {name: values[:half] for name, values in known.items() if name != "input_ids"}
    embedding: nn.Module = model.get_input_embeddings()  # type: ignore[operator]  # a method of transformers' models
    words = embedding(inputs["input_ids"])
    mask = blend(inputs["attention_mask"].float(), shares) > 0
    if isinstance(model, OwnModel):  # which does not see, in embeddings, which text a token is of
        first, second = model.texts(**known).chunk(2)
        rest["texts"] = torch.where(first == NEITHER, second, first).masked_fill(~mask, NEITHER)
    return rest | {"inputs_embeds": blend(words, shares), "attention_mask": mask.to(inputs["attention_mask"].dtype)}


def blend(values: Tensor, shares: Tensor) -> Tensor:
    """λ·first + (1 − λ)·second, of values (2n, ...) and λ (n,); returns (n, ...).

    Example:
        >>> blend(torch.tensor([[1.0], [3.0]]), torch.tensor([0.75]))
        tensor([[1.5000]])
    """
    first, second = values.chunk(2)
    weight = shares.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return weight * first + (1 - weight) * second


def accepted_inputs(model: nn.Module) -> set[str]:
    """Names of the tensors that the model's forward takes."""
    return set(inspect.signature(model.forward).parameters)


def faster_attention(model: PreTrainedModel, device: torch.device) -> str:
    """Sets the attention that trains fastest on a device, in place, and returns the one that was set before.

    With dropout, torch's fused attention is slower on CPUs than the plain one: by 5 to 15 % in bf16
    (6 layers, width 384, 24 to 320 tokens).
    """
    before = model.config._attn_implementation
    if device.type == "cpu":
        model.set_attn_implementation("eager")
    return before
