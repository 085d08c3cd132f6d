"""The towers of mi_alpha's separable critic.

Decided here: f(x, y) = g(x)·h(y)/√width. One tower g per student layer and one tower h per
teacher layer turn hidden states into vectors of the critic's width; a batch costs one pass of
each, and every pair of layers reads from the same vectors. Both kinds take the same input and
give the same output:

    hidden (B, N, D or E), mask (B, N)  →  (B, N, width)
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.objectives.reduction import full_precision
from engine.spec import MLPCritic, TransformerCritic


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each after its layer norm and added to its input.

    Layer norm comes first (Xiong et al. 2020), because towers start from scratch at a high learning
    rate. No dropout, so that the bound is a function of its input.

    Args:
        spec: Sizes.
    """

    def __init__(self, spec: TransformerCritic):
        super().__init__()
        self.heads = spec.heads
        self.attention_norm = nn.LayerNorm(spec.width)
        self.attention_in = nn.Linear(spec.width, 3 * spec.width)
        self.attention_out = nn.Linear(spec.width, spec.width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(spec.width),
            nn.Linear(spec.width, spec.feed_forward),
            nn.GELU(),
            nn.Linear(spec.feed_forward, spec.width),
        )

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """The next states.

        Shapes:
            states, Returns: (B, N, width).
            mask: (B, N), true where a token may be attended to; at least one in each row.
        """
        split = self.attention_in(self.attention_norm(states)).unflatten(-1, (3, self.heads, -1))
        query, key, value = full_precision(split).permute(2, 0, 3, 1, 4)
        # Heads are so narrow that the 16-bit kernel is six times slower than the full one on CPUs.
        with torch.autocast(states.device.type, enabled=False):
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        states = states + self.attention_out(attended.transpose(1, 2).flatten(2).to(states.dtype))
        return states + self.feed_forward(states)


class TransformerTower(nn.Module):
    """Transformer layers on a narrow projection of the hidden states (Distiller, appendix G).

    It adds no positions: hidden states know theirs.

    Args:
        spec: Sizes.
        width: Of the hidden states that come in.
    """

    def __init__(self, spec: TransformerCritic, width: int):
        super().__init__()
        self.input = nn.Linear(width, spec.width)
        self.layers = nn.ModuleList(TransformerLayer(spec) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.width)
        self.output = nn.Linear(spec.width, spec.width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """A vector per token; padding is not looked at.

        Shapes:
            hidden: (B, N, width in).
            mask: (B, N).
            Returns: (B, N, width).
        """
        # A row without any token attends to its padding: in some kernels the softmax of nothing is NaN.
        attendable = mask | ~mask.any(1, keepdim=True)
        states = self.input(hidden.to(self.input.weight.dtype))
        for layer in self.layers:
            states = layer(states, attendable)
        return self.output(self.norm(states))


class MLPTower(nn.Module):
    """A perceptron on each token's vector (Distiller, table 4).

    Args:
        spec: Sizes.
        width: Of the hidden states that come in.
    """

    def __init__(self, spec: MLPCritic, width: int):
        super().__init__()
        widths = [width, *[spec.feed_forward] * (spec.layers - 1)]
        hidden = [
            module
            for size_in, size_out in pairwise(widths)
            for module in (nn.Linear(size_in, size_out), nn.GELU())
        ]
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(widths[-1], spec.width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """A vector per token, from that token alone.

        Shapes:
            hidden: (B, N, width in).
            mask: (B, N); not looked at.
            Returns: (B, N, width).
        """
        return self.output(self.hidden(hidden.to(self.output.weight.dtype)))


CRITIC: dict[str, Callable[..., nn.Module]] = {"transformer": TransformerTower, "mlp": MLPTower}
