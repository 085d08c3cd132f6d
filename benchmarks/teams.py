"""What teams of teachers give beside the best single one, and what they cost.

Every kind of team is run with each seed, everything else alike. Runs that are finished are not repeated.

    python benchmarks/teams.py DATA … --teacher MODEL --members NAME … [--student layers:3] [--seeds 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from engine import RunOptions, distill

KINDS = ("single", "average", "assistants", "weighted", "stochastic", "autoskd")


def main() -> None:
    """Prints a line a run, and the table of means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--members", nargs="+", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, help="of the student; the task's default where absent")
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--max-train", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/teams"))
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    training = {"epochs": given.epochs, "learning_rate": given.learning_rate}
    rows = []
    for data in given.data:
        for seed in range(given.seeds):
            for kind in KINDS:
                spec = {"kind": kind}
                spec |= {"members": given.members} if kind != "single" else {}
                spec |= {"candidates": given.candidates} if kind == "autoskd" else {}
                result = distill(
                    data,
                    teacher=given.teacher,
                    student=given.student,
                    pipeline={"teacher": spec, "training": training},
                    out=given.out / f"{Path(data).name}-{kind}-{seed}",
                    seed=seed,
                    max_train=given.max_train,
                    options=RunOptions(cache_dir=given.cache_dir),
                )
                stages = result.stage_seconds
                rows.append(
                    {
                        "dataset": f"{result.task} ({result.metric})",
                        "team": kind,
                        "score": result.student_score,
                        "search": stages.get("search", 0.0),
                        "training": stages["student"],
                    }
                )
                print(*rows[-1].values(), f"seed {seed}", flush=True)
                if result.team and kind == "autoskd":
                    shares = zip(result.team.teachers, result.team.distribution or (), strict=True)
                    print("kept:", *(f"{each.name} {share:.2f}" for each, share in shares if share), flush=True)
                if result.team and kind == "average" and seed == 0:
                    print(*(f"{each.name} {each.score(result.metric):.4f}" for each in result.team.teachers))
    table = pd.DataFrame(rows).groupby(["dataset", "team"], sort=False)
    found = table.agg(
        mean=("score", "mean"), deviation=("score", "std"), search=("search", "mean"), training=("training", "mean")
    )
    print(found.round(4).to_string())


if __name__ == "__main__":
    main()
