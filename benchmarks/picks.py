"""What rules are worth that make a few picks of a predicted order.

Every dataset of a table of runs is held out in turn, and all rules get the same predictions. Of the recommender's
space of pipelines, for the commonest pair of models: where the five picks stand in their order, and how alike they are.
Of the dataset's own configurations, whose ratios are known: percentile and regret of five picks from the best quarter.

    python benchmarks/picks.py RUNS [--predictors mixed ridge] [--vectors FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.evaluation.leave_one_out import LOWEST, TOP, by_configuration, regret_of
from autodistill.history.store import Store
from autodistill.history.table import MODEL_COLUMNS, flat
from autodistill.ranking.diverse import LOWEST_PERCENTILE, diverse, percentiles
from autodistill.ranking.fitted import kept_fit
from autodistill.ranking.knowledge import load_knowledge
from autodistill.ranking.past import (
    MODELS,
    Rank,
    RunTable,
    commonest_pair,
    configurations,
    of_pair,
    over_groups,
    varying_columns,
)
from autodistill.recommend.space import pipelines
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from engine.pipeline.training import Training

TRAINING = Training(epochs=20, learning_rate=5e-5, max_length=64)
KNOWN = ["dataset", "task_kind", "metric", "n_train", *MODELS, *MODEL_COLUMNS, "teacher_score"]
"""Columns of a run that a candidate has too."""

Rule = Callable[[np.ndarray, pd.DataFrame, int, float], list[int]]
"""As `diverse`."""


def the_first(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float) -> list[int]:
    """The highest ones."""
    return [int(row) for row in np.argsort(-standings, kind="stable")[:count]]


def deducting(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float) -> list[int]:
    """Each next one the highest after a deduction for its likeness: one standard deviation for a copy."""
    alike = likeness(runs)
    good = (percentiles(standings) >= lowest) | (standings >= np.sort(standings)[-count])
    nearest, chosen = np.zeros(len(runs)), list[int]()
    for _ in range(count):
        left = np.where(good, standings - standings.std() * nearest, -np.inf)
        left[chosen] = -np.inf
        chosen.append(int(np.argmax(left)))
        nearest = np.maximum(nearest, alike(chosen[-1]))
    return chosen


def farthest_first(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float) -> list[int]:
    """Each next one that which is least like the nearest of those taken (Gonzalez 1985)."""
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
        return np.mean(shares, axis=0).round(9) if shares else np.ones(len(runs))

    return alike


RULES: dict[str, Rule] = {
    "the first": the_first,
    "deduction": deducting,
    "other kinds": diverse,
    "farthest first": farthest_first,
}


def in_the_space(rank: Rank, table: RunTable, run: pd.Series) -> Iterator[dict[str, object]]:
    """Of the pipelines for the dataset and models of a run: percentiles of the picks, and how alike each two are."""
    about = run.reindex(KNOWN).to_dict()
    runs = pd.DataFrame([about | flat(each.model_dump()) for each in pipelines(run.task_kind, TRAINING)])
    standings, alike = rank(replace(table, runs=runs)).round(9), likeness(runs)
    for name, rule in RULES.items():
        rows = rule(standings, runs, TOP, LOWEST_PERCENTILE)
        shares, pairs = percentiles(standings)[rows], [alike(one)[other] for one, other in combinations(rows, 2)]
        yield {"rule": name, "percentile": shares.mean(), "lowest": shares.min(), "likeness": np.mean(pairs)}


def of_the_dataset(runs: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Of configurations whose ratios are known: the percentile of the picks among them, and the regret."""
    for name, rule in RULES.items():

        def measured(group: pd.DataFrame, rule: Rule = rule) -> dict[str, float]:
            order = by_configuration(group)
            if len(order) * (1 - LOWEST) <= TOP:
                return {"reached": np.nan, "regret": np.nan}
            known = group.drop_duplicates("configuration").set_index("configuration").loc[order.index]
            rows = rule(order.predicted.to_numpy(), known, TOP, LOWEST)
            return {"reached": order.ratio.rank(pct=True).iloc[rows].mean(), "regret": regret_of(order.ratio, rows)}

        yield {"rule": name, **over_groups(runs, measured)}


def main() -> None:
    """Prints means over the held-out datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs")
    parser.add_argument("--predictors", nargs="+", default=["mixed", "ridge", "mean_rank", "nearest"])
    parser.add_argument("--vectors", default="glove")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, _ = load_knowledge([given.runs], Store(str(Path(folder) / "none.db")), given.vectors)
    pair, found = commonest_pair(table.runs), []
    for predictor in given.predictors:
        for dataset in table.names:
            rank = kept_fit(predictor, RunOptions().cache, SilentReporter())(table.without(dataset))
            runs = table.runs[table.runs.dataset == dataset]
            runs = runs.assign(predicted=rank(table.of(dataset)), configuration=configurations(runs))
            of_the_pair = runs[of_pair(runs, pair)]
            parts = {"all": of_the_dataset(runs), "pair": of_the_dataset(of_the_pair)}
            if len(of_the_pair):
                parts["space"] = in_the_space(rank, table, of_the_pair.iloc[0])
            found += [
                {"predictor": predictor, "dataset": dataset, "of": part, **each}
                for part, rows in parts.items()
                for each in rows
            ]
    figures = ["percentile", "lowest", "likeness", "reached", "regret"]
    means = pd.DataFrame(found).groupby(["of", "predictor", "rule"], sort=False)[figures].mean()
    print(means.round(3).to_string(na_rep="–"))


if __name__ == "__main__":
    main()
