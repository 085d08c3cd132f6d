"""What is believed of candidates: how good each will be at the end of its training, and how sure that is.

A Gaussian process over candidates and epochs. Its mean is what past runs say of a candidate and the usual course of a
learning curve; its covariance says what one observation tells of the others:

    score(candidate, epoch) = mean + dispersion × (shared here + shared by those that are alike + its own) + noise

each part with a variance, and with a length in the logarithm of epochs beyond which an earlier score says little of a
later one; scores are dispersed otherwise early in a training than at its end. Variances and lengths are the most
probable ones, given the past runs' curves, all datasets together, so a search begins with what curves are like
(pre-trained Gaussian processes: Wang et al. 2024, arXiv:2109.08215). Of this dataset two numbers are estimated: the
level of its scores, and how far they spread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meta_data import PRIOR

SHARES = (1 / 20, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of a training: after these its scores are learned from, and a search may pause it."""
FEW_RUNS = 5.0
"""The spread on past datasets counts as so many observations."""
SMALLEST = 1e-4
"""Spread of scores that hardly differ."""
LEAST_DISPERSION = 0.05
"""Where all candidates still give the answer that they began with, scores do not differ at all."""


@dataclass(frozen=True)
class Curves:
    """The curves of comparable runs: one dataset, number of rows, teacher and student.

    Args:
        words: A row a run: the columns of its pipeline, as text.
        scores: The best score so far after each of `SHARES` (n, shares).
        expected: What the runs on other datasets say of its last score, around their mean (n,).
    """

    words: pd.DataFrame
    scores: np.ndarray
    expected: np.ndarray

    @property
    def spread(self) -> float:
        """Standard deviation of the last scores."""
        return max(float(self.scores[:, -1].std()), SMALLEST)


@dataclass(frozen=True)
class Prior:
    """What past curves teach; variances are in units of the spread, squared.

    Args:
        course: What is missing after each of `SHARES`, on the average, in units of the spread (shares,).
        dispersion: How far scores spread after each of `SHARES`, on the average, in units of that of the last ones.
        spread: Of last scores within comparable runs, the median.
        alike: Column → variance of what candidates share that are alike in it.
        shared: Variance of what all candidates share.
        own: Variance of what is a candidate's own.
        noise: Variance.
        lengths: Of what is shared, of what is alike and of what is own, in logarithms of epochs.
    """

    course: tuple[float, ...]
    dispersion: tuple[float, ...]
    spread: float
    alike: Mapping[str, float]
    shared: float
    own: float
    noise: float
    lengths: tuple[float, float, float]


def shipped_prior() -> Prior:
    """What the runs of the project's own study teach (scripts/fit_curves.py)."""
    known = json.loads(PRIOR.read_text("utf-8"))["prior"]
    return Prior(**known | {name: tuple(known[name]) for name in ("course", "dispersion", "lengths")})


