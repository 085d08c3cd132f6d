"""Ways of searching side by side, on a study's runs: what is missing to the best pipeline, against the time spent.

Each policy searches every cell (a dataset with a number of rows, a teacher and a student) from several seeds. Ours
knows the runs on other datasets, never those of the one that is searched: what is usual of curves (learned without a
fifth of the datasets, the searched one among them), and what the recommender says of each pipeline. `ours, no order`
knows of curves alone; `ours, no curves` trains each candidate to its end, in an order that changes with what it sees;
`list` follows the recommender's order.

Time is in whole trainings of the cell. Regret is of what the policy would choose then, 0 for the best pipeline of the
cell, 1 for its median or worse: on the rows that select, which is what a policy looks for, and on those that report,
which is what its user gets. With few rows these disagree about which pipeline is best, so a line says what is missing
there to a choice that has seen every training to its end. Intervals are over datasets.

    python benchmarks/search_policies.py TABLES [--least 20] [--seeds 5] [--figure FILE] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from autodistill.evaluation.leave_one_out import interval_of_mean
from autodistill.evaluation.style import ACCENT, INK, QUIET, as_text, plain
from autodistill.history.store import Store
from autodistill.ranking.fitted import kept_fit
from autodistill.ranking.knowledge import load_knowledge
from autodistill.ranking.past import folds, spearman
from autodistill.recommend.request import Request
from autodistill.replay import Replay
from autodistill.search.beliefs import SHARES, Beliefs, Prior
from autodistill.search.improving import improving
from autodistill.search.learning import learned
from autodistill.search.policies import POLICIES, Policy, Search, Space, in_order
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter

TIMES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Whole trainings."""
FOLDS = 5
"""Of datasets: what curves are like is learned from the others."""
OURS, EVERYTHING = "ours", "all, to their end"
LOOKS: dict[str, dict[str, Any]] = {
    OURS: {"color": ACCENT, "linewidth": 2.4, "zorder": 3},
    EVERYTHING: {"color": INK, "linestyle": ":"},
}
ROWS: dict[Literal["score", "validation_score"], str] = {
    "validation_score": "the rows that select",
    "score": "the rows that report",
}


def dataset_of(cell: str) -> str:
    """The dataset that a cell is of, however many rows."""
    return cell.partition(",")[0]


def standings(folder: str) -> pd.Series:
    """What the recommender says of each run that knows those of other datasets, by its identity."""
    with TemporaryDirectory() as place:
        table, _ = load_knowledge([folder], Store(str(Path(place) / "none.db")), _usual("vectors"))
    fit, found = kept_fit(_usual("predictor"), RunOptions().cache, SilentReporter()), []
    for dataset, _, said in folds(fit, table):
        found.append(pd.Series(said, table.runs.identity[table.runs.dataset == dataset]))
    return pd.concat(found).groupby(level=0).first()


def _usual(name: str) -> str:
    """What a request has where nothing else is asked for."""
    return str(Request.model_fields[name].default)


def orders(replay: Replay, cells: list[str], said: pd.Series) -> dict[str, np.ndarray]:
    """Of each cell's pipelines how far above their mean each is expected, in spreads: as `recommend.contenders` has it,
    with the rank correlation on the other datasets.

    What was said of the others' runs knew those of this cell's dataset; that correlation alone is taken from it.
    """
    found, worth = {}, {}
    for cell in cells:
        identities = replay.runs.xs(cell, level="cell").identity
        own = said.reindex(identities).fillna(0.0).to_numpy()
        found[cell] = (own - own.mean()) / (own.std() or 1.0)
        results = pd.Series([replay.result(cell, name) for name in identities.index])
        worth[cell] = spearman(pd.Series(own), results)
    for cell in cells:
        others = [rho for name, rho in worth.items() if dataset_of(name) != dataset_of(cell) and np.isfinite(rho)]
        found[cell] *= max(float(np.mean(others)), 0.0) if others else 0.0
    return found


def policies_for(words: pd.DataFrame, prior: Prior, order: np.ndarray) -> dict[str, Policy]:
    """Every policy, those that know other datasets too.

    Args:
        words: Of the cell's pipelines.
        order: As `orders` has it.
    """

    def ours(space: Space, dice: np.random.Generator, order: np.ndarray, whole: bool = False) -> Search:
        return improving(Beliefs(prior, words, prior.spread * order), space, dice, (1.0,) if whole else SHARES)

    return {
        **POLICIES,
        "list": in_order([str(words.index[place]) for place in np.argsort(-order, kind="stable")]),
        "ours, no order": partial(ours, order=np.zeros(len(words))),
        "ours, no curves": partial(ours, order=order, whole=True),
        OURS: partial(ours, order=order),
    }


def regrets(replay: Replay, cell: str, policy: Policy, seed: int) -> list[dict[str, float]]:
    """The regrets after each of `TIMES`."""
    whole = float(np.mean([*replay.space(cell).seconds.values()]))
    steps = replay.search(cell, policy, max(TIMES) * whole, seed)
    done = [(0.0, ""), *((step.spent / whole, step.choice) for step in steps)]
    chosen = [[choice for spent, choice in done if spent <= time][-1] for time in TIMES]
    return [regret_of(replay, cell, choice) for choice in chosen]


