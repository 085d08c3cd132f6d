"""The tables of a study, for others to read: its runs, their learning curves, its datasets (`history.folder`).

Decided here: a row of `study.csv` is a run that ended well, in the columns of `history.table.RunRow` and those of its
pipeline, so whatever reads past runs reads it. Runs that a search stopped early are in `paused.csv`, which has no score
of the rows that report, and so is no table of runs. A row of the curves is an epoch of a run of either table. Figures
have six digits, which is more than they mean. No row of a dataset stands here, but the names of its classes do, in its
description; words are counted by their hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autodistill.datasets.descriptors import describe
from autodistill.datasets.words import SHIPPED_WORDS, WordCounts, count_words
from autodistill.history.folder import CURVES, DATASETS, PAUSED, STUDY, WORDS, read_parquet
from autodistill.history.table import COLUMNS, facts_of_result, runs_of_results
from autodistill.study.searching import Course, Searching
from engine.base.files import written_atomically
from engine.data.task import texts_of
from engine.models.names import without_path
from engine.run.result import RunResult

if TYPE_CHECKING:
    from autodistill.history.store import Store
    from autodistill.study.planning import Planned
    from engine.data.task import Task

DIGITS = 6
BY = ("dataset", "n_train", "student", "identity")
"""Order of the runs."""
OF_EPOCH = ("identity", "epoch", "seconds", "score")


def write_tables(
    planned: Planned, tasks: Sequence[Task], store: Store, folder: Path, searches: Sequence[Searching] = ()
) -> Mapping[Path, int]:
    """Writes the tables of a study's runs into a folder; file → rows.

    What is there already stays, whatever it is of: runs with another precision, datasets that are not at hand now.

    Args:
        tasks: The datasets of the study (`planning.tasks_of`).
        searches: The study's; what they have begun is part of it.
    """
    for search in searches:
        search.go_on()
    searched = {job.identity: job.stage for search in searches for job in search.jobs.values()}
    stages = searched | {job.identity: job.stage for job in planned.jobs}
    last = {each.identity: each for each in store.runs() if each.identity in stages}  # in whichever order they came
    kept = {"ok": stages, "pruned": searched, "failed": {}}
    results = [last[identity] for identity in sorted(last) if identity in kept[last[identity].status]]
    runs = runs_of_results(results).frame
    runs["source"] = [f"study, {stages[identity]}" for identity in runs.identity]
    paused = pd.DataFrame([_of_paused(result) for result in results if result.status == "pruned"])
    epochs = [row for result in results for row in curve(result)]
    curves = pd.DataFrame(epochs, columns=None if epochs else [*OF_EPOCH])
    runs, curves = (_joined(folder / name, new, "identity") for name, new in ((STUDY, runs), (CURVES, curves)))
    for role in ("teacher", "student"):
        runs[role] = runs[role].map(without_path, na_action="ignore")  # where a model lies is its owner's business
    tables = {
        STUDY: _in_order(runs.dropna(axis=1, how="all") if len(runs) else runs, COLUMNS).sort_values([*BY]),
        CURVES: _in_order(curves, OF_EPOCH).sort_values(["identity", "epoch"]),
        DATASETS: _joined(
            folder / DATASETS, pd.DataFrame([describe(task).model_dump() for task in tasks]), "fingerprint"
        ),
    }
    paused = _joined(folder / PAUSED, paused, "identity") if len(paused) or (folder / PAUSED).is_file() else paused
    if len(paused):
        of_paused = _in_order(paused[~paused.identity.isin(runs.identity)], [*COLUMNS, "epochs"])
        tables[PAUSED] = of_paused.dropna(axis=1, how="all").sort_values([*BY])
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with written_atomically(folder / name) as aside:
            if name.endswith(".csv"):
                _whole(table).to_csv(aside, index=False, float_format=f"%.{DIGITS}g")
            else:
                table.round(DIGITS).to_parquet(aside, index=False)
    counted = words(tasks)
    parts = _words_before(folder / WORDS)
    parts |= {name: part for source, each in counted.items() for name, part in each.parts(f"{source}.").items()}
    with written_atomically(folder / WORDS) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **parts)  # type: ignore[arg-type]  # none of them is an option
    sources = {name.rpartition(".")[0] for name in parts}
    return {folder / name: len(table) for name, table in tables.items()} | {folder / WORDS: len(sources)}


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers that are all whole as whole numbers: 22713216 parameters are not 2.27132e+07."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _of_paused(result: RunResult) -> dict[str, Any]:
    """A run that pauses, in the columns of `study.csv`, but for what is only known of one that has ended."""
    facts = {name: fact for name, fact in facts_of_result(result).items() if name not in ("score", "held_out")}
    return facts | {"source": "study, search", "epochs": result.epochs}


def known_courses(folder: Path) -> dict[str, Course]:
    """Identity → how far a run came, of those that a folder's tables hold."""
    if not (folder / CURVES).is_file():
        return {}
    over, curves = known_runs(folder), _before(folder / CURVES).sort_values("epoch").groupby("identity")
    return {str(identity): Course(tuple(own.score), identity in over) for identity, own in curves}


def known_runs(folder: Path) -> dict[str, str]:
    """Identity → `ok` of the runs that a folder's tables hold."""
    return dict.fromkeys(_before(folder / STUDY)["identity"].astype(str) if (folder / STUDY).is_file() else (), "ok")


def _before(path: Path) -> pd.DataFrame:
    """The rows that a table holds already."""
    named = dict.fromkeys(("identity", "fingerprint", "source", "dataset"), str)
    return pd.read_csv(path, dtype=named) if path.suffix == ".csv" else read_parquet(path)


def _joined(path: Path, new: pd.DataFrame, key: str) -> pd.DataFrame:
    """The rows of a table and new ones; of what is in both, the new ones."""
    if not path.is_file() or (old := _before(path)).empty:
        return new
    return old if new.empty else pd.concat([old[~old[key].isin(new[key])], new], ignore_index=True)


def _words_before(path: Path) -> dict[str, np.ndarray]:
    """The arrays that are there already."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as parts:
        return dict(parts)


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


def words(tasks: Iterable[Task]) -> dict[str, WordCounts]:
    """Source of a dataset → its most frequent words, of as many rows as the study has of it."""
    largest = {task.source: task for task in sorted(tasks, key=lambda task: len(task.train))}
    return {source: count_words(texts_of(task), SHIPPED_WORDS) for source, task in sorted(largest.items())}
