"""Towers of mi_alpha one at a time and, for the transformer, one example and head at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def tower(towers: nn.Module, member: int) -> Callable[[Tensor, Tensor], Tensor]:
    """One tower out of a stack: hidden (B, N, width in), mask (B, N) → (B, N, width)."""
    alone = copy.deepcopy(towers)
    for parameter in alone.parameters():
        parameter.data = parameter.data[member : member + 1]
    return lambda hidden, mask: alone(hidden.unsqueeze(0), mask)[0]


def transformer(towers: nn.Module, member: int, hidden: Tensor, heads: int) -> Tensor:
    """What a transformer tower gives for the tokens of one text: (N, width in) → (N, width)."""

    def linear(part: nn.Module, states: Tensor) -> Tensor:
        return states @ part.weight[member] + part.bias[member, 0]

    def norm(part: nn.Module, states: Tensor) -> Tensor:
        centred = states - states.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * part.weight[member, 0] + part.bias[member, 0]

    states = linear(towers.input, hidden)
    for layer in towers.layers:
        queries, keys, values = linear(layer.attention_in, norm(layer.attention_norm, states)).chunk(3, dim=1)
        size = queries.shape[1] // heads
        answers = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = queries[:, own] @ keys[:, own].T / math.sqrt(size)
            answers.append(scores.softmax(1) @ values[:, own])
        states = states + linear(layer.attention_out, torch.cat(answers, dim=1))
        before, widen, _, narrow = layer.feed_forward
        widened = linear(widen, norm(before, states))
        gelu = widened * 0.5 * (1 + torch.erf(widened / math.sqrt(2)))
        states = states + linear(narrow, gelu)
    return linear(towers.output, norm(towers.norm, states))
