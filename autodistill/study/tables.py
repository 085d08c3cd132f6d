"""The tables of a study, for others to read: its runs, their learning curves, its datasets (`history.folder`).

Decided here: a row of `study.csv` is a run that ended well, in the columns of `history.table.RunRow` and those of its
pipeline, so whatever reads past runs reads it. A row of the curves is an epoch of a run. Figures have six digits, which
is more than they mean. Nothing here is text of a dataset; words are counted by
their hashes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autodistill.datasets.descriptors import describe
from autodistill.datasets.words import WordCounts, count_words
from autodistill.history.folder import CURVES, DATASETS, STUDY, WORDS, read_parquet
from autodistill.history.table import COLUMNS, runs_of_results
from engine.base.files import written_atomically
from engine.data.task import texts_of
from engine.run.result import RunResult

if TYPE_CHECKING:
    from autodistill.history.store import Store
    from autodistill.study.collect import Planned

DIGITS = 6
MOST_WORDS = 5_000
"""Of a dataset, the most frequent ones."""
BY = ("dataset", "n_train", "student", "identity")
"""Order of the runs."""
OF_EPOCH = ("identity", "epoch", "seconds", "score")


def write_tables(planned: Planned, store: Store, folder: Path) -> Mapping[Path, int]:
    """Writes the tables of a study's runs into a folder; file → rows. Runs that are there already stay."""
    stages = {job.identity: job.stage for job in planned.jobs}
    ours = (result for result in store.runs() if result.identity in stages and result.status == "ok")
    results = sorted(ours, key=lambda result: result.identity)  # in whichever order they came
    runs = runs_of_results(results).frame
    runs["source"] = [f"study, {stages[identity]}" for identity in runs.identity]
    epochs = [row for result in results for row in curve(result)]
    curves = pd.DataFrame(epochs, columns=None if epochs else [*OF_EPOCH])
    before = (_before(folder / name, stages.keys()) for name in (STUDY, CURVES))
    runs, curves = (_joined(old, new) for old, new in zip(before, (runs, curves), strict=True))
    tables = {
        STUDY: _in_order(runs.dropna(axis=1, how="all") if len(runs) else runs, COLUMNS).sort_values([*BY]),
        CURVES: _in_order(curves, OF_EPOCH).sort_values(["identity", "epoch"]),
        DATASETS: pd.DataFrame(datasets(planned)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with written_atomically(folder / name) as aside:
            if name.endswith(".csv"):
                _whole(table).to_csv(aside, index=False, float_format=f"%.{DIGITS}g")
            else:
                table.round(DIGITS).to_parquet(aside, index=False)
    counted = words(planned)
    with written_atomically(folder / WORDS) as aside, aside.open("wb") as file:
        named = (each.parts(f"{source}.") for source, each in counted.items())
        parts = {name: part for each in named for name, part in each.items()}
        np.savez_compressed(file, **parts)  # type: ignore[arg-type]  # none of them is an option
    return {folder / name: len(table) for name, table in tables.items()} | {folder / WORDS: len(counted)}


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers that are all whole as whole numbers: 22713216 parameters are not 2.27132e+07."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def known_runs(folder: Path) -> dict[str, str]:
    """Identity → `ok` of the runs that a folder's tables hold."""
    return dict.fromkeys(_before(folder / STUDY)["identity"].astype(str), "ok")


def _before(path: Path, identities: Collection[str] | None = None) -> pd.DataFrame:
    """The rows that a table holds already, of these runs where some are named."""
    if not path.is_file():
        return pd.DataFrame({"identity": []})
    found = pd.read_csv(path, dtype={"identity": str}) if path.suffix == ".csv" else read_parquet(path)
    return found if identities is None else found[found.identity.isin([*identities])]


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Both, of a run that is in both the new rows."""
    if old.empty or new.empty:
        return new if old.empty else old
    return pd.concat([old[~old.identity.isin(new.identity)], new], ignore_index=True)


def _in_order(table: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    """These columns first, as far as they are there, then the others by their names."""
    own = [name for name in first if name in table]
    return table[[*own, *sorted({*table.columns} - {*own})]]


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


def words(planned: Planned) -> dict[str, WordCounts]:
    """Source of a dataset → its most frequent words, of as many rows as the study has of it."""
    tasks = sorted((cell.plan.task for cell in planned.cells), key=lambda task: len(task.train))
    largest = {task.source: task for task in tasks}
    return {source: count_words(texts_of(task), MOST_WORDS) for source, task in sorted(largest.items())}
