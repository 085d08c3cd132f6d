"""What texts without labels add: few labelled rows, the same and further texts, and all rows labelled.

The teacher is fine-tuned on the labelled rows, anew for each seed; the student learns from its soft labels alone.
Scores are of rows that did not select, means over seeds with their standard deviation; `alone` is the same student
without a teacher.

    python benchmarks/unlabelled.py DATA … --teacher MODEL [--student lstm:hidden=64] [--rows 300] [--seeds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from machine import Others, features, in_words

from autodistill.study.design import with_test
from engine import FineTuning, Pipeline, RunOptions, distill, load_task


def ways(data: str, rows: int) -> dict[str, dict[str, Any]]:
    """Way → how the rows are read."""
    return {"few": {"max_train": rows}, "few, and texts": {"max_train": rows, "unlabelled": data}, "all": {}}


def scores(data: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each way and seed on a dataset."""
    options = RunOptions(precision=given.precision, cache_dir=given.cache_dir or str(folder / "cache"))
    found = []
    for way, reading in ways(data, given.rows).items():
        task = with_test(load_task(data, **reading), 0)
        for seed in range(given.seeds):
            result = distill(
                task,
                teacher=given.teacher,
                student=given.student,
                pipeline=Pipeline(),
                out=folder / f"{task.name}-{way}-{seed}",
                seed=seed,
                student_alone=True,
                fine_tuning=FineTuning(epochs=given.teacher_epochs, seed=seed),
                options=options,
            )
            about = {"dataset": task.name, "metric": task.metric, "way": way, "seed": seed}
            about |= {"labelled": result.train_examples, "unlabelled": result.unlabelled_examples}
            alone, epochs = result.student_alone_score, len(result.history)
            reached = {"teacher": result.teacher_score, "student": result.student_score, "alone": alone}
            found.append(about | reached | {"epochs": epochs})
            print(f"{task.name}, {way}, seed {seed}: {result.student_score:.3f}", file=sys.stderr)
    return found


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--teacher-epochs", type=int)
    parser.add_argument("--student", default="lstm:hidden=64")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--cache-dir")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Others() as others:
        found = [row for data in given.data for row in scores(data, given, Path(name))]
    if given.json:
        about = {"machine": features(), "others_cores": round(others.cores, 2)}
        print(json.dumps({**about, "runs": found}, indent=2))
        return
    print(
        f"{in_words(features())}; student {given.student}, {given.precision}; others kept {others.cores:.2f} cores busy"
    )
    print("| dataset | rows | labelled | unlabelled | teacher | student | alone |\n|" + " --- |" * 7)
    for (data, way), runs in pd.DataFrame(found).groupby(["dataset", "way"], sort=False):
        shown = (f"{runs[role].mean():.3f} ± {runs[role].std(ddof=0):.3f}" for role in ("teacher", "student", "alone"))
        counts = f"{runs.labelled.iloc[0]:,} | {runs.unlabelled.iloc[0]:,}"
        print(f"| {data} ({runs.metric.iloc[0]}) | {way} | {counts} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
