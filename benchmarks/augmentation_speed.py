"""What each augmentation operator costs: seconds of an epoch beside none, and the share that the loop waits.

All policies are trained in turn, in rounds, in one process, so that their ratios hold where the machine's
speed does not. Evaluation is not counted.

    python benchmarks/augmentation_speed.py DATA --teacher MODEL [--rounds 3] [--translators THERE BACK]

With two Marian models back_translation is timed too, as it is once every text has been translated: later
epochs, and later pipelines, read translations from the cache.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from engine import RunOptions, distill

POLICIES = ("none", "mixup", "random", "random+mixup", "contextual", "contextual+random+mixup")
ROWS, EPOCHS = 1000, 4


def main() -> None:
    """Prints the medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="scratch:layers=2,hidden=128")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--translators", nargs=2, metavar=("THERE", "BACK"))
    parser.add_argument("--cache-dir")
    given = parser.parse_args()
    policies: dict[str, object] = dict(zip(POLICIES, POLICIES, strict=True))
    if given.translators:
        there, back = given.translators
        policies["back_translation"] = [{"kind": "back_translation", "there": there, "back": back}]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds + 1):
            for policy, operators in policies.items():
                result = distill(
                    given.data,
                    teacher=given.teacher,
                    student=given.student,
                    pipeline={"augmentation": operators, "training": {"epochs": EPOCHS}},
                    out=Path(folder, f"{policy}-{number}"),
                    max_train=ROWS,
                    max_validation=50,
                    options=RunOptions(cache_dir=given.cache_dir or f"{folder}/cache", workers=given.workers),
                )
                seconds = result.train_examples / (result.examples_per_second or 1)  # of an epoch
                if number:  # the first round fills the caches
                    rows.append({"policy": policy, "seconds": seconds, "waiting": result.waiting_share})
    table = pd.DataFrame(rows).groupby("policy", sort=False).median()
    print(table.assign(ratio=table.seconds / table.seconds["none"]).round(3).to_string())


if __name__ == "__main__":
    main()
