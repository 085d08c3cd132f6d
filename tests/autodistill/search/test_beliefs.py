"""What is believed of candidates, beside the same worked out with plain matrices, and what is learned of curves."""

from __future__ import annotations

import numpy as np
import pytest

from autodistill.search.beliefs import FEW_RUNS, SHARES, Beliefs, Prior
from tests.autodistill.search.conftest import WORDS, made_up

Place = tuple[int, float]
"""Number of a candidate, and share of its training."""


def prior_covariance(prior: Prior, one: Place, other: Place) -> float:
    apart = np.log(one[1]) - np.log(other[1])
    of_time = [np.exp(-0.5 * (apart / length) ** 2) for length in prior.lengths]
    cells = WORDS[[*prior.alike]].to_numpy()
    common = np.array([*prior.alike.values()])[cells[one[0]] == cells[other[0]]].sum()
    known = prior.shared * of_time[0] + common * of_time[1] + prior.own * (one[0] == other[0]) * of_time[2]
    dispersion = [np.interp(np.log(share), np.log(SHARES), prior.dispersion) for _, share in (one, other)]
    return known * dispersion[0] * dispersion[1]


def reference(
    prior: Prior, seen: dict[Place, float], expected: np.ndarray, asked: list[Place]
) -> tuple[np.ndarray, np.ndarray, float]:
    """The formulas entry by entry: mean of last scores, covariance of what is asked for, spread."""
    rows, last = [*seen], [(place, 1.0) for place in range(len(WORDS))]

    def matrix(some: list[Place], others: list[Place]) -> np.ndarray:
        return np.array([[prior_covariance(prior, one, other) for other in others] for one in some])

    own = matrix(rows, rows) + prior.noise * np.eye(len(rows))
    ones, spread = np.ones(len(rows)), prior.spread
    course = np.interp([np.log(share) for _, share in rows], np.log(SHARES), prior.course)
    plain = np.array([seen[row] - expected[row[0]] for row in rows])
    for _ in range(3):
        level = ones @ np.linalg.solve(own, plain - spread * course) / (ones @ np.linalg.solve(own, ones))
        residuals = plain - spread * course - level
        square = residuals @ np.linalg.solve(own, residuals)
        spread = np.sqrt((FEW_RUNS * prior.spread**2 + square) / (FEW_RUNS + len(rows) - 1))
    mean = level + expected + matrix(last, rows) @ np.linalg.solve(own, residuals)
    cross = matrix(asked, rows)
    return mean, spread**2 * (matrix(asked, asked) - cross @ np.linalg.solve(own, cross.T)), spread


def test_what_is_believed_is_what_the_formulas_say(prior: Prior) -> None:
    truth, expected = made_up(99), np.linspace(-0.01, 0.02, len(WORDS))
    beliefs, seen = Beliefs(prior, WORDS, expected), {}
    for place, share in ((0, SHARES[0]), (3, SHARES[0]), (3, SHARES[2]), (7, SHARES[4]), (11, 0.3)):
        score = float(np.interp(share, SHARES, truth.scores[place]))
        beliefs.see(place, share, score)
        seen[place, share] = score
    belief = beliefs.now()
    count, rivals = len(WORDS), np.roll(np.arange(len(WORDS)), 5)
    shares = np.where(np.arange(count) % 2, SHARES[3], 0.9)
    asked = [*((place, 1.0) for place in range(count)), *zip(range(count), shares.tolist(), strict=True)]
    mean, covariance, spread = reference(prior, seen, expected, asked)
    np.testing.assert_allclose(belief.mean, mean, atol=1e-9)
    assert belief.spread == pytest.approx(spread)
    every = np.arange(count)
    moved = covariance[every, count + every] - covariance[rivals, count + every]
    deviation = np.sqrt(covariance[count + every, count + every] + spread**2 * prior.noise)
    np.testing.assert_allclose(belief.told(shares, rivals), np.abs(moved) / deviation, atol=1e-9)


def test_what_a_look_tells_is_how_the_lead_moves(prior: Prior) -> None:
    """Seen by drawing what would be observed: the lead of a candidate moves as far as was said."""
    truth, beliefs = made_up(99), Beliefs(prior, WORDS, np.zeros(len(WORDS)))
    for place in (0, 8, 20):
        beliefs.see(place, SHARES[2], truth.scores[place, 2])
    belief, rivals = beliefs.now(), np.full(len(WORDS), 8)
    said = belief.told(np.full(len(WORDS), SHARES[1]), rivals)
    rows = [(0, SHARES[2]), (8, SHARES[2]), (20, SHARES[2])]
    for place in (1, 20, 33):
        known = [*rows, (place, SHARES[1])]
        own = np.array([[prior_covariance(prior, one, other) for other in known] for one in known])
        own += prior.noise * np.eye(4)
        leads = [
            prior_covariance(prior, (place, 1.0), each) - prior_covariance(prior, (8, 1.0), each) for each in known
        ]
        weights = np.linalg.solve(own, leads)
        new = own[3, 3] - own[3, :3] @ np.linalg.solve(own[:3, :3], own[:3, 3])  # variance of what is seen next
        assert said[place] == pytest.approx(belief.spread * abs(weights[3]) * np.sqrt(new))
    assert said[8] == 0  # nothing leads itself


def test_what_is_seen_to_its_end_is_believed_nearly(prior: Prior) -> None:
    truth, beliefs = made_up(99), Beliefs(prior, WORDS, np.zeros(len(WORDS)))
    beliefs.see(0, SHARES[0], truth.scores[0, 0])
    for place in range(1, len(WORDS)):
        beliefs.see(place, 1.0, truth.scores[place, -1])
    mean = beliefs.now().mean
    np.testing.assert_allclose(mean[1:], truth.scores[1:, -1], atol=0.01)
    assert mean[0] == pytest.approx(truth.scores[0, -1], abs=0.02)


def test_a_level_that_nobody_knew_changes_no_order(prior: Prior) -> None:
    means = []
    for level in (0.0, 0.2):
        beliefs = Beliefs(prior, WORDS, np.zeros(len(WORDS)))
        for place in range(4):
            beliefs.see(place, 1.0, made_up(99).scores[place, -1] - level)
        means.append(beliefs.now().mean + level)
    np.testing.assert_allclose(*means, atol=1e-9)
