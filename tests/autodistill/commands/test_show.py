"""What a person sees of results, recommendations and evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.pipeline.presets import PRESETS
from engine.pipeline.read import load_pipeline
from engine.run.result import RunResult
from tests.command_line import Answer


def a_result(**more: Any) -> RunResult:
    usual: dict[str, Any] = {
        "status": "ok",
        "identity": "0",
        "task": "sst2",
        "task_kind": "classification",
        "dataset_fingerprint": "1",
        "labels": ["bad", "good"],
        "train_examples": 1234,
        "teacher": "big",
        "student": "small",
        "pipeline": PRESETS["tinybert"].pipeline.model_dump(),
        "seed": 0,
        "metric": "accuracy",
        "teacher_score": 0.9,
        "student_score": 0.81,
        "distillation_ratio": 0.9,
        "scores": {"teacher": {"validation": {"accuracy": 0.9}}, "student": {"validation": {"accuracy": 0.81}}},
        "warnings": ["The teacher is hardly better than a coin."],
        "parameters": 14_350_000,
    }
    return RunResult(**(usual | more))


def test_show_a_run(tmp_path: Path) -> None:
    result = a_result()
    (tmp_path / "result.json").write_text(result.to_json(), encoding="utf-8")
    shown = Answer("show", str(tmp_path)).out
    for part in ("0.9000", "0.8100", "14.3 M", "distillation ratio (accuracy", "warning: The teacher is hardly"):
        assert part in shown
    assert json.loads(Answer("show", str(tmp_path), "--json").out)["student_score"] == 0.81


def test_show_a_run_that_was_stopped(tmp_path: Path) -> None:
    pipeline = load_pipeline("tinybert", ["training.epochs=6"]).model_dump()
    stopped = a_result(status="pruned", pipeline=pipeline, best_epoch=1, history=[{}, {}])
    (tmp_path / "result.json").write_text(stopped.to_json(), encoding="utf-8")
    shown = Answer("show", str(tmp_path)).out
    assert "stopped after epoch 2 of 6; scores are of the best one so far (epoch 1)" in shown
    assert "distillation ratio (accuracy, student / teacher): 0.9000" in shown
