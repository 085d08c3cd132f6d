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
from autodistill.ranking.diverse import LOWEST_PERCENTILE, diverse, likeness, percentiles
from autodistill.ranking.fitted import kept_fit
from autodistill.ranking.knowledge import load_knowledge
from autodistill.ranking.past import MODELS, Rank, RunTable, commonest_pair, configurations, of_pair, over_groups
from autodistill.recommend.space import pipelines
from engine.base.options import RunOptions
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


def of_other_kinds(standings: np.ndarray, runs: pd.DataFrame, count: int, lowest: float) -> list[int]:
    """The highest of which no two differ in knobs alone."""
    columns = ["intermediate", "mapping", "prediction", "augmentation", "weights.hard_label", *MODELS]
    kinds = runs.reindex(columns=columns).astype(str).agg("|".join, axis=1).to_numpy()
    order = the_first(standings, runs, len(runs), lowest)
    first = [order[at] for at in np.sort(np.unique(kinds[order], return_index=True)[1])]
    return [*first, *(row for row in order if row not in set(first))][:count]


RULES: dict[str, Rule] = {
    "the first": the_first,
    "deduction": deducting,
    "other kinds": of_other_kinds,
    "farthest first": diverse,
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
            rank = kept_fit(predictor, RunOptions().cache)(table.without(dataset))
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
