"""Mixup: λ = 1 is the identity, targets are distributions, and both models mix the same pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.augment.mixup import draw, mixed_alignment, mixed_targets
from engine.data.task import TaskKind
from engine.models.forward import blend
from engine.objective.prediction import hard_label_term, prediction_loss, prediction_term
from engine.objective.reduction import reduce
from engine.pipeline import Mixup, PredictionCE
from engine.tokens.ragged import NO_LABEL

LABELS: dict[TaskKind, torch.Tensor] = {
    "classification": torch.tensor([0, 2, 1, 1]),
    "regression": torch.tensor([0.5, -1.0, 2.0, 0.0]),
    "tagging": torch.tensor([[0, 1, NO_LABEL], [2, NO_LABEL, NO_LABEL], [1, 1, 1], [0, 2, NO_LABEL]]),
    "question_answering": torch.tensor([[0, 0], [1, 2], [2, 2], [0, 1]]),
    "multi_label": torch.tensor([[0.0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]]),
}


def logits_of(kind: TaskKind, count: int) -> torch.Tensor:
    torch.manual_seed(0)
    width = {"regression": 1, "question_answering": 2}.get(kind, 3)
    return torch.randn(count, 3, width) if kind in ("tagging", "question_answering") else torch.randn(count, width)


@given(st.integers(1, 9), st.integers(0, 99))
def test_everybody_is_somebody_else_s_partner(count: int, seed: int) -> None:
    partners, shares = draw(Mixup(), count, np.random.default_rng(seed))
    assert sorted(partners) == list(range(count))
    assert count == 1 or all(partners != np.arange(count))
    assert ((shares >= 0) & (shares <= 1)).all()


def test_a_of_1_is_uniform_and_a_small_one_keeps_to_the_ends() -> None:
    dice = np.random.default_rng(0)
    uniform, ends = (draw(Mixup(a=a), 20_000, dice)[1] for a in (1.0, 0.1))
    assert np.quantile(uniform, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    assert ((ends < 0.05) | (ends > 0.95)).mean() > 0.7


@pytest.mark.parametrize("kind", ["classification", "tagging", "question_answering"])
@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_the_mixed_target_is_a_distribution(kind: TaskKind, shares: list[float]) -> None:
    target = mixed_targets(LABELS[kind], torch.tensor(shares), kind, classes=3, length=3)
    sums = target.sum(-1)
    assert (target >= 0).all()
    if kind != "tagging":
        torch.testing.assert_close(sums, torch.ones_like(sums))
        return
    there = (LABELS[kind] != NO_LABEL).float()  # a token counts as much as the partners that have a label there
    torch.testing.assert_close(sums, blend(there, torch.tensor(shares)))


@pytest.mark.parametrize("kind", LABELS)
def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses(kind: TaskKind) -> None:
    """Cross-entropy is linear in the target; the squared error is so up to what no student changes."""
    logits, shares = logits_of(kind, 2), torch.tensor([0.3, 0.8])
    mask, totals = torch.ones(2, 3, dtype=torch.bool), {"examples": 2.0, "tokens": 5.0}
    mixed = reduce(hard_label_term(kind, logits, mask, mixed_targets(LABELS[kind], shares, kind, 3, 3)), totals)
    first, second = (hard_label_term(kind, logits, mask, labels) for labels in LABELS[kind].chunk(2))
    weight = shares if first.values.ndim == 1 else shares[:, None]
    parts = [term.values.masked_fill(~term.mask, 0) for term in (first, second)]
    expected = (weight * parts[0] + (1 - weight) * parts[1]).sum() / totals[first.unit]
    if kind == "regression":
        one, other = LABELS[kind].chunk(2)
        expected = expected - (shares * (1 - shares) * (one - other).square()).sum() / 2
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("kind", LABELS)
def test_the_losses_of_a_share_of_1_are_those_of_the_first(kind: TaskKind) -> None:
    student, teacher = logits_of(kind, 2), logits_of(kind, 2).flip(0)
    mask, totals = torch.ones(2, 3, dtype=torch.bool), {"examples": 2.0, "tokens": 3.0}
    plain = LABELS[kind][:2]
    mixed = mixed_targets(LABELS[kind], torch.ones(2), kind, 3, 3)
    for labels in (plain, mixed):
        found = reduce(hard_label_term(kind, student, mask, labels), totals)
        torch.testing.assert_close(found, reduce(hard_label_term(kind, student, mask, plain), totals))
        term = prediction_term(prediction_loss(PredictionCE(), kind), kind, student, teacher, mask, labels)
        base = prediction_term(prediction_loss(PredictionCE(), kind), kind, student, teacher, mask, plain)
        torch.testing.assert_close(reduce(term, totals), reduce(base, totals))


def test_alignments_are_mixed_and_their_rows_sum_to_1_or_0() -> None:
    first = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]])
    second = torch.tensor([[[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]])
    found = mixed_alignment(torch.cat([first, second]), torch.tensor([0.25]))
    assert found is not None
    torch.testing.assert_close(found[0], torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.0, 0.0]]))
    same = mixed_alignment(torch.cat([first, second]), torch.tensor([1.0]))
    torch.testing.assert_close(same, first)
    assert mixed_alignment(None, torch.tensor([1.0])) is None
