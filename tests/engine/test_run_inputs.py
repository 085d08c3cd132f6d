"""Runs from other ways in: files, and tasks made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.base.options import RunOptions
from tests.engine.runs import small
from tests.toys import toy_task


def test_a_file_and_its_columns(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("single", rows=60)
    rows = task.train.to_pandas().rename(columns={"text": "review", "label": "stars"})
    rows["stars"] = rows["stars"].map(lambda index: task.labels[index])
    rows.to_csv(tmp_path / "reviews.csv", index=False)
    columns = {"text": "review", "label": "stars", "metric": "f1_macro"}
    result = small(options, tmp_path / "out", data=tmp_path / "reviews.csv", **columns)
    assert (result.task, result.task_kind, result.metric) == ("reviews", "classification", "f1_macro")
    assert result.labels == ["bad", "dull", "good"]


def test_tasks_made_by_hand_are_told_apart(options: RunOptions, tmp_path: Path) -> None:
    keys = set()
    for seed in (0, 1, 1):
        task = replace(toy_task("single", rows=16, held_out=8, seed=seed), fingerprint="")
        result = small(options, tmp_path / f"out{len(keys)}{seed}", data=task)
        keys.add((result.dataset_fingerprint, result.identity))
        assert result.dataset_fingerprint
    assert len(keys) == 2
    assert len([*(options.cache / "teachers").glob("*/teacher.json")]) == 2


def test_a_student_without_layers_has_a_usual_pipeline_too(options: RunOptions, tmp_path: Path) -> None:
    result = small(options, tmp_path / "out", student="static", pipeline=None)
    assert result.status == "ok"
    assert result.pipeline["intermediate"]["kind"] == result.pipeline["mapping"]["kind"] == "none"
