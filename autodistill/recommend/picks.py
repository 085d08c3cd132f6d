"""What speaks for a pick, what is neither better nor cheaper, what was never run, and the team beside the picks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from autodistill.history.table import COMPONENTS
from autodistill.ranking.past import MODELS, configuration_columns
from autodistill.recommend.record import SINGLE


def contributions(standings: np.ndarray, runs: pd.DataFrame, row: int) -> dict[str, float]:
    """What the choice of each component adds to the standing of a candidate.

    Equation:
        standing of the candidate − mean standing of those that differ in this component alone

    Returns:
        Component → difference, largest first; components without an alternative are left out.
    """
    columns = configuration_columns(runs)
    codes = np.stack([pd.factorize(runs[name], use_na_sentinel=False)[0] for name in columns], axis=1)
    equal = codes == codes[row]
    added = {}
    for part in (*COMPONENTS, *MODELS):
        own = np.array([part in (name, name.split(".")[0]) for name in columns])
        differing = equal[:, ~own].all(axis=1) & ~equal[:, own].all(axis=1)
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


def with_a_team(rows: Sequence[int], standings: np.ndarray, candidates: pd.DataFrame) -> list[int]:
    """Rows of picks, the best first, and among them the best team; without any where no candidate has one.

    A person who names members asks for a team, and where no past run has one, none stands among the best.
    """
    teams = np.flatnonzero(candidates.team != SINGLE["kind"])
    if not len(teams) or set(teams) & set(rows):
        return [*rows]
    best = int(teams[np.argmax(standings[teams])])
    return sorted([*rows, best], key=lambda row: -standings[row])