def regret_of(replay: Replay, cell: str, choice: str) -> dict[str, float]:
    """Of a pipeline, on each kind of `ROWS`; the worst where none is chosen."""
    if not choice:
        return dict.fromkeys(ROWS, 1.0)
    selecting = replay.ask(cell, choice, replay.epochs(cell, choice)).score
    scores = {"validation_score": selecting, "score": replay.result(cell, choice)}
    return {column: replay.regret(cell, score, column) for column, score in scores.items()}


def best_seen(replay: Replay, cell: str) -> str:
    """The pipeline of a cell that would be chosen after all trainings."""
    names = [*replay.pipelines(cell).index]
    return max(names, key=lambda name: replay.ask(cell, name, replay.epochs(cell, name)).score)


def measured(replay: Replay, cells: list[str], said: pd.Series, seeds: int) -> Iterator[dict[str, object]]:
    """A row for each cell, policy, seed and time."""
    order = orders(replay, cells, said)
    curves, datasets = {cell: replay.curves_of(cell) for cell in cells}, sorted({*map(dataset_of, cells)})
    fold = {dataset: place % FOLDS for place, dataset in enumerate(datasets)}
    priors: dict[int, Prior] = {}
    for cell in cells:
        own = fold[dataset_of(cell)]
        if own not in priors:
            priors[own] = learned([each for name, each in curves.items() if fold[dataset_of(name)] != own])
        about = {"dataset": dataset_of(cell), "cell": cell}
        for name, policy in policies_for(curves[cell].words, priors[own], order[cell]).items():
            for seed in range(seeds):
                for time, found in zip(TIMES, regrets(replay, cell, policy, seed), strict=True):
                    yield about | {"policy": name, "seed": seed, "time": time} | found
        found = regret_of(replay, cell, best_seen(replay, cell))
        yield from (about | {"policy": EVERYTHING, "seed": 0, "time": time} | found for time in TIMES)


def differences(by_dataset: pd.DataFrame) -> pd.DataFrame:
    """What each policy's regret has more than ours, policies × times: mean over datasets and its 95 % interval.

    Args:
        by_dataset: Regret, (policy, dataset) × times.
    """
    ours = by_dataset.xs(OURS, level="policy")
    others = [name for name in by_dataset.index.unique("policy") if name != OURS]
    rows = {name: by_dataset.xs(name, level="policy") - ours for name in others}
    shown = {
        name: [_with_interval(values) for values in np.asarray(each[[*TIMES]], dtype=float).T]
        for name, each in rows.items()
    }
    return pd.DataFrame.from_dict(shown, orient="index", columns=[*TIMES])


def _with_interval(values: np.ndarray) -> str:
    interval = interval_of_mean(values)
    return f"{values.mean():+.3f}" + (f" ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else "")


def drawn(means: dict[str, pd.DataFrame]) -> Figure:
    """Mean regret over time, a panel for each kind of rows; ours and what has seen everything stand out."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    for axes, (column, table) in zip(figure.subplots(1, 2, sharey=True), means.items(), strict=True):
        others = [name for name in table.index if name not in (OURS, EVERYTHING)]
        for name, marker in [*zip(others, cycle("osvD^<>Pph*X"), strict=False), (OURS, "o"), (EVERYTHING, "")]:
            axes.plot(
                TIMES, table.loc[name], marker=marker, markersize=4, label=name, **LOOKS.get(name, {"color": QUIET})
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(TIMES, [f"{time:g}" for time in TIMES])
        axes.set_xlabel("time, in whole trainings", color=INK, fontsize=9)
        plain(axes, f"Mean regret on {ROWS[column]}")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def main() -> None:
    """Prints the mean regret of each policy after each time, and what it has more than ours; or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", help="folder of a study's tables, or study")
    parser.add_argument("--least", type=int, default=20, help="pipelines of a cell that is searched")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="draw it, too")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    replay = Replay.read(given.tables)
    cells = [cell for cell in replay.cells if len(replay.pipelines(cell)) >= given.least]
    if not cells:
        parser.error(f"no cell has {given.least} pipelines")
    rows = pd.DataFrame(measured(replay, cells, standings(given.tables), given.seeds))
    means = {}
    for column in ROWS:
        by_dataset = rows.groupby(["policy", "dataset", "time"], sort=False)[column].mean().unstack("time")
        means[column] = by_dataset.groupby("policy", sort=False).mean()
        if not given.json:
            print(f"Regret on {ROWS[column]}, mean over {rows.dataset.nunique()} datasets ({len(cells)} cells)\n")
            print(means[column].map("{:.3f}".format).to_string())
            print(f"\nMore than {OURS}\n\n{differences(by_dataset).to_string()}\n")
    if given.figure:
        with as_text():
            drawn(means).savefig(
                given.figure,
                dpi=150,
                facecolor="white",
                metadata={"Date": None} if given.figure.suffix == ".svg" else None,
            )
    if given.json:
        print(json.dumps(rows.to_dict("records")))


if __name__ == "__main__":
    main()
