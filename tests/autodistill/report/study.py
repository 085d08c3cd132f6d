"""A made-up study that has everything that a report tells of, as its files and as a frame."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from autodistill.history.table import runs_frame
from autodistill.report.names import readable

OBJECTIVES = ({"intermediate": "none"}, {"intermediate": "mse"}, *(
    {"intermediate": "mi_alpha", "intermediate.alpha": alpha} for alpha in (0.1, 0.9)
))  # fmt: skip
AUGMENTATIONS = ({"augmentation": "none"}, {"augmentation": "mixup", "augmentation.mixup": 1})
STUDENTS = {"small": 4_000_000, "tiny": 500_000}


def rows(datasets: int = 4, seed: int = 0) -> list[dict[str, object]]:
    """Every pipeline with every pair of models, on each dataset with 100 rows, and on the first with 300, too."""
    dice = np.random.default_rng(seed)
    found = []
    sets = [(f"set{place}", 100) for place in range(datasets)] + [("set0", 300)]
    for (dataset, n_train), teacher, student, objective, augmentation, seed_of_run in product(
        sets, ("good", "better"), STUDENTS, OBJECTIVES, AUGMENTATIONS, (0, 1)
    ):
        worth = {"none": 0.0, "mse": 0.1, "mi_alpha": 0.15}[str(objective["intermediate"])]
        found.append(
            {
                "dataset": f"{dataset}@{sets.index((dataset, 100)) + 10:08x}",
                "task_kind": "classification",
                "metric": "accuracy",
                "held_out": f"test of {n_train + 10**15:016x}",
                "n_train": n_train,
                "teacher": teacher,
                "student": student,
                "student_parameters": STUDENTS[student],
                "seed": seed_of_run,
                "score": 0.5 + worth + 0.05 * (student == "small") + 0.1 * dice.uniform(),
                "teacher_score": 0.8 + 0.1 * (teacher == "better"),
                "seconds": dice.uniform(1, 20),
                "latency_ms": 2.0 if student == "small" else 0.5,
                "identity": f"{len(found):016x}",
                "source": "study, core",
                "mapping": "skip",
                "prediction": "ce",
                **objective,
                **augmentation,
            }
        )
    return found


def frame_of(rows: list[dict[str, object]]) -> pd.DataFrame:
    return readable(runs_frame(rows, [str(place) for place in range(len(rows))]))


def epochs(rows: list[dict[str, object]], seed: int = 1) -> pd.DataFrame:
    """Learning curves of runs, some of which ended early."""
    dice = np.random.default_rng(seed)
    found = []
    for row in rows:
        score, identity = float(str(row["score"])), row["identity"]
        for epoch in range(1, int(dice.integers(3, 6)) + 1):
            scored = {"score": score * (1 - 0.5**epoch) + 0.05 * dice.uniform(), "loss.prediction": 1.0}
            found.append({"identity": identity, "epoch": epoch, "seconds": 2.0 * epoch} | scored)
    return pd.DataFrame(found)


def written(folder: Path, rows: list[dict[str, object]]) -> Path:
    """The tables as `study export` leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "study.csv", index=False)
    epochs(rows).to_parquet(folder / "curves.parquet", index=False)
    return folder