class Beliefs:
    """What is believed of candidates on this dataset, which changes with what is seen.

    Args:
        words: A row a candidate, as those of `Curves`.
        expected: What past runs say of its last score, around their mean (n,).
    """

    def __init__(self, prior: Prior, words: pd.DataFrame, expected: np.ndarray):
        self.prior, self.names, self.expected = prior, [*map(str, words.index)], np.asarray(expected, dtype=float)
        codes = {name: pd.factorize(words[name])[0] for name in prior.alike if name in words}
        nowhere = sum(variance for name, variance in prior.alike.items() if name not in codes)
        self._alike = np.full((len(words), len(words)), float(nowhere))
        for name, code in codes.items():
            self._alike += prior.alike[name] * (code[:, None] == code)
        self._seen: dict[tuple[int, float], float] = {}

    def see(self, place: int, share: float, score: float) -> None:
        """A candidate has this score, the best so far, after this share of its training."""
        self._seen[place, share] = score

    def now(self) -> Belief:
        """What follows from all that was seen.

        Equation:
            level = 1ᵀA⁻¹r / 1ᵀA⁻¹1, spread² = (k s² + (r − level)ᵀA⁻¹(r − level)) / (k + m − 1) of m observations with
            residuals r and covariance A in units of the spread, s the spread on past datasets, k = `FEW_RUNS`
        """
        prior = self.prior
        places, shares = (np.array(each) for each in zip(*self._seen, strict=True))
        inverse = np.linalg.inv(self.covariance(places, shares, places, shares) + prior.noise * np.eye(len(places)))
        course = np.interp(np.log(shares), np.log(SHARES), prior.course)
        scores, spread = np.array([*self._seen.values()]) - self.expected[places], prior.spread
        for _ in range(3):  # the course is in units of the spread
            residuals = scores - spread * course
            level = (inverse @ residuals).sum() / inverse.sum()
            residuals -= level
            square = float(residuals @ inverse @ residuals)
            spread = np.sqrt((FEW_RUNS * prior.spread**2 + square) / (FEW_RUNS + len(places) - 1))
        every, last = np.arange(len(self.names)), np.ones(len(self.names))
        mean = level + self.expected + self.covariance(every, last, places, shares) @ inverse @ residuals
        return Belief(self, mean, float(spread), places, shares, inverse)

    def covariance(self, one: np.ndarray, of_one: np.ndarray, other: np.ndarray, of_other: np.ndarray) -> np.ndarray:
        """Of candidates at places after shares of their training, (n,) and (n,), and others, (m,) and (m,): (n, m)."""
        return self.paired(one[:, None], of_one[:, None], other[None], of_other[None])

    def paired(self, one: np.ndarray, of_one: np.ndarray, other: np.ndarray, of_other: np.ndarray) -> np.ndarray:
        """The same of each with the other one that stands in its place."""
        apart, prior = np.log(of_one) - np.log(of_other), self.prior
        shared, alike, own = (np.exp(-0.5 * (apart / length) ** 2) for length in prior.lengths)
        dispersion = self._dispersion(of_one) * self._dispersion(of_other)
        return dispersion * (prior.shared * shared + self._alike[one, other] * alike + prior.own * (one == other) * own)

    def _dispersion(self, shares: np.ndarray) -> np.ndarray:
        return np.interp(np.log(shares), np.log(SHARES), self.prior.dispersion)


@dataclass(frozen=True)
class Belief:
    """What is believed after some observations.

    Args:
        mean: Of the candidates' last scores (n,).
        spread: Of last scores here.
    """

    beliefs: Beliefs
    mean: np.ndarray
    spread: float
    places: np.ndarray
    shares: np.ndarray
    inverse: np.ndarray

    def last(self, places: np.ndarray) -> np.ndarray:
        """Covariance of the last scores of candidates at places (n,): (n, n)."""
        ends = np.ones(len(places))
        seen = self._before(places, ends)
        return self.spread**2 * (self.beliefs.covariance(places, ends, places, ends) - seen @ self.inverse @ seen.T)

    @property
    def deviation(self) -> np.ndarray:
        """How far each candidate's last score may be from its mean: a standard deviation (n,)."""
        every, last = np.arange(len(self.mean)), np.ones(len(self.mean))
        variance = self._after(self._before(every, last), every, last, every, last)
        return self.spread * np.sqrt(np.maximum(variance, 0.0))

    def told(self, shares: np.ndarray, rivals: np.ndarray) -> np.ndarray:
        """How far it would move the lead of each candidate's last score over that of its rival to see what it has after
        a share of its training: the standard deviation of that movement, all (n,).

        Equation:
            |cov(f − f_rival, y)| / √var(y) for an observation y of f with its noise
        """
        every, last = np.arange(len(self.mean)), np.ones(len(self.mean))
        seen = self._before(every, shares)
        own = self._after(seen, every, shares, every, shares) + self.beliefs.prior.noise
        moved = self._after(seen, every, shares, every, last) - self._after(seen, every, shares, rivals, last)
        return self.spread * np.abs(moved) / np.sqrt(own)

    def _before(self, places: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Covariance with what was seen (n, m)."""
        return self.beliefs.covariance(places, shares, self.places, self.shares)

    def _after(
        self, seen: np.ndarray, one: np.ndarray, of_one: np.ndarray, other: np.ndarray, of_other: np.ndarray
    ) -> np.ndarray:
        """Covariance of each with one other, after what was seen (n,)."""
        prior = self.beliefs.paired(one, of_one, other, of_other)
        return prior - ((seen @ self.inverse) * self._before(other, of_other)).sum(axis=1)
