"""Students of all kinds beside their teacher: score with its interval, latency, size.

Each kind of student learns from the teacher's soft labels alone, or by the pipelines that are named, once for each
dataset and seed; teacher and rows are those of a study with as many `--rows` and `--test-rows` (docs/study.md), so the
cache of one in the same precision serves. Scores are of rows that did not select; `alone` is the same student
fine-tuned without a teacher.

    python benchmarks/students.py DATA … --teacher MODEL [--students static lstm:hidden=64 layers:2] [--rows 300]
                                  [--pipelines vanilla_kd tinybert …] [--seeds 1]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from machine import Others, features, in_words

from autodistill.study.design import task_of
from autodistill.study.spec import Source
from engine import FineTuning, RunOptions, RunResult, distill
from engine.pipeline import Training
from engine.pipeline.presets import PRESETS

STUDENTS = ("static", "lstm:hidden=64", "layers:2")


def rows(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each student, pipeline and seed on each dataset, the teacher's first."""
    options = RunOptions(precision=given.precision, cache_dir=given.cache_dir or str(folder / "cache"))
    for data in given.data:
        task = task_of(Source(data=data), given.rows, seed=0, test_rows=given.test_rows)
        for number, (student, name, seed) in enumerate(product(given.students, given.pipelines, range(given.seeds))):
            result = distill(
                task,
                teacher=given.teacher,
                student=student,
                pipeline=PRESETS[name].pipeline.model_copy(update={"training": Training(epochs=given.epochs)}),
                out=folder / f"{task.name}-{number}",
                seed=seed,
                fine_tuning=FineTuning() if given.teacher_epochs is None else FineTuning(epochs=given.teacher_epochs),
                options=options,
                student_alone=True,
            )
            if not number:
                yield row_of(result, "teacher", given.teacher)
            yield {**row_of(result, "student", student), "pipeline": name, "seed": seed}


def row_of(result: RunResult, role: str, name: str) -> dict[str, Any]:
    """A model of a run in figures."""
    prefix = "teacher_" * (role == "teacher")
    return {
        "dataset": result.task,
        "metric": result.metric,
        "model": Path(name).name,
        "score": getattr(result, f"{role}_score"),
        "interval": result.interval(role, result.metric),
        "alone": result.student_alone_score if role == "student" else None,
        "latency_ms": getattr(result, f"{prefix}latency_ms"),
        "size_mb": getattr(result, f"{prefix}size_mb"),
        "seconds": result.stage_seconds.get(role),
    }


def named(row: dict[str, Any]) -> str:
    """The model of a row, and how it was distilled."""
    return row["model"] + (f", {row['pipeline']}, seed {row['seed']}" if "pipeline" in row else "")


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--teacher-epochs", type=int)
    parser.add_argument("--students", nargs="+", default=STUDENTS)
    parser.add_argument("--pipelines", nargs="+", default=["vanilla_kd"], choices=PRESETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--test-rows", type=int, default=2000)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache-dir")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Others() as others:
        found = []
        for row in rows(given, Path(name)):
            found.append(row)
            print(f"{row['dataset']}, {named(row)}: {row['score']:.3f}", file=sys.stderr)
    about = {"rows": given.rows, "epochs": given.epochs, "precision": given.precision}
    if given.json:
        print(
            json.dumps(
                {"machine": features(), **about, "others_cores": round(others.cores, 2), "models": found}, indent=2
            )
        )
        return
    print(f"{in_words(features())}; {about}; others kept {others.cores:.2f} cores busy")
    print("| dataset | metric | model | score (95 %) | alone | ms an example | MB | s to train |")
    print("| --- " * 8 + "|")
    for row in found:
        low, high = row["interval"] or (float("nan"),) * 2
        score = f"{row['score']:.3f} ({low:.3f} to {high:.3f})"
        numbers = (
            "–" if row[key] is None else f"{row[key]:.3g}" for key in ("alone", "latency_ms", "size_mb", "seconds")
        )
        print(f"| {row['dataset']} | {row['metric']} | {named(row)} | {score} | {' | '.join(numbers)} |")


if __name__ == "__main__":
    main()
