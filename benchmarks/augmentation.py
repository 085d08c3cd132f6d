"""What augmentation gives small students on little data, as in the paper's table 3.

Every dataset is cut to 1,000 training rows; the student starts from scratch with 2 layers of width 128. Each
policy is run with each seed, everything else as the paper has it. Runs that are finished are not repeated.

    python benchmarks/augmentation.py DATA … --teacher MODEL [--seeds 3] [--out runs/augmentation]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from engine import RunOptions, distill

PIPELINES = {
    "none": {},
    "none, hard labels": {"weights": {"hard_label": 0.5}},  # which the policies below bring along
    "random+mixup": {"augmentation": "random+mixup"},
    "contextual+random+mixup": {"augmentation": "contextual+random+mixup"},
}
STUDENT = "scratch:layers=2,hidden=128"
ROWS = 1000


def main() -> None:
    """Prints a line a run, and the table of means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/augmentation"))
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    rows = []
    for data in given.data:
        for seed in range(given.seeds):
            for policy, pipeline in PIPELINES.items():
                result = distill(
                    data,
                    teacher=given.teacher,
                    student=STUDENT,
                    pipeline=pipeline,
                    out=given.out / f"{Path(data).name}-{policy.replace(', ', '-')}-{seed}",
                    seed=seed,
                    max_train=ROWS,
                    options=RunOptions(cache_dir=given.cache_dir),
                )
                rows.append(
                    {
                        "dataset": f"{result.task} ({result.metric})",
                        "policy": policy,
                        "teacher": result.teacher_score,
                        "score": result.student_score,
                        "seconds": result.stage_seconds["student"],
                    }
                )
                print(*rows[-1].values(), f"seed {seed}", f"waited {result.waiting_share:.1%}", flush=True)
    found = pd.DataFrame(rows).groupby(["dataset", "policy"], sort=False)
    table = found.agg(
        teacher=("teacher", "mean"), mean=("score", "mean"), deviation=("score", "std"), seconds=("seconds", "mean")
    )
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
