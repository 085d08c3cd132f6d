"""Training on gold labels: it is done once for a dataset, and what makes another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.base.options import FineTuning, RunOptions
from tests.engine.runs import LEARNED, TRAINING, Finished, again, small
from tests.toys import toy_task


def test_the_baseline_is_trained_once_for_all_pipelines(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, ear
) -> None:
    run = finished("pair")
    results = []
    for number, prediction in enumerate(("mse", "ce")):
        pipeline = {"prediction": {"kind": prediction}, "training": TRAINING}
        results.append(again(run, warm, tmp_path / str(number), ear, pipeline=pipeline, student_alone=True))
    assert ear.advanced["student alone"] == 6 * 24
    assert results[0].student_alone_score == results[1].student_alone_score > LEARNED["pair"]
    assert results[0].scores["student_alone"]["validation"]["accuracy"] == results[0].student_alone_score
    assert (
        f"without a teacher reaches {results[0].student_alone_score:.4f}" in (tmp_path / "0" / "README.md").read_text()
    )


def test_what_makes_another_baseline(options: RunOptions, tmp_path: Path) -> None:
    other_teacher = FineTuning(epochs=1, learning_rate=1e-3, seed=1)
    training = TRAINING | {"epochs": 1}
    same: list[dict[str, Any]] = [{}, {"pipeline": {"prediction": {"kind": "mse"}, "training": training}}]
    different: list[dict[str, Any]] = [
        {"student": "layers:1"},
        {"student": "layers:1", "fine_tuning": other_teacher},
        {"seed": 1},
        {"pipeline": {"training": training | {"warmup": 0.5}}},
        {"data": toy_task("single", rows=24, held_out=8, seed=1)},
    ]
    for number, case in enumerate(same + different):
        small(options, tmp_path / str(number), student_alone=True, **case)
    assert len([*(options.cache / "gold_scores").glob("*.json")]) == 1 + len(different)
    assert not [*(options.cache / "gold_scores").glob("*.work")]
