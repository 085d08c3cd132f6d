"""Ways of searching side by side, on a study's runs: what is missing to the best pipeline, against the time spent.

Each policy searches every cell (a dataset with a number of rows, a teacher and a student) from several seeds. Ours
knows the runs on the other datasets, never those of the one that is searched: what is usual of curves, and how good
each pipeline was there. `ours, no order` knows of curves alone; `ours, no curves` trains each candidate to its end, in
an order that changes with what it sees; `list` follows the order that was best on the other datasets.

Time is in whole trainings of the cell. Regret is of what the policy would choose then, on the rows that did not select:
0 for the best pipeline of the cell, 1 for its median or worse; the interval is over datasets.

    python benchmarks/search_policies.py TABLES [--least 20] [--seeds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from math import inf

import numpy as np
import pandas as pd

from autodistill.replay import Replay
from autodistill.search.beliefs import SHARES, Beliefs, Curves, Prior
from autodistill.search.improving import improving
from autodistill.search.learning import learned
from autodistill.search.policies import POLICIES, Policy, Search, Space, in_order

TIMES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Whole trainings."""
SHRUNK = 1.0
"""A pipeline that was run in n cells of other datasets is expected to be n / (n + 1) of its mean there."""


def dataset_of(cell: str) -> str:
    """The dataset that a cell is of, however many rows."""
    return cell.partition(",")[0]


def expected(known: dict[str, Curves], names: list[str]) -> np.ndarray:
    """What other cells say of each pipeline's last score, around their mean (n,)."""
    found = [pd.Series(each.scores[:, -1] - each.scores[:, -1].mean(), each.words.index) for each in known.values()]
    table = pd.concat(found, axis=1).reindex(names)
    return (table.sum(axis=1) / (table.count(axis=1) + SHRUNK)).to_numpy()


def policies_for(cell: str, curves: dict[str, Curves], prior: Prior) -> dict[str, Policy]:
    """Every policy, those that know other datasets too."""
    others = {name: each for name, each in curves.items() if dataset_of(name) != dataset_of(cell)}
    words = curves[cell].words
    order = expected(others, [*words.index])

    def ours(space: Space, dice: np.random.Generator, order: np.ndarray, whole: bool = False) -> Search:
        return improving(Beliefs(prior, words, order), space, dice, (1.0,) if whole else SHARES)

    return {
        **POLICIES,
        "list": in_order([str(words.index[place]) for place in np.argsort(-order, kind="stable")]),
        "ours, no order": partial(ours, order=np.zeros(len(words))),
        "ours, no curves": partial(ours, order=order, whole=True),
        "ours": partial(ours, order=order),
    }


def regrets(replay: Replay, cell: str, policy: Policy, seed: int) -> list[float]:
    """The regret after each of `TIMES`."""
    whole = np.mean([*replay.space(cell).seconds.values()])
    done = [(0.0, ""), *((step.spent / whole, step.choice) for step in replay.search(cell, policy, inf, seed))]
    chosen = [[choice for spent, choice in done if spent <= time][-1] for time in TIMES]
    return [replay.regret(cell, replay.result(cell, choice)) if choice else 1.0 for choice in chosen]


def measured(replay: Replay, cells: list[str], seeds: int) -> Iterator[dict[str, object]]:
    """A row for each cell, policy, seed and time."""
    curves = {cell: replay.curves_of(cell) for cell in cells}
    priors: dict[str, Prior] = {}
    for cell in cells:
        others = [each for name, each in curves.items() if dataset_of(name) != dataset_of(cell)]
        if dataset_of(cell) not in priors:
            priors[dataset_of(cell)] = learned(others)
        prior = priors[dataset_of(cell)]
        for name, policy in policies_for(cell, curves, prior).items():
            for seed in range(seeds):
                about = {"dataset": dataset_of(cell), "cell": cell, "policy": name, "seed": seed}
                for time, regret in zip(TIMES, regrets(replay, cell, policy, seed), strict=True):
                    yield {**about, "time": time, "regret": regret}


def main() -> None:
    """Prints the mean regret of each policy after each time, with its standard error over datasets; or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", help="folder of a study's tables, or study")
    parser.add_argument("--least", type=int, default=20, help="pipelines of a cell that is searched")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    replay = Replay.read(given.tables)
    cells = [cell for cell in replay.cells if len(replay.pipelines(cell)) >= given.least]
    rows = pd.DataFrame(measured(replay, cells, given.seeds))
    if given.json:
        print(json.dumps(rows.to_dict("records")))
        return
    by_dataset = rows.groupby(["policy", "time", "dataset"], sort=False).regret.mean()
    table = by_dataset.groupby(["policy", "time"], sort=False).agg(["mean", "sem"]).round(3)
    shown = (table["mean"].map("{:.3f}".format) + " ± " + table["sem"].map("{:.3f}".format)).unstack("time")
    print(f"{len(cells)} cells of {rows.dataset.nunique()} datasets\n\n{shown.loc[rows.policy.unique()].to_string()}")


if __name__ == "__main__":
    main()
