"""From a predicted order of candidates to a few picks.

Decided here: picks are good, and no two of them differ in knobs alone. Near-copies of the best one share its risk, and
an order hardly tells them apart. So the picks are the highest of each kind, as far as these stand above nineteen in
twenty candidates; a kind is what the components are, not how their knobs stand.
"""

import numpy as np
import pandas as pd

from autodistill.history.table import is_pipeline_column
from autodistill.ranking.past import MODELS, joined

LOWEST_PERCENTILE = 0.95
"""Of a pick among the candidates."""


def diverse(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float = LOWEST_PERCENTILE) -> list[int]:
    """Rows of the picks by the predicted standing of each candidate (n,), the best first.

    Args:
        lowest: Percentile from which a candidate may be picked, 0 to 1; where too few reach it, the first, and those
            that are tied with the last of them. Where these are of too few kinds, the highest of the others follow.
    """
    order, count = np.argsort(-standings, kind="stable"), min(count, len(standings))
    good = order[percentiles(standings)[order] >= lowest]
    good = good if len(good) >= count else order[standings[order] >= standings[order[count - 1]]]
    repeated = kinds(runs).iloc[good].duplicated().to_numpy()
    chosen = [*np.flatnonzero(~repeated), *np.flatnonzero(repeated)][:count]
    return good[sorted(chosen)].tolist()


def kinds(runs: pd.DataFrame) -> pd.Series:
    """One value for each kind of run: its models and the kinds of its components, without their knobs.

    Example:
        >>> knobs = {"intermediate": ["mse", "mi_alpha", "mi_alpha"], "intermediate.alpha": [None, 0.1, 0.9]}
        >>> kinds(pd.DataFrame(knobs).assign(teacher="t", student="s")).nunique()
        2
    """
    components = {name: name.split(".")[0] for name in runs.columns if is_pipeline_column(name)}
    names = [name for name, component in components.items() if component == name or component not in runs]
    return joined(runs[[*MODELS, *names]])


def percentiles(standings: np.ndarray) -> np.ndarray:
    """The rank of each candidate from below, as a share of all (n,); equal standings share the mean of their ranks.

    Example:
        >>> percentiles(np.array([0.1, 0.4, 0.4, 0.2])).tolist()
        [0.25, 0.875, 0.875, 0.5]
    """
    return pd.Series(standings).rank().to_numpy() / len(standings)
