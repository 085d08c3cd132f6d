"""Teachers fine-tuned as they are by default, beside what is much smaller: a Bi-LSTM, and a linear model on TF-IDF.

python benchmarks/teachers.py DATA … --teacher MODEL [--rows 300 1000] [--fixed] --out teachers.jsonl

Every figure is written as soon as it is known; the same command goes on where it was stopped, and prints the table.
Of the held-out set one half chooses the best epochs of teacher and Bi-LSTM, and all are scored on the other half.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from datasets import Dataset

from autodistill.datasets.bilstm import bilstm_score
from engine import FineTuning, Pipeline, RunOptions
from engine.base.files import hash_of
from engine.base.machine import Machine, machine_for
from engine.data.load import identified, load_task
from engine.data.splits import sample
from engine.data.task import Task
from engine.evaluation.linear import linear_measures
from engine.evaluation.scores import trivial_score
from engine.run.plan import plan_run
from engine.run.teacher import prepare_teacher

FIXED = FineTuning(epochs=4, learning_rate=5e-5)  # of every teacher, before its length followed the data


def main() -> None:
    """Prints a row a dataset and number of rows; of classification."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--fixed", action="store_true", help="the teacher after 4 epochs at 5e-5, too")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    machine = machine_for(RunOptions(cache_dir=given.cache_dir))
    measures: dict[str, Callable[[Task], float]] = {
        "trivial": lambda task: trivial_score(task, held_out(task)) or 0.0,
        "TF-IDF": lambda task: linear_measures(task)[task.split].scores[task.metric],
        "Bi-LSTM": lambda task: bilstm_score(task, machine),
        "teacher": lambda task: teacher_score(task, given.teacher, FineTuning(), machine),
    }
    if given.fixed:
        measures["4 epochs at 5e-5"] = lambda task: teacher_score(task, given.teacher, FIXED, machine)
    for data in given.data:
        for rows in given.rows:
            measure(halved(load_task(data, max_train=rows)), measures, given.out)
    found = pd.DataFrame(read(given.out))
    figures = found.pivot_table(index=["dataset", "rows"], columns="measure", values="score")
    figures["seconds of the teacher"] = found[found.measure == "teacher"].set_index(["dataset", "rows"]).seconds
    print(figures.round(3).to_string())


def measure(task: Task, measures: dict[str, Callable[[Task], float]], out: Path) -> None:
    """Takes the measures of a dataset that are not in the file yet."""
    for name, take in measures.items():
        about = {"dataset": task.name, "rows": len(task.train), "measure": name}
        if any(about.items() <= line.items() for line in read(out)):
            continue
        started = time.perf_counter()
        line = about | {"score": take(task), "seconds": round(time.perf_counter() - started)}
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read(out: Path) -> list[dict[str, str | float]]:
    """What was measured so far."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def halved(task: Task) -> Task:
    """The task with half of its held-out rows as a test set."""
    rows = next(iter(task.validation.values()))
    half = set(sample(len(rows), len(rows) // 2, 0, rows["label"][:]))
    parts = [rows.select([row for row in range(len(rows)) if (row in half) == kept]) for kept in (True, False)]
    return replace(
        identified(task),
        validation={"validation": parts[0]},
        test={"test": parts[1]},
        fingerprint=hash_of(task.fingerprint, "halved"),
    )


def held_out(task: Task) -> Dataset:
    """The rows that report."""
    return task.held_out[task.split]


def teacher_score(task: Task, name: str, fine_tuning: FineTuning, machine: Machine) -> float:
    """Of the teacher's best epoch."""
    plan = plan_run(task, Pipeline(), name, "layers:1", fine_tuning=fine_tuning, precision=machine.precision)
    ready = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    return ready.scores[task.split][task.metric]


if __name__ == "__main__":
    main()
