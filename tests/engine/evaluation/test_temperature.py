"""The temperature of maximum likelihood: as trying many finds it, within its bounds, and 1 where none is better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.evaluation.temperature import LEAST, MOST, fitted_temperature


def naive_loss(logits: np.ndarray, gold: list[int], temperature: float) -> float:
    """Guo et al. 2017, one row after the other."""
    total = 0.0
    for row, label in zip(logits, gold, strict=True):
        total -= math.log(math.exp(row[label] / temperature) / sum(math.exp(z / temperature) for z in row))
    return total / len(gold)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_no_other_temperature_is_likelier(classes: int, sharpness: float) -> None:
    rng = np.random.default_rng(classes)
    honest = rng.normal(size=(400, classes))
    shares = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    gold = [int(rng.choice(classes, p=row)) for row in shares]
    logits = (honest * sharpness).astype(np.float32)
    found = fitted_temperature(logits, gold)
    tried = np.geomspace(LEAST, MOST, 300)
    best = min(tried, key=lambda each: naive_loss(logits, gold, each))
    assert found == pytest.approx(best, rel=0.02)
    assert found == pytest.approx(sharpness, rel=0.35)  # that by which honest probabilities were spoilt
    assert naive_loss(logits, gold, found) <= naive_loss(logits, gold, best) + 1e-9


def test_where_all_answers_are_right_or_wrong_it_ends_at_a_bound() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert fitted_temperature(logits, [0, 1]) == pytest.approx(LEAST, rel=1e-3)
    assert fitted_temperature(logits, [1, 0]) == pytest.approx(MOST, rel=1e-3)


def test_where_all_are_equally_likely_nothing_changes() -> None:
    assert fitted_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1.0
