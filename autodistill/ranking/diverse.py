"""From a predicted order of candidates to a few picks.

Decided here: picks are good, and among the good ones they differ. Five near-copies of the best one share its risk, so
each next pick is, of those that stand above nineteen in twenty candidates, the highest one after a deduction for how
alike it is to those already taken (maximal marginal relevance, Carbonell and Goldstein 1998).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autodistill.ranking.past import configuration_columns

LIKENESS_COST = 1.0
"""Deduction for an exact copy, in standard deviations of the candidates' standings."""
LOWEST_PERCENTILE = 0.95
"""Of a pick among the candidates, unless they are so few that fewer than asked for stand as high."""


def diverse(standings: np.ndarray, runs: pd.DataFrame, count: int) -> list[int]:
    """Rows of the picks by the predicted standing of each candidate (n,), the best first."""
    alike = likeness(runs)
    count = min(count, len(runs))
    good = (percentiles(standings) >= LOWEST_PERCENTILE) | (standings >= np.sort(standings)[-count])
    nearest = np.full(len(runs), -np.inf)
    chosen: list[int] = []
    for _ in range(count):
        deducted = np.where(good, standings - LIKENESS_COST * standings.std() * np.maximum(nearest, 0), -np.inf)
        deducted[chosen] = -np.inf
        chosen.append(int(np.argmax(deducted)))
        nearest = np.maximum(nearest, alike(chosen[-1]))
    return sorted(chosen, key=lambda row: -standings[row])


def percentiles(standings: np.ndarray) -> np.ndarray:
    """Of each candidate, the share of all that it stands at least as high as (n,); equal standings share theirs.

    Example:
        >>> percentiles(np.array([0.1, 0.4, 0.4, 0.2])).tolist()
        [0.25, 1.0, 1.0, 0.5]
    """
    return rankdata(standings, method="max") / len(standings)


def likeness(runs: pd.DataFrame) -> Callable[[int], np.ndarray]:
    """How alike each candidate is to a given one: the mean over components of the share of equal columns."""
    varying = [name for name in configuration_columns(runs) if runs[name].nunique(dropna=False) > 1]
    parts: dict[str, list[np.ndarray]] = {}
    for name in varying:
        codes, _ = pd.factorize(runs[name].astype(object), use_na_sentinel=False)
        parts.setdefault(name.split(".")[0], []).append(codes)

    def alike(row: int) -> np.ndarray:
        shares = [np.mean([codes == codes[row] for codes in columns], axis=0) for columns in parts.values()]
        return np.mean(shares, axis=0) if shares else np.ones(len(runs))

    return alike
