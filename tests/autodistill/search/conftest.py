"""Curves of datasets whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from autodistill.search.beliefs import SHARES, Curves, Prior
from autodistill.search.learning import learned

VALUES = [*itertools.product("abcdef", "uvwxyz")]
WORDS = pd.DataFrame(VALUES, columns=["objective", "mapping"], index=["".join(each) for each in VALUES])


def made_up(seed: int, sameness: float = 1.0) -> Curves:
    """Curves of a dataset: its level, how its components count there, what is each pipeline's own, and noise.

    Args:
        sameness: Of all that varies, the share that candidates have in common which are alike.
    """
    dice = np.random.default_rng(seed)
    parts = [dict(zip(WORDS[name].unique(), dice.normal(size=WORDS[name].nunique()), strict=True)) for name in WORDS]
    alike = sum(WORDS[name].map(part).to_numpy(float) for name, part in zip(WORDS, parts, strict=True))
    last = np.sqrt(sameness) * alike + np.sqrt(2 * (1 - sameness)) * dice.normal(size=len(WORDS))
    course = np.array([-3.0, -2.0, -1.0, -0.4, 0.0])
    early = 0.8 * dice.normal(size=(len(WORDS), len(SHARES))) * (1 - np.array(SHARES))
    scores = 0.7 + 0.05 * dice.normal() + 0.02 * (last[:, None] + course + early)
    return Curves(WORDS, scores, np.zeros(len(WORDS)))


@pytest.fixture(name="prior", scope="module")
def _prior() -> Prior:
    return learned([made_up(seed) for seed in range(8)])
