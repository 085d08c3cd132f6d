"""The towers of mi_alpha's separable critic.

Decided here: f(x, y) = g(x)·h(y)/√width. One tower g per student layer and one tower h per teacher layer turn hidden
states into vectors of the critic's width; a batch costs one pass of each, and every pair of layers reads from the
same vectors.

All towers of one side have the same size, so they are one module with a leading axis M, and a step of all of them is
one operation: towers are so small that starting each one's operations costs more than it should (a step of a student
of 3 layers takes 13 % less this way, on 2 cores). Both kinds take a spec with the sizes, the width of the hidden
states, and M; their input and output are

    hidden (M, B, N, D or E), mask (B, N)  →  (M, B, N, width)
"""

import math
from collections.abc import Callable
from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.objective.reduction import full_precision
from engine.pipeline.components import MLPCritic, TransformerCritic


class StackedLinear(nn.Module):
    """M (`count`) linear maps of one size, each on rows of its own; they start as `nn.Linear` does."""

    def __init__(self, count: int, width_in: int, width_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width_in, width_out))
        self.bias = nn.Parameter(torch.empty(count, 1, width_out))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -1 / math.sqrt(width_in), 1 / math.sqrt(width_in))

    def forward(self, states: Tensor) -> Tensor:
        """(M, rows, width in) → (M, rows, width out)."""
        return torch.baddbmm(self.bias, states, self.weight)


class StackedNorm(nn.Module):
    """M (`count`) layer norms of one size."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count, 1, width))
        self.bias = nn.Parameter(torch.zeros(count, 1, width))

    def forward(self, states: Tensor) -> Tensor:
        """(M, rows, width), each row normalised, then scaled and shifted as its tower does."""
        return torch.addcmul(self.bias, F.layer_norm(states, states.shape[-1:]), self.weight)


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each after its layer norm and added to its input.

    Layer norm comes first (Xiong et al. 2020), because towers start from scratch at a high learning
    rate. No dropout, so that the bound is a function of its input.
    """

    def __init__(self, spec: TransformerCritic, count: int):
        super().__init__()
        self.heads = spec.heads
        self.attention_norm = StackedNorm(count, spec.width)
        self.attention_in = StackedLinear(count, spec.width, 3 * spec.width)
        self.attention_out = StackedLinear(count, spec.width, spec.width)
        self.feed_forward = nn.Sequential(
            StackedNorm(count, spec.width),
            StackedLinear(count, spec.width, spec.feed_forward),
            nn.GELU(),
            StackedLinear(count, spec.feed_forward, spec.width),
        )

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """The next states (M, B·N, width); `mask` (B, N) allows at least one token of each row."""
        count, (examples, tokens) = len(states), mask.shape
        # Cut along the last axis, along which its three gradients come back in one copy.
        parts = full_precision(self.attention_in(self.attention_norm(states))).chunk(3, -1)
        query, key, value = (each.view(count * examples, tokens, self.heads, -1).transpose(1, 2) for each in parts)
        # Heads are so narrow that the 16-bit kernel is six times slower than the full one on CPUs.
        with torch.autocast(states.device.type, enabled=False):
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask.repeat(count, 1)[:, None, None])
        merged = attended.transpose(1, 2).reshape(states.shape)
        states = states + self.attention_out(merged.to(states.dtype))
        return states + self.feed_forward(states)


class TransformerTowers(nn.Module):
    """Transformer layers on narrow projections of hidden states, which know their positions (Distiller, appendix G)."""

    def __init__(self, spec: TransformerCritic, width: int, count: int):
        super().__init__()
        self.input = StackedLinear(count, width, spec.width)
        self.layers = nn.ModuleList(TransformerLayer(spec, count) for _ in range(spec.layers))
        self.norm = StackedNorm(count, spec.width)
        self.output = StackedLinear(count, spec.width, spec.width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """`hidden` (M, B, N, width in) → (M, B, N, width), a vector per token; padding in `mask` (B, N) is not read."""
        # A row without any token attends to its padding: in some kernels the softmax of nothing is NaN.
        attendable = mask | ~mask.any(1, keepdim=True)
        states = self.input(hidden.to(self.input.weight.dtype).flatten(1, 2))
        for layer in self.layers:
            states = layer(states, attendable)
        return self.output(self.norm(states)).unflatten(1, mask.shape)


class MLPTowers(nn.Module):
    """A perceptron on each token's vector (Distiller, table 4)."""

    def __init__(self, spec: MLPCritic, width: int, count: int):
        super().__init__()
        widths = [width, *[spec.feed_forward] * (spec.layers - 1)]
        hidden = ((StackedLinear(count, *sizes), nn.GELU()) for sizes in pairwise(widths))
        self.hidden = nn.Sequential(*chain.from_iterable(hidden))
        self.output = StackedLinear(count, widths[-1], spec.width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """`hidden` (M, B, N, width in) → (M, B, N, width), each token's vector from it alone; no mask is looked at."""
        states = hidden.to(self.output.weight.dtype).flatten(1, 2)
        return self.output(self.hidden(states)).unflatten(1, mask.shape)


CRITIC: dict[str, Callable[..., nn.Module]] = {"transformer": TransformerTowers, "mlp": MLPTowers}
"""Kind → spec, width of the hidden states, M → module(hidden, mask) → (M, B, N, width)."""
