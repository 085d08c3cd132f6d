"""Leave one dataset out: what a predictor is worth on a dataset that it has not seen.

Decided here: the measures, and that everything that is learned from data is learned inside the fold. A predictor is
handed the runs of the other datasets, and of the held-out one nothing but what is known before anything is run on it.
Figures are means over datasets, and their intervals are over datasets too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from autodistill.history.table import GROUP
from autodistill.ranking.diverse import diverse
from autodistill.ranking.past import (
    FEWEST,
    Fit,
    Rank,
    RunTable,
    configurations,
    folds,
    of_pair,
    over_groups,
    spearman,
    target,
)

PICKS = (1, 5, 10)
TOP = 5
LOWEST = 0.75
"""Percentile from which configurations of a table may be picked here: of so few, the best twentieth leave no choice."""
CHANCE = 0.05
"""How often repeats may differ more than configurations do, in the F-test of the two variances."""
OF_PICKS = f"regret_of_{TOP}_picks"
LOST, LOST_OF_PICKS = "lost_at_1", f"lost_of_{TOP}_picks"
NEAR = {LOST_OF_PICKS: 0.005, LOST: 0.01}
"""What five picks and the first one may lose to the best configuration, a share of its ratio, to be near it."""
WITHIN_PAIR = ("spearman", "regret_at_1", OF_PICKS, LOST, LOST_OF_PICKS)
"""Measures that are taken within a pair of models too."""
COMPARED = ("spearman", OF_PICKS, *(f"within_pair_{name}" for name in ("spearman", OF_PICKS, LOST, LOST_OF_PICKS)))
"""Measures whose differences between two predictors are given."""


@dataclass(frozen=True)
class HeldOut:
    """One held-out dataset: its runs (with `predicted`, `configuration`), measures, and what was fitted without it."""

    dataset: str
    runs: pd.DataFrame
    measures: Mapping[str, float]
    rank: Rank


def leave_one_out(
    fit: Fit, table: RunTable, pair: tuple[str, str] | None = None, advance: Callable[[], None] = lambda: None
) -> list[HeldOut]:
    """Predicts each dataset's runs from those of the others; an order is measured within a `pair` of models too."""
    held_out = []
    for dataset, rank, standings in folds(fit, table):
        runs = table.runs[table.runs.dataset == dataset]
        runs = runs.assign(predicted=standings, configuration=configurations(runs))
        held_out.append(HeldOut(dataset, runs, measures(runs, pair), rank))
        advance()
    return held_out


def measures(runs: pd.DataFrame, pair: tuple[str, str] | None = None) -> dict[str, float]:
    """What an order of one dataset's runs is worth: means over comparable groups, weighted by runs; known ones alone.

    Returns:
        `spearman`; `regret_at_k`, 0 to 1, of the first k in the order; `regret_of_5_picks`, of the five `delivered`;
        `lost_at_1` and `lost_of_5_picks`, what is `lost` to the best;
        `top_5_ratio` beside `random_5_ratio`; `first_pick_percentile`, 0 to 1: of the configurations, those that the
        first pick is as good as; `picks_percentile`, the same of the five, mean; and `WITHIN_PAIR` as `within_pair_…`.
    """
    within = _known(over_groups(runs[of_pair(runs, pair)], _of_group)) if pair else {}
    named = {f"within_pair_{name}": within[name] for name in WITHIN_PAIR if name in within}
    return _known(over_groups(runs, _of_group)) | named


def _known(values: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items() if np.isfinite(value)}


def _of_group(group: pd.DataFrame) -> dict[str, float]:
    ratios, picks = by_configuration(group).ratio, delivered(group)
    return {
        "spearman": spearman(group.predicted, group.ratio),
        **{f"regret_at_{k}": regret(group, k) for k in PICKS},
        OF_PICKS: regret_of(ratios, picks),
        LOST: lost(ratios, [0]),
        LOST_OF_PICKS: lost(ratios, picks),
        "picks_percentile": ratios.rank(pct=True, method="max").iloc[picks].mean(),
        f"top_{TOP}_ratio": ratios[:TOP].mean(),
        f"random_{TOP}_ratio": ratios.mean(),
        "first_pick_percentile": (ratios <= ratios.iloc[0]).mean(),
    }


def by_configuration(group: pd.DataFrame) -> pd.DataFrame:
    """Means of `predicted` and `ratio` over repeats of a configuration, in the predicted order."""
    means = group.groupby("configuration")[["predicted", "ratio"]].mean()
    return means.sort_values("predicted", ascending=False, kind="stable")


