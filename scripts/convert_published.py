"""Makes meta_data/published.csv: the figures that the Distiller paper prints, as runs in our layout.

    python scripts/convert_published.py FILE

FILE has one printed figure a row, 0 to 100: the paper's table, dataset, split, metric, teacher, student,
the pipeline, score, teacher_score and n_train. Figures of students without a teacher are no distillation
and are left out. Columns that would be empty are not written, nor is the ratio: it follows from the scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.datasets.descriptors import dataset_name
from autodistill.history.authors import sizes, task_kind
from autodistill.history.table import runs_frame
from meta_data import PUBLISHED

HELD_OUT_OF_ONE = {"MNLI-m": "mnli", "MNLI-mm": "mnli", "SQuAD v1.1": "squad"}
"""Names of held-out sets whose dataset has another name."""
COMPONENTS = {
    "intermediate_objective": "intermediate",
    "alpha": "intermediate.alpha",
    "critic": "intermediate.critic",
    "layer_mapping": "mapping",
    "prediction_loss": "prediction",
    "augmentation": "augmentation",
}
"""Column of the source → column of the layout."""


def run_of(row: dict[str, Any]) -> dict[str, Any]:
    """A printed figure in the project's layout; None is what the paper does not say."""
    name = HELD_OUT_OF_ONE.get(row["dataset"]) or dataset_name(row["dataset"])
    operators = [] if row["augmentation"] in (None, "none") else row["augmentation"].split("+")
    return {
        "dataset": name,
        "task_kind": task_kind(name),
        "metric": row["metric"],
        "held_out": row["split"] + (f" of {row['dataset']}" if row["dataset"] in HELD_OUT_OF_ONE else ""),
        "n_train": row["n_train"],
        "teacher": row["teacher"],
        "student": row["student"],
        **sizes(teacher=row["teacher"], student=row["student"]),
        **{ours: row[theirs] for theirs, ours in COMPONENTS.items()},
        "team": "single",
        **{f"augmentation.{operator}": place for place, operator in enumerate(operators, start=1)},
        "score": row["score"] / 100,
        "teacher_score": row["teacher_score"] / 100,
        "source": f"published, table {row['table']}",
    }


def convert(source: Path, target: Path = PUBLISHED) -> None:
    """Writes the table, after checking it as every table of runs is checked."""
    printed = pd.read_csv(source).astype(object)
    rows = printed[printed.teacher != "none"].where(printed.notna(), None).to_dict("records")
    runs = [run_of(row) for row in rows]
    checked = runs_frame(runs, [f"figure {place}" for place in range(1, len(runs) + 1)])
    table = checked.drop(columns="ratio").dropna(axis="columns", how="all").convert_dtypes()
    table.to_csv(target, index=False, lineterminator="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    convert(parser.parse_args().file)
