"""From a predicted order of candidates to a few picks.

Decided here: picks are good, and among the good ones they differ as much as they can. Five near-copies of the best one
share its risk, and which of the best is the very best is what an order tells least. So each next pick is, of those that
stand above nineteen in twenty candidates, the one that is farthest from those already taken (farthest-first traversal,
Gonzalez 1985); of equally far ones it is the highest.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autodistill.ranking.past import varying_columns

LOWEST_PERCENTILE = 0.95
"""Of a pick among the candidates."""
DECIMALS = 9
"""Likenesses that are equal in so many are equal: sums in another order."""


def diverse(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float = LOWEST_PERCENTILE) -> list[int]:
    """Rows of the picks by the predicted standing of each candidate (n,), the best first.

    Args:
        lowest: Percentile from which a candidate may be picked, 0 to 1; where too few reach it, the first are picked.
    """
    alike, count = likeness(runs), min(count, len(runs))
    good = percentiles(standings) >= lowest
    chosen: list[int] = []
    if good.sum() < count:
        last = np.sort(standings)[-count]
        good, chosen = standings >= last, np.flatnonzero(standings > last).tolist()
    ordered = np.argsort(-standings, kind="stable")
    ordered = ordered[good[ordered]]
    nearest = np.max([np.zeros(len(runs)), *map(alike, chosen)], axis=0)
    while len(chosen) < count:
        nearest[chosen] = np.inf
        chosen.append(int(ordered[np.argmin(nearest[ordered])]))
        nearest = np.maximum(nearest, alike(chosen[-1]))
    return sorted(chosen, key=lambda row: -standings[row])


def percentiles(standings: np.ndarray) -> np.ndarray:
    """The rank of each candidate from below, as a share of all (n,); equal standings share the mean of their ranks.

    Example:
        >>> percentiles(np.array([0.1, 0.4, 0.4, 0.2])).tolist()
        [0.25, 0.875, 0.875, 0.5]
    """
    return rankdata(standings) / len(standings)


def likeness(runs: pd.DataFrame) -> Callable[[int], np.ndarray]:
    """How alike each candidate is to a given one, 0 to 1 (n,): the mean over the components that vary.

    A component of another kind is not alike at all, one of the same kind by its share of equal columns.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name in varying_columns(runs):
        codes, _ = pd.factorize(runs[name].astype(object), use_na_sentinel=False)
        parts.setdefault(name.split(".")[0], {})[name] = codes

    def alike(row: int) -> np.ndarray:
        shares = []
        for component, columns in parts.items():
            equal = {name: codes == codes[row] for name, codes in columns.items()}
            shares.append(np.mean([*equal.values()], axis=0) * equal.get(component, 1.0))
        return np.mean(shares, axis=0).round(DECIMALS) if shares else np.ones(len(runs))

    return alike
