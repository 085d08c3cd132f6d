"""Training on gold labels: it is done once for a dataset, and what makes another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.base.machine import Machine
from engine.base.options import FineTuning, RunOptions
from engine.evaluation.inference import encode_held_out, measured_on
from engine.evaluation.intervals import Measures
from engine.models.load import build, for_task
from engine.pipeline.training import Training
from engine.run.fine_tuning import fine_tune, gold_scores
from tests.engine.conftest import Ear
from tests.engine.runs import LEARNED, TRAINING, Finished, again, small
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task


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
    kept = [path.name for path in (options.cache / "gold_scores").iterdir() if path.is_dir()]
    assert len(kept) == 1 + len(different)
    assert not [name for name in kept if name.endswith(".work")]


@pytest.mark.parametrize("kind", ["single", "tagging"])
def test_a_model_is_left_with_its_best_weights(kind: str, machine: Machine, tmp_path: Path) -> None:
    """The scores that are given are those of the weights that are left, also on the second held-out set."""
    task = toy_task(kind, rows=48, held_out=24)
    task = replace(task, validation={**task.validation, "again": task.train})
    model = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    training = Training(epochs=3, batch_size=8, learning_rate=3e-3).for_task(task)
    measures = fine_tune("teacher", (model, wordpiece()), task, training, 0, tmp_path, machine)
    held_out = encode_held_out(task, wordpiece(), training)
    assert measures == measured_on(model, task, held_out, machine.accelerator)
    assert list(measures) == ["validation", "again"]
    assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_scores_that_are_known_are_not_computed_again(machine: Machine, ear: Ear) -> None:
    task = toy_task("single", rows=24, held_out=8)
    training = Training(epochs=1, batch_size=8).for_task(task, width=16)

    def scores(key: str) -> Measures:
        start = build(for_task(tiny_config(), task, wordpiece()), task.kind, 0), wordpiece()
        return gold_scores("student alone", start, task, training, 0, key, machine)

    first = scores("one")
    trained = ear.advanced["student alone"]
    assert scores("one") == first
    assert ear.advanced["student alone"] == trained == 3
    assert scores("another") == first  # the same training under another key is done again
    assert ear.advanced["student alone"] == 2 * trained
