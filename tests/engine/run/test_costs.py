"""Rehearsals: what they measure, and that they leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from engine import Pipeline
from engine.base.cache import kept
from engine.base.machine import machine_for
from engine.base.options import FineTuning, RunOptions
from engine.models.vocabulary import train_tokenizer
from engine.run.costs import measure_costs
from engine.run.plan import RunPlan, plan_run
from engine.run.result import RunCosts
from engine.run.teacher import Teacher, prepare_teacher
from tests.toys import ROWS, toy_task

KINDS = {
    "plain": {"training": {"batch_size": 4}},
    "mse": {"training": {"batch_size": 4}, "intermediate": {"kind": "mse"}},
    "mi_alpha": {"training": {"batch_size": 4}, "intermediate": {"kind": "mi_alpha"}, "mapping": {"kind": "emd"}},
}


def costs_of(name: str, folder: Path) -> tuple[RunCosts, RunPlan, Teacher]:
    task = toy_task(name, rows=60, held_out=30)
    machine = machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(folder)))
    plans = {
        kind: plan_run(
            task,
            Pipeline.model_validate(spec if name != "regression" else spec | {"prediction": {"kind": "mse"}}),
            "scratch:layers=2,hidden=32,heads=2",
            "layers:1",
            fine_tuning=FineTuning(epochs=1),
        )
        for kind, spec in KINDS.items()
    }
    plan = plans["plain"]
    teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    weights = {key: value.clone() for key, value in teacher.model.state_dict().items()}
    found = measure_costs(plans, teacher, machine)
    for key, value in teacher.model.state_dict().items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)
    return found, plan, teacher


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_of_task_and_step_is_measured(tmp_path: Path, name: str) -> None:
    found, _, _ = costs_of(name, tmp_path)
    assert set(found.step_seconds) == set(KINDS)
    assert all(seconds > 0 for seconds in found.step_seconds.values())
    assert found.signal_seconds > 0
    assert found.language_model_seconds == 0
    assert found.evaluation_seconds > 0
    assert 0 < found.parameters < found.teacher_parameters
    assert found.latency_ms > 0
    assert found.steps_per_epoch >= 15  # 60 rows of 4; windows may add some


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    costs_of("single", tmp_path / "cache")
    assert list((tmp_path / "here").iterdir()) == []


def test_the_language_model_is_timed_and_not_trained(tmp_path: Path) -> None:
    """The run that needs it trains it; a vocabulary, which is that of all texts, is all that is kept."""
    task = toy_task("single", rows=200, held_out=30)
    machine = machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path / "cache")))
    pipeline = Pipeline.model_validate({"augmentation": "contextual", "training": {"batch_size": 4, "epochs": 1}})
    plan = plan_run(task, pipeline, "scratch:layers=2,hidden=32,heads=2", "layers:1", fine_tuning=FineTuning(epochs=1))
    teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    found = measure_costs({"augmented": plan}, teacher, machine)
    assert found.language_model_seconds > 0
    assert not (tmp_path / "cache" / "language_models").exists()
    (vocabulary,) = [path for path in (tmp_path / "cache" / "vocabularies").iterdir() if path.is_dir()]
    assert vocabulary == kept(tmp_path / "cache", "vocabularies", task.fingerprint)
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    assert tokenizer.get_vocab() == train_tokenizer(task).get_vocab()
