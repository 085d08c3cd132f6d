"""The average of predictors that err differently.

All of them predict the same target, a rank mapped to a Gaussian, so their answers are averaged as they are. One that
remembers exact configurations puts what was never run in the middle, and then the others decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autodistill.ranking.past import Fit, Rank, RunTable


@dataclass(frozen=True)
class Average:
    """Ranks candidates by the mean of what each of `ranks` says."""

    ranks: Sequence[Rank]

    def __call__(self, candidates: RunTable) -> np.ndarray:
        return np.mean([rank(candidates) for rank in self.ranks], axis=0)


def average_of(*fits: Fit) -> Fit:
    """The predictor that is the average of others, each fitted on the same runs."""
    return lambda table: Average([fit(table) for fit in fits])
