"""Whether half precision, or a teacher in 8-bit integers, costs quality: scores beside float32, dataset by dataset.

The same pipeline on each dataset with each precision and each seed; a teacher is fine-tuned for each dataset and
precision, and answers in integers as it was trained in half precision. The scores are of the rows that did not select.

    python benchmarks/precisions.py DATA … --teacher MODEL [--student layers:3] [--rows 300] [--seeds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from machine import features, in_words

from autodistill.study.design import with_test
from engine import FineTuning, Pipeline, RunOptions, distill, load_task

WAYS = {
    "float32": RunOptions(precision="float32"),
    "bf16": RunOptions(precision="bf16"),
    "bf16, int8 teacher": RunOptions(precision="bf16", int8_teacher=True),
}
PIPELINE = {"intermediate": {"kind": "mi_alpha"}, "augmentation": "random"}
"""With augmentation, so that a teacher in integers answers while the student learns."""


def scores(data: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each way and seed on a dataset."""
    task = with_test(load_task(data, max_train=given.rows), 0)
    found = []
    for seed in range(given.seeds):
        for way, options in WAYS.items():
            result = distill(
                task,
                teacher=given.teacher,
                student=given.student,
                pipeline=Pipeline.model_validate({**PIPELINE, "training": {"epochs": given.epochs}}),
                out=folder / f"{task.name}-{seed}-{list(WAYS).index(way)}",
                seed=seed,
                fine_tuning=FineTuning(epochs=given.teacher_epochs),
                options=options.model_copy(update={"cache_dir": given.cache_dir or str(folder / "cache")}),
            )
            row = {"dataset": task.name, "metric": task.metric, "seed": seed, "way": way}
            found.append(row | {"teacher": result.teacher_score, "student": result.student_score})
    return found


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--teacher-epochs", type=int, default=8)
    parser.add_argument("--cache-dir")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = pd.DataFrame([row for data in given.data for row in scores(data, given, Path(folder))])
    if given.json:
        print(json.dumps({"machine": features(), "rows": rows.to_dict("records")}, indent=2))
        return
    report(rows)


def report(rows: pd.DataFrame) -> None:
    """Prints means over seeds, and what each way is beside float32 in points, with its standard error."""
    print(f"{in_words(features())}\n")
    table = 100 * rows.pivot_table(index=["dataset", "metric"], columns="way", values=["teacher", "student"])
    print(table.round(1).to_string())
    for role in ("teacher", "student"):
        paired = 100 * rows.pivot(index=["dataset", "seed"], columns="way", values=role)
        for way in [name for name in WAYS if name != "float32"]:
            gains = paired[way] - paired["float32"]
            of_datasets = gains.groupby("dataset").mean()
            error = of_datasets.std() / len(of_datasets) ** 0.5
            print(f"{role}, {way} less float32: {gains.mean():+.2f} points, standard error over datasets {error:.2f}")


if __name__ == "__main__":
    main()
