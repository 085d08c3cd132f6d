"""`benchmarks/search_policies.py` on a study whose best pipelines are known."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from autodistill.replay import Replay
from tests.records import made_row

WORTH = {"none": 0.0, "mse": 0.1, "cos": 0.2, "ce": 0.3}
"""Objective → what it adds to the score on the rows that report; on those that select `cos` is best."""


@pytest.fixture(name="policies")
def _policies() -> ModuleType:
    return __import__("search_policies")


@pytest.fixture(name="replay")
def _replay(tmp_path: Path) -> Replay:
    rows, curves = [], []
    for dataset in ("a", "b", "c"):
        for objective, worth in WORTH.items():
            identity = f"{dataset}{objective}"
            mapping = "none" if objective == "none" else "skip"
            known = {"identity": identity, "dataset": dataset, "intermediate": objective, "mapping": mapping}
            selecting = 0.5 + worth + 0.2 * (objective == "cos")
            rows.append(made_row(**known, score=0.5 + worth, validation_score=selecting))
            curves += [
                {"identity": identity, "epoch": epoch, "seconds": float(epoch), "score": selecting - 0.1 * (2 - epoch)}
                for epoch in (1, 2)
            ]
    pd.DataFrame(rows).to_csv(tmp_path / "study.csv", index=False)
    pd.DataFrame(curves).to_parquet(tmp_path / "curves.parquet", index=False)
    return Replay.read(tmp_path)


def named(replay: Replay, cell: str, objective: str) -> str:
    return str(replay.pipelines(cell).query(f"intermediate == '{objective}'").index[0])


def test_the_best_on_the_rows_that_select_is_chosen_and_both_kinds_of_rows_judge_it(
    policies: ModuleType, replay: Replay
) -> None:
    cell = replay.cells[0]
    assert policies.best_seen(replay, cell) == named(replay, cell, "cos")
    found = policies.regret_of(replay, cell, named(replay, cell, "cos"))
    assert found["validation_score"] == 0.0
    assert 0.0 < found["score"] < 1.0
    assert policies.regret_of(replay, cell, "") == {"validation_score": 1.0, "score": 1.0}


def test_a_list_has_the_best_after_one_training(policies: ModuleType, replay: Replay) -> None:
    cell = replay.cells[0]
    best = named(replay, cell, "cos")
    others = [name for name in replay.pipelines(cell).index if name != best]
    one = policies.TIMES.index(1.0)
    first, last = (
        [each["validation_score"] for each in policies.regrets(replay, cell, policies.in_order(order), seed=0)]
        for order in ([best, *others], [*others, best])
    )
    assert first[0] == last[0] == 1.0, "nothing has ended after half a training"
    assert first[one] == 0.0
    assert last[one] > 0.0
    assert first[-1] == last[-1] == 0.0


def test_what_is_said_of_a_cell_is_weighted_by_how_right_it_is_on_other_datasets(
    policies: ModuleType, replay: Replay
) -> None:
    names = [*replay.pipelines(replay.cells[0]).index]
    truth = {cell: [replay.result(cell, name) for name in names] for cell in replay.cells}
    right, wrong = replay.cells[:2], replay.cells[2]
    said = {}
    for cell in replay.cells:
        identities = replay.runs.xs(cell, level="cell").identity.reindex(names)
        values = np.array(truth[cell]) * (-1 if cell == wrong else 1)
        said |= dict(zip(identities, values, strict=True))
    found = policies.orders(replay, replay.cells, pd.Series(said))
    assert np.ptp(found[wrong]) > 0, "the others are right"
    for cell in right:
        assert np.ptp(found[cell]) == pytest.approx(0.0), "one is right, one wrong: nothing is trusted"


def test_differences_are_paired_over_datasets(policies: ModuleType) -> None:
    index = pd.MultiIndex.from_product([["ours", "random"], ["a", "b"]], names=["policy", "dataset"])
    values = np.array([[0.1], [0.5], [0.2], [0.6]]) * np.ones((1, len(policies.TIMES)))
    shown = policies.differences(pd.DataFrame(values, index, [*policies.TIMES]))
    assert [*shown.index] == ["random"]
    assert all(cell.startswith("+0.100") for cell in shown.loc["random"])
