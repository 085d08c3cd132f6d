"""The tables of a study, for others to read: `study.csv`, `curves.parquet` and `study_datasets.csv`.

Decided here: a row of `study.csv` is a run that ended well, in the columns of `history.table.RunRow` and those of its
pipeline, so whatever reads past runs reads it. A row of the curves is an epoch of a run. Figures have six digits, which
is more than they mean. Nothing here is text of a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from autodistill.datasets.descriptors import describe
from autodistill.history.table import runs_of_results
from engine.base.files import written_atomically
from engine.run.result import RunResult

if TYPE_CHECKING:
    from autodistill.history.store import Store
    from autodistill.study.collect import Planned
    from engine.base.options import RunOptions
    from engine.base.progress import Reporter

STUDY, CURVES, DATASETS = "study.csv", "curves.parquet", "study_datasets.csv"
DIGITS = 6


def write_tables(
    planned: Planned, store: Store, options: RunOptions, folder: Path, reporter: Reporter
) -> Mapping[Path, int]:
    """Writes the tables of a study's runs into a folder; file → rows."""
    stages = {job.identity: job.stage for job in planned.jobs}
    ours = (result for result in store.runs() if result.identity in stages and result.status == "ok")
    results = sorted(ours, key=lambda result: result.identity)  # in whichever order they came
    runs = runs_of_results(results).frame
    runs["source"] = [f"study, {stages[identity]}" for identity in runs.identity]
    tables = {
        STUDY: runs.dropna(axis=1, how="all").sort_values(["dataset", "n_train", "student", "identity"]),
        CURVES: pd.DataFrame([row for result in results for row in curve(result)]),
        DATASETS: pd.DataFrame(datasets(planned)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with written_atomically(folder / name) as aside:
            rounded = table.round(DIGITS)
            if name.endswith(".csv"):
                rounded.to_csv(aside, index=False, float_format=f"%.{DIGITS}g")
            else:
                rounded.to_parquet(aside, index=False)
    return {folder / name: len(table) for name, table in tables.items()}


def curve(result: RunResult) -> list[dict[str, Any]]:
    """A row for each epoch of a run: seconds of training so far, the score, and the terms of the loss."""
    seconds = [*result.epoch_seconds, *[None] * (len(result.history) - len(result.epoch_seconds))]
    return [
        {
            "identity": result.identity,
            "epoch": entry["epoch"],
            "seconds": passed,
            "score": entry["scores"][result.metric],
            **{f"loss.{term}": value for term, value in entry["loss"].items()},
        }
        for entry, passed in zip(result.history, seconds, strict=True)
    ]


def datasets(planned: Planned) -> list[dict[str, Any]]:
    """A row for each dataset and number of rows."""
    tasks = {cell.plan.task.fingerprint: cell.plan.task for cell in planned.cells}
    return [describe(task).model_dump() for task in tasks.values()]
