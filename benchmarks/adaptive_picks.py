"""Whether picks should be ranked again after each finished run of the same dataset.

Every dataset of a table of runs is held out in turn. Within each of its pairs of teacher and student with
enough configurations, two ways spend the same number of runs: the fixed list of diverse picks, and one that
begins with the first few of it and then takes each next pick from the predictor's posterior, given what the
former ones reached. What the runs reached is looked up in the table.

    python benchmarks/adaptive_picks.py RUNS [--vectors FILE] [--first 3]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from picks import likeness
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import iqr, norm

from autodistill.evaluation.leave_one_out import regret
from autodistill.history.store import Store
from autodistill.ranking.calibration import calibrate, conditions
from autodistill.ranking.diverse import diverse
from autodistill.ranking.knowledge import load_knowledge
from autodistill.ranking.mixed import SAME, Mixed, covariances, mixed
from autodistill.ranking.past import MODELS, RunTable, configurations

FEWEST = 12
"""Configurations of a pair that make choosing among them a question."""
BUDGETS = (3, 5, 8, 10)
LIKENESS_COST = 1.0
"""Deduction of the adaptive way for an exact copy, in standard deviations of the standings."""


@dataclass(frozen=True)
class Choice:
    """Configurations of one held-out dataset and pair of models, from which runs are chosen.

    Args:
        runs: One row each, with the mean ratio of its repeats.
        places: Predicted (n,).
        covariance: Of the prediction's errors (n, n).
        noise: Variance of a single run.
        unit: Ratio that one standard deviation of the target is worth.
    """

    dataset: str
    runs: pd.DataFrame
    places: np.ndarray
    covariance: np.ndarray
    noise: float
    unit: float

    def fixed(self, count: int) -> list[int]:
        """The recommender's list."""
        return diverse(self.places, self.runs, count)

    def adaptive(self, count: int, first: int) -> list[int]:
        """The list's first few; then, one by one, the best of what is left by what is known by then."""
        chosen = self.fixed(first)
        while len(chosen) < min(count, len(self.runs)):
            chosen.append(self._next(chosen))
        return chosen

    def _next(self, chosen: list[int]) -> int:
        """The highest one after the deduction for how alike it is to those that were run."""
        alike = likeness(self.runs)
        places = self._posterior(chosen)
        places = places - LIKENESS_COST * places.std() * np.max([alike(row) for row in chosen], axis=0)
        places[chosen] = -np.inf
        return int(np.argmax(places))

    def _posterior(self, chosen: list[int]) -> np.ndarray:
        """Places given the ratios of the chosen, whose common level is not known and is estimated."""
        spread = self.covariance[np.ix_(chosen, chosen)] + self.noise * np.eye(len(chosen))
        surprise = self.runs.ratio.to_numpy()[chosen] / self.unit - self.places[chosen]
        ones = np.linalg.solve(spread, np.ones(len(chosen)))
        level = ones @ surprise / ones.sum()
        return self.places + self.covariance[:, chosen] @ np.linalg.solve(spread, surprise - level)

    def regret(self, chosen: list[int]) -> float:
        """Of the chosen runs, as `leave_one_out.regret` measures it."""
        taken = pd.Series(-np.arange(len(chosen), dtype=float), chosen).reindex(range(len(self.runs)))
        ordered = self.runs.assign(predicted=taken.fillna(-np.inf), configuration=self.runs.index)
        return regret(ordered, len(chosen))


def choices(table: RunTable) -> Iterator[Choice]:
    """Each held-out dataset's pairs of models."""
    for dataset in table.names:
        past = table.without(dataset)
        model = mixed(past)
        runs = table.runs[table.runs.dataset == dataset]
        for _, group in runs.groupby(MODELS):
            each = group.groupby(configurations(group)).agg("first")
            each = each.assign(ratio=group.groupby(configurations(group)).ratio.mean())
            if len(each) >= FEWEST and each.ratio.max() > each.ratio.median():
                yield _choice(dataset, each.reset_index(drop=True), past, model, table)


def _choice(dataset: str, runs: pd.DataFrame, past: RunTable, model: Mixed, table: RunTable) -> Choice:
    asked = RunTable(runs.drop(columns=["score", "ratio", "seconds"]), table.datasets, table.vectors)
    encoded, relations = model.encoding(asked), (SAME, *model.features)

    def total(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> np.ndarray:
        parts = covariances(model.encoding, one, other, relations)
        return np.asarray(sum(model.variances[name] * part for name, part in parts.items()))

    noises = pd.Series({name: model.variances[f"noise of {name}"] for name in past.names})
    known = total(model.runs, model.runs) + np.diag(past.runs.dataset.map(noises))
    across = total(encoded, model.runs)
    covariance = total(encoded, encoded) - across @ cho_solve(cho_factor(known, lower=True), across.T)
    calibration = calibrate(past, model.left_out)
    losses = past.runs.assign(loss=past.runs.ratio / calibration.line.units(conditions(past)))
    spreads = losses.dropna(subset="loss").groupby("dataset").loss.apply(iqr) / (2 * norm.ppf(0.75))
    unit = calibration.line.units(conditions(asked))[0]
    return Choice(dataset, runs, model(asked), covariance, noises.median(), unit * spreads.median())


def main() -> None:
    """Prints the mean regret of both ways, and their difference with its standard error over datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs")
    parser.add_argument("--vectors", default="glove")
    parser.add_argument("--first", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, _ = load_knowledge([given.runs], Store(str(Path(folder) / "none.db")), given.vectors)
    rows = [
        {"dataset": choice.dataset, "budget": budget, "way": way, "regret": choice.regret(chosen[:budget])}
        for choice in choices(table)
        for way, chosen in (
            ("fixed", choice.fixed(max(BUDGETS))),
            ("adaptive", choice.adaptive(max(BUDGETS), given.first)),
        )
        for budget in BUDGETS
    ]
    means = pd.DataFrame(rows).groupby(["dataset", "budget", "way"]).regret.mean().unstack("way")
    difference = (means.fixed - means.adaptive).groupby("budget")
    report = means.groupby("budget").mean()
    print(report.assign(gain=difference.mean(), error=difference.sem()).round(3).to_string())


if __name__ == "__main__":
    main()
