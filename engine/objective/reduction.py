"""From unreduced values to the one number that is optimised.

Decided here: a loss gives one value per sample or per token, a mask that says which of them count, and the unit they
are counted in. Only `reduce` makes a scalar, by the count of the whole optimiser step. So the gradient is the same
whether a batch comes as one piece, in several micro-batches or on several processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Unit = Literal["examples", "tokens"]


@dataclass(frozen=True)
class Term:
    """One term of equation 1 before its reduction."""

    values: Tensor  # (B,) in the unit examples, (B, N) in the unit tokens
    mask: Tensor  # as `values`, true where a value counts
    unit: Unit


def all_count(values: Tensor) -> Term:
    """A term of examples (B,) all of which count."""
    return Term(values, torch.ones_like(values, dtype=torch.bool), "examples")


def full_precision(values: Tensor) -> Tensor:
    """`values` in float32, or in float64 where they already are."""
    return values if values.dtype == torch.float64 else values.float()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the axis N of what the mask (B, N) lets through; 0 where it lets nothing through.

    Shapes: values (B, N), or (B, N, ...) with further axes. Returns: (B,) or (B, ...).

    Example:
        >>> masked_mean(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]]))
        tensor([2.])
    """
    keep = mask.reshape(*mask.shape, *[1] * (values.ndim - 2))
    return values.masked_fill(~keep, 0).sum(1) / keep.sum(1).clamp(min=1)


def at_positions(values: Tensor, alignment: Tensor | None) -> Tensor:
    """Values at the positions of another tokenizer: the mean of each one's partners.

    Shapes: values (B, N, width); alignment (B, other N, N), whose rows sum to 1 or to 0, None where the positions are
    the same. Returns: (B, other N, width).
    """
    if alignment is None:
        return values
    with torch.autocast(values.device.type, enabled=False):
        values = full_precision(values)
        return torch.bmm(alignment.to(values.dtype), values)


def reduce(term: Term, totals: Mapping[str, Tensor | float]) -> Tensor:
    """Sum of the values that count, over the number of units in the whole optimiser step.

    Its sum over micro-batches and processes, whose units `totals` counts together, is the mean over the whole batch.

    Example:
        >>> term = Term(torch.tensor([1.0, 2.0]), torch.tensor([True, True]), "examples")
        >>> reduce(term, {"examples": 4})
        tensor(0.7500)
    """
    # At least 1: a step in which nothing is labelled costs 0, not 0 / 0.
    return term.values.masked_fill(~term.mask, 0).sum() / torch.as_tensor(totals[term.unit]).clamp(min=1)
