"""From what was typed to one request, and what is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autodistill.commands.request import (
    DEPTH,
    SCRATCH,
    default_folder,
    fields_of,
    folder_word,
    limits_of,
    request_from,
    training_alone,
)
from autodistill.recommend.request import Limits, Request
from engine.base.errors import InputError
from engine.pipeline.read import load_pipeline
from tests.toys import save_tiny, toy_task


def folder_of(data: str = "data/sst2.csv", source: str = "mi_alpha", **typed: Any) -> Path:
    pipeline = load_pipeline(source, typed.pop("set", ()))
    models = {"teacher": "big", "students": ("small",)}
    request = fields_of({"data": data, **typed}).model_copy(update={"pipeline": pipeline, **models})
    return default_folder(request, source)


def demo(folder: Path, **typed: Any) -> Request:
    return request_from({"data": "demo", "teacher": None, "student": None, "cache_dir": str(folder)} | typed)


def test_the_demo_brings_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    monkeypatch.setattr("autodistill.commands.request.packaged_encoder", lambda cache: model)
    save_tiny(model, toy_task("single"))
    request = demo(tmp_path)
    assert (request.teacher, request.students) == (str(model), (DEPTH,))
    assert not any("from scratch" in note for note in request.task.notes)
    assert demo(tmp_path, student="layers:1").students == ("layers:1",)
    named = demo(tmp_path, teacher="scratch:layers=2,hidden=32")
    assert (named.teacher, named.students) == ("scratch:layers=2,hidden=32", (SCRATCH["student"],))


def test_without_its_teacher_the_demo_starts_from_scratch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.base.packaged.WHEEL", "no-such-wheel")
    request = demo(tmp_path)
    assert (request.teacher, request.students) == (SCRATCH["teacher"], (SCRATCH["student"],))
    assert request.task.notes[-1] == (
        "the demo's models start from scratch: the package no-such-wheel is not installed"
    )
    named = demo(tmp_path, teacher="scratch:layers=2,hidden=32", student="layers:1")
    assert not any("from scratch" in note for note in named.task.notes)


def test_other_data_need_both_models_and_each_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 9, "utf-8")
    typed = {"data": str(tmp_path / "reviews.csv"), "teacher": None}
    with pytest.raises(InputError) as caught:
        request_from({**typed, "student": None})
    assert [problem.place for problem in caught.value.problems] == ["--teacher", "--student"]
    with pytest.raises(InputError) as caught:
        request_from({**typed, "students": ["layers:1", "layers:2"]})
    assert [problem.place for problem in caught.value.problems] == ["--teacher"]


def test_the_same_command_comes_back_to_its_folder() -> None:
    folder = folder_of(source="examples/mi_alpha.toml")
    assert folder == folder_of(source="examples/mi_alpha.toml", student_alone=True)
    assert str(folder).startswith("runs/sst2-mi_alpha-")


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"set": ("intermediate.alpha=0.5",)},
        {"max_train": 10},
        {"teacher_epochs": 5},
        {"precision": "float32"},
        {"int8_teacher": True},
        {"data": "data/other.csv"},
    ],
    ids=str,
)
def test_another_run_has_another_folder(changed: dict[str, Any]) -> None:
    assert folder_of(**changed) != folder_of()


@pytest.mark.parametrize("changed", [{"student_alone": True}, {"device": "cpu", "overwrite": True}], ids=str)
def test_what_does_not_change_the_run_does_not_change_the_folder(changed: dict[str, Any]) -> None:
    assert folder_of(**changed) == folder_of()


def test_options_are_named_as_they_are_typed() -> None:
    with pytest.raises(InputError) as caught:
        fields_of({"teacher_epochs": 0, "teacher_learning_rate": -1.0, "fine_tune": None})
    assert [problem.place for problem in caught.value.problems] == ["--teacher-epochs", "--teacher-learning-rate"]


@pytest.mark.parametrize(
    ("typed", "limits"),
    [
        ({}, Limits()),
        ({"seconds": "90"}, Limits(seconds=90)),
        ({"seconds": "1h30m"}, Limits(seconds=5400)),
        ({"parameters": "500k"}, Limits(parameters=500_000)),
        ({"parameters": "1.5G"}, Limits(parameters=1.5e9)),
        ({"latency_ms": "5"}, Limits(latency_ms=5)),
        ({"latency_ms": "2.5ms"}, Limits(latency_ms=2.5)),
    ],
)
def test_limits(typed: dict[str, str], limits: Limits) -> None:
    assert limits_of(typed) == limits


@pytest.mark.parametrize("text", ["", "soon", "-3", "0", "nan", "3 parsecs", "1,5h", "300000d", "12:30:00", "5 m 3"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(InputError) as caught:
        fields_of({"max_time": text, "max_params": text, "max_latency": text, "budget": text})
    places = [problem.place for problem in caught.value.problems]
    assert places == ["--max-time", "--max-params", "--max-latency", "--budget"]


def test_only_the_training_can_be_set() -> None:
    assert training_alone(["training.epochs=3"]).training.epochs == 3
    with pytest.raises(InputError, match="only training can be set"):
        training_alone(["prediction.kind=mse"])


def test_all_that_is_wrong_is_said_at_once() -> None:
    typed = {
        "data": "data.csv",
        "teacher": None,
        "students": ["layers:0"],
        "budget": "x",
        "predictor": "rigde",
        "teacher_epochs": 0,
    }
    with pytest.raises(InputError) as caught:
        request_from(typed, lambda: training_alone(["prediction.kind=mse"]))
    places = [problem.place for problem in caught.value.problems]
    assert {"--teacher", "--student", "--budget", "--set", "--predictor", "--teacher-epochs", "data.csv"} <= {*places}
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("data", ["..", ".", "../", "./", "../films", "../films/", "../films/train/..", "~/x/.."])
def test_a_folder_is_named_after_the_data(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`recommend ..` wrote into `runs/..`, which is where it was called."""
    home = tmp_path / "films" / "films"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    assert folder_word(data) == "films"


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "好" * 200, "...", "/", "a\nb\x1b", "\udcff"])
def test_any_name_makes_a_folder(name: str) -> None:
    word = folder_word(name)
    assert 0 < len(word.encode()) <= 80
    assert word.isprintable()
    assert not word.startswith(".")
