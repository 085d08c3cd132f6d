"""Where good distributions over a team come from: phase 1 or 2 of the search, SSWO or CR, or chance.

Each distribution trains a student, everything else alike (AutoSKDBERT, tables 5 and 6, figure 3). Runs that
are finished are not repeated.

    python benchmarks/distributions.py DATA --teacher MODEL --members NAME … [--student layers:3] [--count 20]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine import RunOptions, RunResult, distill


def main() -> None:
    """Prints a line a distribution, and a table of the sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--members", nargs="+", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--count", type=int, default=20, help="distributions of each source")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, help="of the student; the task's default where absent")
    parser.add_argument("--max-train", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/distributions"))
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    training = {"epochs": given.epochs, "learning_rate": given.learning_rate}

    def run(name: str, team: dict[str, Any]) -> RunResult:
        return distill(
            given.data,
            teacher=given.teacher,
            student=given.student,
            pipeline={"team": {"members": given.members, **team}, "training": training},
            out=given.out / name,
            seed=given.seed,
            max_train=given.max_train,
            options=RunOptions(cache_dir=given.cache_dir),
        )

    rows: list[dict[str, Any]] = []

    def note(source: str, distribution: Sequence[float], score: float) -> None:
        rows.append({"source": source, "score": score})
        print(source, *(f"{share:.3f}" for share in distribution), f"{score:.4f}", flush=True)

    for update in ("sswo", "cr"):
        result = run(update, {"kind": "autoskd", "update": update, "candidates": given.count})
        for candidate in result.team.candidates if result.team else ():
            note(f"{update}, phase 2", candidate.distribution, candidate.score)
    plain = {
        "sswo, phase 1": _of_phase_1(given.out / "sswo" / "theta.csv", given.count),
        "random": np.random.default_rng(given.seed).dirichlet(np.ones(1 + len(given.members)), given.count),
    }
    for source, distributions in plain.items():
        for number, distribution in enumerate(distributions):
            shares = [float(share) for share in distribution]
            result = run(f"{source.replace(', ', '-')}-{number}", {"kind": "stochastic", "distribution": shares})
            assert result.student_score is not None
            note(source, shares, result.student_score)
    table = pd.DataFrame(rows).groupby("source", sort=False).score
    print(table.agg(["size", "mean", "std", "min", "max"]).round(4).to_string())


def _of_phase_1(history: Path, count: int) -> np.ndarray:
    """Distributions of the first half of a search, evenly over its steps."""
    shares = pd.read_csv(history).drop(columns=["search", "step"]).to_numpy()
    half = len(shares) // 2
    found: np.ndarray = shares[np.linspace(0, half - 1, min(count, half)).astype(int)]
    return found


if __name__ == "__main__":
    main()
