"""From a predicted order of candidates to a few picks, and what speaks for each.

Decided here: picks are good, and among the good ones they differ. Five near-copies of the best one share its risk, so
each next pick is, of those that stand above nineteen in twenty candidates, the highest one after a deduction for how
alike it is to those already taken (maximal marginal relevance, Carbonell and Goldstein 1998).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autodistill.history.table import COMPONENTS
from autodistill.ranking.past import MODELS, configuration_columns

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


def contributions(standings: np.ndarray, runs: pd.DataFrame, row: int) -> dict[str, float]:
    """What the choice of each component adds to the standing of a candidate.

    Equation:
        standing of the candidate − mean standing of those that differ in this component alone

    Returns:
        Component → difference, largest first; components without an alternative are left out.
    """
    columns = configuration_columns(runs)
    cells = runs[columns].astype(object)
    filled = cells.where(cells.notna(), "")
    equal = filled.eq(filled.iloc[row])
    added = {}
    for part in (*COMPONENTS, *MODELS):
        own = [name for name in columns if part in (name, name.split(".")[0])]
        others = [name for name in columns if name not in own]
        differing = (equal[others].all(axis=1) & ~equal[own].all(axis=1)).to_numpy()
        if differing.any():
            added[part] = float(standings[row] - standings[differing].mean())
    return dict(sorted(added.items(), key=lambda pair: -pair[1]))


def pareto(standings: np.ndarray, seconds: np.ndarray) -> list[int]:
    """Rows than which none is both better and cheaper, the cheapest first."""
    front: list[int] = []
    for row in np.lexsort((-standings, seconds)):
        if not front or standings[row] > standings[front[-1]]:
            front.append(int(row))
    return front


def unseen_kinds(candidate: pd.Series, past: pd.DataFrame) -> list[str]:
    """Components of a candidate whose kind no past run has."""
    kinds = {name: candidate[name] for name in COMPONENTS if isinstance(candidate.get(name), str)}
    return [name for name, kind in kinds.items() if name not in past or kind not in past[name].to_numpy()]