def regret(group: pd.DataFrame, picks: int) -> float:
    """How far the best pick is from the best of all: (best − best pick) / (best − median), clipped to 0..1."""
    return regret_of(by_configuration(group).ratio, range(picks))


def regret_of(ratios: pd.Series, rows: Sequence[int]) -> float:
    """The regret of the best of some configurations; NaN: none is given or known, or better than the middle."""
    if ratios.isna().all():
        return np.nan
    best, middle, found = ratios.max(), ratios.median(), ratios.iloc[[*rows][: len(ratios)]].max()
    return float(np.clip((best - found) / (best - middle), 0, 1)) if best > middle else np.nan


def lost(ratios: pd.Series, rows: Sequence[int]) -> float:
    """What the best of some configurations lacks of the best ratio of all, as a share of it.

    1 at most, where the ratio found is 0 or less; NaN: none is given or known, or the best ratio is not above 0.
    """
    best, found = ratios.max(), ratios.iloc[[*rows]].max()
    return float(np.minimum((best - found) / best, 1.0)) if best > 0 else np.nan


def delivered(group: pd.DataFrame) -> list[int]:
    """The rows of `by_configuration` that a recommendation's rule picks, from the best quarter; none where it is five.

    Where five are all that may be picked they are the first five, and tell of the order, not of the picks.
    """
    order = by_configuration(group)
    if len(order) * (1 - LOWEST) <= TOP:
        return []
    runs = group.drop_duplicates("configuration").set_index("configuration").loc[order.index]
    return diverse(order.predicted.to_numpy(), runs, TOP, LOWEST)


def by_dataset(held_out: Sequence[HeldOut]) -> pd.DataFrame:
    """Held-out datasets × measures, `spearman` at least; NaN where a dataset's runs do not tell."""
    return pd.DataFrame({each.dataset: {"spearman": np.nan, **each.measures} for each in held_out}).T


def means(held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Measure → its mean over the datasets that have it."""
    return _known(by_dataset(held_out).mean())


def interval_of(held_out: Sequence[HeldOut], name: str) -> tuple[float, float] | None:
    """`interval_of_mean` of a measure: the datasets, not the runs, are drawn again."""
    return interval_of_mean(np.array([each.measures[name] for each in held_out if name in each.measures]))


def interval_of_mean(values: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the mean of one value a dataset (n,); None for fewer than three."""
    if len(values) < 3:
        return None
    low, high = stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(low), float(high)


def differences(one: Sequence[HeldOut], other: Sequence[HeldOut]) -> dict[str, tuple[float, float, float]]:
    """Measure → mean over datasets of one predictor's minus another's, and its 95 % interval over datasets."""
    gains = by_dataset(one) - by_dataset(other)
    found = {}
    for name in COMPARED:
        values = gains[name].dropna().to_numpy() if name in gains else np.empty(0)
        if interval := interval_of_mean(values):
            found[name] = (float(values.mean()), *interval)
    return found


def oracle(table: RunTable, pair: tuple[str, str] | None = None) -> dict[str, float]:
    """Means of the measures for an order that knows what will come out."""
    runs = table.runs.assign(predicted=table.runs.ratio, configuration=configurations(table.runs))
    return _known(pd.DataFrame([measures(group, pair) for _, group in runs.groupby("dataset")]).mean())


def noise_ceiling(runs: pd.DataFrame) -> dict[str, float]:
    """How well a dataset's runs could be ordered at best, of those with at least `FEWEST` repeated configurations.

    Equation:
        √(1 − σ²_repeats / σ²_all), of ratios as ranks mapped to a Gaussian: the correlation of the true mean of each
        configuration with one run of it; nothing predicts the noise between repeats

    Where repeats differ significantly more than different configurations do they are none (of the authors' 27 on MRPC
    most are an F1 beside an accuracy, in one column), and nothing follows from them.
    """
    ranked = runs.assign(configuration=configurations(runs), target=target(runs))
    ceilings = pd.Series({group: _ceiling(rows) for group, rows in ranked.groupby(GROUP)})
    return _known(ceilings.groupby(level=0).mean())


def _ceiling(group: pd.DataFrame) -> float:
    repeats = group.groupby("configuration").target.agg(["var", "size"])
    repeats = repeats[repeats["size"] > 1]
    if len(repeats) < FEWEST:
        return np.nan
    noise = np.average(repeats["var"], weights=repeats["size"] - 1)
    ratio, freedom = noise / group.target.var(), (repeats["size"] - 1).sum()
    if stats.f.sf(ratio, freedom, len(group) - 1) < CHANCE:
        return np.nan
    return float(np.sqrt(max(0.0, 1 - ratio)))
