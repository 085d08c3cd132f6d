"""What each augmentation operator costs: seconds of an epoch beside none, and the share that the loop waits.

Beneath the table stand two figures of contextual+random+mixup: its epoch beside the teacher's and the student's own
passes, and the share of it that the loop waits. The passes are those of an epoch of mixup, which sees as many examples,
less what its loop waits; mixing itself costs next to nothing.

All policies are trained in turn, in rounds, in one process, so that their ratios hold where the machine's
speed does not. Evaluation is not counted. What is kept of the teacher's answers is cleared before each training, so
each makes its augmented examples and asks the teacher itself, as the first pipeline of a dataset does.

    python benchmarks/augmentation_speed.py DATA --teacher MODEL [--rows 1000] [--rounds 3] [--only POLICY …]
                                            [--translators THERE BACK]

With two Marian models back_translation is timed too, as it is once every text has been translated: later
epochs, and later pipelines, read translations from the cache.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from engine import RunOptions, distill

POLICIES = ("none", "mixup", "random", "random+mixup", "contextual", "contextual+random+mixup")
HEAVIEST, PASSES = "contextual+random+mixup", "mixup"
ROWS, EPOCHS = 1000, 4


def main() -> None:
    """Prints the medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="scratch:layers=2,hidden=128")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=POLICIES, default=POLICIES)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--translators", nargs=2, metavar=("THERE", "BACK"))
    given = parser.parse_args()
    policies: dict[str, object] = {policy: policy for policy in POLICIES if policy in given.only}
    if given.translators:
        there, back = given.translators
        policies["back_translation"] = [{"kind": "back_translation", "there": there, "back": back}]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds + 1):
            for policy, operators in policies.items():
                shutil.rmtree(Path(folder, "cache", "signals"), ignore_errors=True)
                result = distill(
                    given.data,
                    teacher=given.teacher,
                    student=given.student,
                    pipeline={"augmentation": operators, "training": {"epochs": EPOCHS}},
                    out=Path(folder, f"{policy}-{number}"),
                    max_train=given.rows,
                    max_validation=50,
                    options=RunOptions(cache_dir=f"{folder}/cache", workers=given.workers, precision=given.precision),
                )
                seconds = result.train_examples / (result.examples_per_second or 1)  # of an epoch
                if number:  # the first round fills the caches
                    rows.append(
                        {"policy": policy, "round": number, "seconds": seconds, "waiting": result.waiting_share}
                    )
    report(pd.DataFrame(rows))


def report(rows: pd.DataFrame) -> None:
    """Prints the medians over the rounds; ratios are taken within a round."""
    rounds = rows.pivot(index="round", columns="policy", values=["seconds", "waiting"]).astype(float)
    seconds, waiting = rounds["seconds"], rounds["waiting"]
    table = pd.DataFrame({"seconds": seconds.median(), "waiting": waiting.median()})
    if "none" in seconds:
        table["ratio"] = seconds.div(seconds["none"], axis=0).median()
    print(table.loc[rows["policy"].unique()].round(3).to_string())
    if {HEAVIEST, PASSES} <= {*seconds}:
        passes = seconds[PASSES] * (1 - waiting[PASSES])
        print(f"\n{HEAVIEST}: an epoch costs {(seconds[HEAVIEST] / passes).median():.2f} times the teacher's and the")
        print(f"student's own passes; the loop waits {100 * waiting[HEAVIEST].median():.1f} % of it.")


if __name__ == "__main__":
    main()
