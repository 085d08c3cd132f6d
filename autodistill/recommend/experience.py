"""Whether past runs are like the candidates: in the size of the data and of the models, in epochs, in how models start.

Decided here: what a ratio may rest on. Runs that are near a candidate in all of this together, from at least
`FEWEST_DATASETS` datasets, or from every one where there are fewer: a single run, or many of one dataset, vouch for
nothing else. The order and the ratios take none of this into account; so where it is not given, the interval is that of
all past runs, holds what runs like the candidate reached, and a caveat says why.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from autodistill.ranking.past import FEWEST_DATASETS, MODELS
from engine.base.errors import digits
from engine.data.task import KINDS
from engine.models.names import start_of_name

EPOCHS = "training.epochs"
STARTS = {"pretrained": "pretrained", "scratch": "from scratch", "lstm": "as a Bi-LSTM", "static": "as static vectors"}
"""How a model starts, in words; their places, counted from 1, are the numbers that are compared."""
FAR = {"n_train": 5.0, EPOCHS: 2.0, **{f"{role}_parameters": 2.0 for role in MODELS}, **dict.fromkeys(MODELS, 1.0)}
"""What runs are compared in → the largest factor between values that are near; a model is compared by how it starts.

That of the data is the smallest whole number with which nothing between the published datasets (2,500 to 393,000
examples) is far from three of them.
"""
WORDS = {
    "n_train": "{} training example{}",
    EPOCHS: "{} epoch{}",
    **{f"{role}_parameters": f"{role} of {{}} M parameters" for role in MODELS},
    **{role: f"{role} that starts {{}}" for role in MODELS},
}


class Experience(NamedTuple):
    """What past runs say of runs like the candidates.

    Args:
        outside: Candidates for which this is too little (n,).
        reached: Lowest and highest ratio of the runs that are like each; NaN where there are none (n, 2).
        datasets: Of how many datasets runs are like one of those outside, at most.
        reasons: In what those outside are far from past runs, in words; empty where it is in nothing alone.
    """

    outside: np.ndarray
    reached: np.ndarray
    datasets: int
    reasons: list[str]


def experience(candidates: pd.DataFrame, past: pd.DataFrame) -> Experience:
    """Compares candidates with past runs; what is not known of either is not far."""
    every, before = _traits(candidates), _traits(past)
    rows = every.groupby(list(FAR), dropna=False, sort=False).ngroup().to_numpy()
    traits = every.drop_duplicates()  # many candidates differ in their pipeline alone
    near = {name: _near(traits[name], before[name], far) for name, far in FAR.items()}
    alike = np.logical_and.reduce(list(near.values()))
    needed, datasets = min(FEWEST_DATASETS, past.dataset.nunique()), _datasets(alike, past)
    outside = datasets < needed
    reasons = []
    for name in FAR:
        concerned = outside & (_datasets(near[name], past) < needed)
        if concerned.any():
            reasons.append(_reason(name, traits[name][concerned], before[name], near[name][concerned]))
    ratios = np.where(alike, past.ratio.to_numpy(float), np.nan)
    reached = np.stack([np.fmin.reduce(ratios, axis=1), np.fmax.reduce(ratios, axis=1)], axis=1)
    return Experience(outside[rows], reached[rows], int(datasets[outside].max(initial=0)), reasons)


def _traits(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of `FAR` as numbers."""
    found = runs.reindex(columns=[name for name in FAR if name not in MODELS]).astype(float)
    usual = runs.task_kind.map(lambda kind: KINDS[kind].epochs)  # that of the papers, whose tables do not say it
    number = {kind: place for place, kind in enumerate(STARTS, start=1)}
    starts = {role: runs[role].astype(str).map(start_of_name).map(number) for role in MODELS}
    return found.assign(**{EPOCHS: found[EPOCHS].fillna(usual), **starts})


def _near(own: pd.Series, before: pd.Series, far: float) -> np.ndarray:
    """Which past values are near which of the candidates' (n, m)."""
    distances = np.abs(np.log(own.to_numpy()[:, None]) - np.log(before.to_numpy()))
    return ~(distances > np.log(far) + 1e-9)


def _datasets(near: np.ndarray, past: pd.DataFrame) -> np.ndarray:
    """Of how many datasets runs are near each candidate (n,)."""
    return (near.astype(np.float32) @ pd.get_dummies(past.dataset, dtype=np.float32).to_numpy() > 0).sum(axis=1)


def _reason(name: str, own: pd.Series, before: pd.Series, near: np.ndarray) -> str:
    """What is far from past runs, beside those past values that are nearest to it of those that are far."""
    others = before.loc[np.logical_not(near.any(axis=0))]
    others = others if len(others) else before
    if name in MODELS:
        asked, known = (_starts(values) for values in (own, others))
        past = "past ones" if len(others) == len(before) else "most past ones"
        return f"{WORDS[name].format(asked)} ({past} {known})"
    unit, after = (1e6, " M") if name.endswith("_parameters") else (1.0, "")
    asked = " to ".join(digits(end / unit) for end in dict.fromkeys((own.min(), own.max())))
    ends = {others[others <= own.max()].max(), others[others >= own.min()].min()}
    known = " and ".join(f"{digits(end / unit)}{after}" for end in sorted(ends) if not np.isnan(end))
    return f"{WORDS[name].format(asked, '' if asked == '1' else 's')} (nearest past ones: {known})"


def _starts(values: pd.Series) -> str:
    words = [*STARTS.values()]
    return " or ".join(words[int(value) - 1] for value in sorted(set(values)))
