"""From options to the engine's arguments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.commands.request import (
    DEMO_MODELS,
    Request,
    default_folder,
    models_for,
    options_from,
    read_result,
)
from engine.base.errors import InputError
from engine.base.options import FineTuning
from engine.pipeline.read import load_pipeline


def folder_of(request: Request) -> Path:
    return default_folder(request, load_pipeline(request.pipeline, request.sets), DEMO_MODELS)


def test_the_demo_brings_its_models() -> None:
    assert models_for("demo", None, None) == DEMO_MODELS
    assert models_for("demo", None, "layers:1") == DEMO_MODELS | {"student": "layers:1"}


def test_other_data_need_both_models() -> None:
    with pytest.raises(InputError) as caught:
        models_for("data.csv", None, None)
    assert [problem.place for problem in caught.value.problems] == ["--teacher", "--student"]


def test_the_same_command_comes_back_to_its_folder() -> None:
    request = Request("data/sst2.csv", pipeline="examples/mi_alpha.toml")
    assert folder_of(request) == folder_of(replace(request, student_alone=False))
    assert str(folder_of(request)).startswith("runs/sst2-mi_alpha-")


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"sets": ("intermediate.alpha=0.5",)},
        {"columns": {"max_train": 10}},
        {"fine_tuning": {"epochs": 5}},
        {"options": {"precision": "float32"}},
        {"data": "data/other.csv"},
    ],
    ids=str,
)
def test_another_run_has_another_folder(changed: dict[str, object]) -> None:
    request = Request("data/sst2.csv")
    assert folder_of(replace(request, **changed)) != folder_of(request)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed", [{"student_alone": True}, {"options": {"device": "cpu", "overwrite": True}}]
)
def test_what_does_not_change_the_run_does_not_change_the_folder(changed: dict[str, object]) -> None:
    request = Request("data/sst2.csv")
    assert folder_of(replace(request, **changed)) == folder_of(request)  # type: ignore[arg-type]


def test_options_are_named_as_they_are_typed() -> None:
    with pytest.raises(InputError) as caught:
        options_from(FineTuning, {"epochs": 0, "learning_rate": -1.0, "policy": None})
    assert [problem.place for problem in caught.value.problems] == [
        "--teacher-epochs",
        "--teacher-learning-rate",
    ]


def test_reading_a_damaged_result(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not the record of a run"):
        read_result(tmp_path)
