"""Every intermediate objective with every layer mapping and prediction loss: does each learn, at what cost?

One epoch each on a few rows of a dataset, through the whole engine, in one process. Prints a line a
pipeline with its time relative to the cheapest one; fails if a loss is not finite, if two pipelines
give the same student, or if one takes more than three times as long as the cheapest.

    python benchmarks/grid.py DATA --teacher MODEL [--student layers:3] [--rows 200] [--held-out 64]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from contextlib import suppress
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from engine import FineTuning, Pipeline, RunOptions, RunResult, distill, load_task
from engine.base.files import hash_of_files
from engine.data.task import Task
from engine.pipeline import component_kinds

SLOWEST = 3.0


def grid(task: Task) -> list[Pipeline]:
    """The pipelines that suit a task."""
    found = component_kinds()
    kinds = product(found["intermediate"], found["mapping"], ("ce", "mse"))
    pipelines = []
    for intermediate, mapping, prediction in kinds:
        parts = {
            "intermediate": {"kind": intermediate},
            "mapping": {"kind": mapping},
            "prediction": {"kind": prediction},
        }
        with suppress(ValidationError):  # parts that do not go together, and `manual`, which names layers
            pipelines.append(Pipeline.model_validate(parts | {"training": {"epochs": 1}}))
    pipelines = [pipeline for pipeline in pipelines if pipeline.intermediate.kind != "none"]
    return [pipeline for pipeline in pipelines if not pipeline.problems_with(task.kind)]


def name_of(pipeline: Pipeline, task: Task) -> str:
    """The three kinds of a pipeline."""
    return f"{pipeline.intermediate.kind:9} {pipeline.mapping.kind:5} {pipeline.prediction_for(task.kind).kind}"


def is_finite(result: RunResult) -> bool:
    """Whether every term of the loss and every score is a finite number."""
    values = [v for entry in result.history for v in (*entry["loss"].values(), *entry["scores"].values())]
    return all(map(math.isfinite, values))


def main() -> None:
    """Runs the grid and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=64)
    given = parser.parse_args()
    task = load_task(given.data, max_train=given.rows, max_validation=given.held_out)
    seconds, students, faults = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(cache_dir=f"{folder}/cache")
        # The first run fills the cache and warms up; it is not counted.
        for index, pipeline in enumerate([grid(task)[0], *grid(task)]):
            out = Path(folder, str(index))
            result = distill(
                task, teacher=given.teacher, student=given.student, pipeline=pipeline, out=out,
                fine_tuning=FineTuning(epochs=1), options=options,
            )  # fmt: skip
            if index:
                name = name_of(pipeline, task)
                assert result.examples_per_second is not None
                seconds[name] = given.rows / result.examples_per_second
                students[name] = hash_of_files([out / "model.safetensors"])
                if not is_finite(result):
                    faults.append(f"{name}: not finite")
    cheapest = min(seconds.values())
    for name, taken in seconds.items():
        print(f"{name:22} {taken:6.2f} s  {taken / cheapest:5.2f}")
        if taken > SLOWEST * cheapest:
            faults.append(f"{name}: {taken / cheapest:.1f} times the cheapest")
    if len(set(students.values())) != len(students):
        faults.append("two pipelines give the same student")
    slowest = max(seconds.values()) / cheapest
    print(f"{task.name}: {len(seconds)} pipelines, slowest {slowest:.2f} × the cheapest")
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
