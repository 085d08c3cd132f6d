"""What the runs of a study say: what an objective, a mapping, an augmentation and a teacher add, with intervals.

Runs are compared within cells: one dataset with its rows, one student, one set of rows that report. A difference is
between means over runs that have every other component alike and gold labels of one weight; temperatures, whose values
a study draws anew for each pipeline, and seeds are averaged over. Differences are averaged over a dataset's cells, then
over datasets, whose 95 % interval is that of the mean over datasets (they are drawn again, not runs). Augmented runs
are compared with their twins, which learn from gold labels of the same weight and share even the temperature, and with
those that learn from soft labels alone. Twins were made later, by teachers that were fine-tuned anew, whose scores
differ by half a point; both kinds of run are averaged over their teachers there.

    python benchmarks/findings.py [TABLES] [--rows 300] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from autodistill.history.table import is_pipeline_column
from autodistill.report.findings import mean_over_datasets
from engine.pipeline.training import WITH_AUGMENTATION
from meta_data import FOLDER

ROWS = ["dataset", "n_train", "student", "held_out"]
CELL = [*ROWS, "teacher_score"]
BASELINES = ["student_alone", "bilstm", "linear", "teacher"]
LOSS = ["prediction", "gold"]
"""What is alike in two runs whose objectives are compared; `gold` is the weight of gold labels, of all examples."""
KINDS = ["intermediate", "mapping", "prediction"]
TEMPERATURE = "prediction.temperature"


def differences(runs: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """What is compared, and the differences of score, a cell a row or more."""
    augmented, twins = (runs[of] for of in (runs.augmentation != "none", is_twin(runs)))
    plain = runs[(runs.augmentation == "none") & ~is_twin(runs)]
    vanilla = plain[plain.intermediate == "none"]
    for kind in sorted({*plain.intermediate} - {"none"}):
        yield f"objective {kind} − none", less(plain[plain.intermediate == kind], vanilla, LOSS)
    mapped = plain[plain.mapping != "none"]
    for mapping in sorted({*mapped.mapping}):
        ours = mapped.mapping == mapping
        yield f"mapping {mapping} − the others", less(mapped[ours], mapped[~ours], ["intermediate", *LOSS])
    losses = (plain[plain.prediction == kind] for kind in ("mse", "ce"))
    yield "prediction loss mse − ce", less(*losses, ["intermediate", "mapping", "gold"])
    soft, golden = plain[plain.gold == 0], plain[plain.gold > 0]
    yield "gold labels beside soft − soft alone", less(golden, soft, KINDS)
    for policy in sorted({*augmented.augmentation}):
        own = augmented[augmented.augmentation == policy]
        yield f"augmentation {policy} − its twins", less(own, twins, [*KINDS, TEMPERATURE], ROWS)
    yield "augmentation, any − its twins", less(augmented, twins, [*KINDS, TEMPERATURE], ROWS)
    yield "augmentation, any, with gold labels − none, soft alone", less(augmented, soft, KINDS)
    means = vanilla.groupby(CELL)[["score", *(f"{name}_score" for name in BASELINES[:-1])]].mean()
    means = means.reset_index().set_index("dataset")
    for name in BASELINES:
        yield f"vanilla distillation − {name.replace('_', ' ')}", means.score - means[f"{name}_score"]


def is_twin(runs: pd.DataFrame) -> pd.Series:
    """Which are twins of augmented runs (`study.design.twin_of`): no others without augmentation have this weight."""
    return (runs.augmentation == "none") & (runs["weights.hard_label"] == WITH_AUGMENTATION["hard_label"])


def less(ours: pd.DataFrame, theirs: pd.DataFrame, alike: list[str], cell: list[str] = CELL) -> pd.Series:
    """Mean scores of runs minus those of others, between runs of a cell that have these columns alike."""
    mean, other = (runs.groupby([*cell, *alike], dropna=False).score.mean() for runs in (ours, theirs))
    return mean - other


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
    pipeline = [name for name in map(str, runs) if is_pipeline_column(name)]
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
    gold = runs["weights.hard_label"] + runs["weights.augmented_hard_label"]
    runs = runs.assign(gold=gold)
    found, spread = [*rows(runs)], noise(runs)
    if given.json:
        print(json.dumps({"differences": found, "noise": spread}, indent=1))
        return
    print(pd.DataFrame(found).to_string(index=False, float_format="{:+.2f}".format))
    print(f"\nStandard deviation in points, median: pipelines {spread['pipelines']:.2f}, seeds {spread['seeds']:.2f}.")


if __name__ == "__main__":
    main()
