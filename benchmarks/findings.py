"""What the runs of a study say: what an objective, a mapping, an augmentation and a teacher add, with intervals.

Runs are compared within cells: one dataset with its rows, one student, one set of rows that report. A difference is
between means over runs that share all else that is named; it is averaged over a dataset's cells, then over datasets,
whose 95 % interval is that of the mean over datasets (they are drawn again, not runs).

    python benchmarks/findings.py [TABLES] [--rows 300] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.report.findings import mean_over_datasets
from meta_data import FOLDER

CELL = ["dataset", "n_train", "student", "held_out", "teacher_score"]
OTHERS = ["student_alone", "bilstm", "linear", "teacher"]
KINDS = ["intermediate", "mapping", "prediction"]


def differences(runs: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """What is compared, and the differences of score, a cell a row or more."""
    plain = runs[runs.augmentation == "none"]
    vanilla = plain[plain.intermediate == "none"].groupby([*CELL, "prediction"]).score.mean()
    for kind in sorted({*plain.intermediate} - {"none"}):
        of = plain[plain.intermediate == kind].groupby([*CELL, "prediction"]).score.mean()
        yield f"objective {kind} − none", of - vanilla
    mapped = plain[plain.mapping != "none"]
    for mapping in sorted({*mapped.mapping}):
        of = mapped[mapped.mapping == mapping].groupby([*CELL, "intermediate"]).score.mean()
        others = mapped[mapped.mapping != mapping].groupby([*CELL, "intermediate"]).score.mean()
        yield f"mapping {mapping} − the others", of - others
    losses = plain.groupby([*CELL, "intermediate", "mapping", "prediction"]).score.mean().unstack("prediction")
    if {"ce", "mse"} <= {*losses}:
        yield "prediction loss mse − ce", losses["mse"] - losses["ce"]
    twins = plain.groupby([*CELL, *KINDS]).score.mean()
    augmented = runs[runs.augmentation != "none"]
    for policy in sorted({*augmented.augmentation}):
        yield f"augmentation {policy} − none", _of(augmented, policy) - twins
    yield "augmentation, any − none", augmented.groupby([*CELL, *KINDS]).score.mean() - twins
    for other in OTHERS:
        scores = plain[plain.intermediate == "none"].groupby(CELL)[["score", f"{other}_score"]]
        means = scores.mean() if other != "teacher" else scores.agg({"score": "mean", "teacher_score": "first"})
        yield f"vanilla distillation − {other.replace('_', ' ')}", means.score - means[f"{other}_score"]


def _of(augmented: pd.DataFrame, policy: str) -> pd.Series:
    return augmented[augmented.augmentation == policy].groupby([*CELL, *KINDS]).score.mean()


def rows(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each student and comparison that three datasets have, in points (score × 100)."""
    for student, of in runs.groupby("student"):
        for what, found in differences(of):
            found = found.dropna()
            mean = mean_over_datasets(100 * found, found.index.get_level_values("dataset"))
            if mean.datasets > 2:
                yield {"student": student, "what": what, **mean._asdict()}


def noise(runs: pd.DataFrame) -> dict[str, float]:
    """Median standard deviation, in points, of pipelines in a cell, and of a pipeline's seeds."""
    pipeline = [name for name in runs if name.split(".")[0] in (*KINDS, "augmentation", "weights", "training")]
    of_seeds = runs.groupby([*CELL, *pipeline], dropna=False).score.std()
    of_pipelines = runs[runs.seed == runs.seed.min()].groupby(CELL).score.std()
    return {"pipelines": 100 * of_pipelines.median(), "seeds": 100 * of_seeds.median()}


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runs = pd.read_csv(given.tables / "study.csv")
    runs = runs[runs.score.notna() & (runs.n_train == given.rows)]
    found, spread = [*rows(runs)], noise(runs)
    if given.json:
        print(json.dumps({"differences": found, "noise": spread}, indent=1))
        return
    print(pd.DataFrame(found).to_string(index=False, float_format="{:+.2f}".format))
    print(f"\nStandard deviation in points, median: pipelines {spread['pipelines']:.2f}, seeds {spread['seeds']:.2f}.")


if __name__ == "__main__":
    main()
