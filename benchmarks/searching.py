"""What a search finds on data that is in no past run: beside pipelines at random, the default one and the first pick.

Training rows are drawn from those that the study has in no sample of 300 or 1,000 rows, and what is known beforehand
(the study's runs, and what its curves teach) is known without the dataset. A search has the time of so many whole
trainings, and of two more for what follows it, the comparison with the student alone. Of as many pipelines at random
the one with the best score on the rows that select counts. All scores are of rows that did not select.

    python benchmarks/searching.py DATA … --teacher MODEL [--student lstm:hidden=64] [--trainings 6] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from machine import Others, features, in_words

from autodistill import AutoDistiller
from autodistill.evaluation.leave_one_out import interval_of_mean
from autodistill.history.folder import CURVES, DATASETS, STUDY, WORDS
from autodistill.recommend.space import pipelines
from autodistill.replay import Replay
from autodistill.search.learning import learned
from autodistill.study.design import task_of, whole_task
from autodistill.study.spec import Source
from engine import FineTuning, Pipeline, RunOptions, RunResult, distill
from engine.base.errors import InputError
from engine.data.groups import GROUPS, known_in
from engine.data.task import Task
from engine.models.names import start_of_name
from engine.pipeline.training import Training
from meta_data import FOLDER

SEED, OTHER_SEED = 0, 1
"""Of the study's samples, and of those that are drawn here."""
SIZES = (300, 1000)
"""Of the study's samples; the smaller one need not be part of the larger."""
TEST_ROWS = 2000
LEAST = 5
"""Pipelines of a cell whose curves teach."""
PREPARING = 10.0
"""Seconds until a search whose teacher is known begins."""
WAYS = ("search", "at random", "default", "first pick")


def unseen_task(data: str, rows: int) -> Task:
    """So many training rows of a dataset, of which the study has none, and rows that report."""
    source = Source(data=data)
    whole = whole_task(source, SEED)
    if whole.name not in {*pd.read_csv(FOLDER / STUDY, usecols=["dataset"]).dataset.map(plain)}:
        return task_of(source, rows, OTHER_SEED, TEST_ROWS, lambda *_: whole)
    samples = [task_of(source, size, SEED, whole=lambda *_: whole).train.with_format("arrow")[:] for size in SIZES]
    known = known_in(whole.train.with_format("arrow")[:], samples, GROUPS[whole.kind].fields)
    rest = replace(whole, train=whole.train.select(np.flatnonzero(~known)), fingerprint="")
    return task_of(source, rows, OTHER_SEED, TEST_ROWS, lambda *_: rest)


def plain(dataset: str) -> str:
    """The name of a dataset without its fingerprint."""
    return dataset.partition("@")[0]


def tables_without(dataset: str, folder: Path) -> Path:
    """The study's tables without a dataset."""
    folder.mkdir()
    for name in (STUDY, DATASETS):
        table = pd.read_csv(FOLDER / name, low_memory=False)
        table[table.dataset.map(plain) != dataset].to_csv(folder / name, index=False)
    for name in (CURVES, WORDS):
        shutil.copy(FOLDER / name, folder / name)
    return folder


def compared(data: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The scores of all ways on a dataset."""
    task = unseen_task(data, given.rows)
    tables, out = tables_without(task.name, folder / f"{task.name}-tables"), folder / task.name
    replay = Replay.read(tables)
    prior = learned([replay.curves_of(cell) for cell in replay.cells if len(replay.pipelines(cell)) >= LEAST])
    options = RunOptions(precision=given.precision, cache_dir=given.cache_dir or str(folder / "cache"))
    tuning, training = FineTuning(epochs=given.teacher_epochs), Training(epochs=given.epochs)
    asked: dict[str, Any] = {"teacher": given.teacher, "student": given.student, "fine_tuning": tuning}

    def trained(way: str, pipeline: Pipeline) -> RunResult:
        return distill(task, **asked, pipeline=pipeline, out=out / way, options=options)

    default = trained("default", Pipeline(training=training))
    distiller = AutoDistiller([str(tables)], str(folder / "runs.db"), options=options)
    first = distiller.recommend(task, **asked, training=training).picks[0]
    whole = default.stage_seconds["student"]
    seconds = PREPARING + (given.trainings + 2) * whole
    with patch("autodistill.recommend.contenders.shipped_prior", lambda: prior):
        found = distiller.search(task, **asked, training=training, out=out / "search", budget=seconds)
    drawn = list(islice(at_random(task, given.student, training, trained), given.trainings))
    best = max(drawn, key=lambda each: -np.inf if each.selection_score is None else each.selection_score)
    picked = trained("first pick", Pipeline.model_validate(first.pipeline))
    scores = {"search": found.result, "at random": best, "default": default, "first pick": picked}
    spent = sum(step.seconds for step in found.record.steps)
    return {
        "dataset": task.name,
        "metric": task.metric,
        **{way: result.student_score for way, result in scores.items()},
        "teacher": default.teacher_score,
        "alone": found.result.student_alone_score,
        "trainings": spent / whole,
        "tried": len(found.tried),
        "pieces": len(found.record.steps),
        "ended": found.record.ended,
    }


def at_random(
    task: Task, student: str, training: Training, trained: Callable[[str, Pipeline], RunResult]
) -> Iterator[RunResult]:
    """Pipelines of the space, one after the other in an order of chance; those that do not suit are left out."""
    every = [*pipelines(task.kind, training, student=start_of_name(student))]
    for place in np.random.default_rng(OTHER_SEED).permutation(len(every)):
        try:
            yield trained(f"random-{place}", every[place])
        except InputError:
            continue


def main() -> None:
    """Prints a table, and what a search has more than each other way; or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--student", default="lstm:hidden=64")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--trainings", type=int, default=6)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache-dir")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name, Others() as others:
        for data in given.data:
            found.append(compared(data, given, Path(name)))
            if given.json:
                print(json.dumps(found[-1]), flush=True)
    if given.json:
        return
    table = pd.DataFrame(found)
    print(f"{in_words(features())}; others kept {others.cores:.2f} cores busy\n")
    print(table.round(3).to_string(index=False))
    for way in WAYS[1:]:
        gains = (table.search - table[way]).to_numpy()
        low, high = interval_of_mean(gains) or (np.nan, np.nan)
        print(f"search − {way}: {gains.mean():+.4f} (95 % over datasets: {low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main()
