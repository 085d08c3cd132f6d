"""The record of a run is read as it was written, also by later versions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.base.errors import InputError
from engine.run.layouts import LAYOUT
from engine.run.record import now
from engine.run.result import RunResult
from tests.records import made_record
from tests.toys import toy_task

FIRST = {
    "status": "ok",
    "identity": "0",
    "task": "sst2",
    "task_kind": "classification",
    "dataset_fingerprint": "1",
    "labels": ["bad", "good"],
    "train_examples": 1234,
    "teacher": "big",
    "student": "small",
    "pipeline": {},
    "seed": 0,
    "metric": "accuracy",
    "student_score": 0.81,
    "parameters": 14_350_000,
    "stage_seconds": {"student": 2.5},
}
"""As the first version wrote it, without the fields that came later."""


def test_an_older_record(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(FIRST), encoding="utf-8")
    result = RunResult.read(tmp_path)
    assert {key: value for key, value in result.model_dump().items() if key in FIRST} == FIRST
    later = ("layers", "hidden_size", "teacher_layers", "teacher_hidden_size", "finished_at")
    assert [getattr(result, key) for key in later] == [None] * len(later)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    result = RunResult.model_validate(FIRST | {"status": "pruned", "layers": 3, "finished_at": now()})
    (tmp_path / "result.json").write_text(result.to_json(), encoding="utf-8")
    assert RunResult.read(tmp_path) == result


OLD = FIRST | {
    "baseline_score": 0.7,
    "scores": {"student": {"validation": {"accuracy": 0.8}}, "baseline": {"validation": {"accuracy": 0.7}}},
    "stage_seconds": {"baseline": 1.5, "student": 2.5},
    "pipeline": {"teacher": {"policy": "average", "members": ["other"]}, "training": {"epochs": 3}},
    "team": {"members": [{"name": "big", "parameters": 9, "scores": {"validation": {"accuracy": 0.9}}}]},
}
"""With all keys that were renamed since."""


def test_a_record_of_the_first_layout_is_read_under_todays_names(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(OLD), encoding="utf-8")
    result = RunResult.read(tmp_path)
    assert result.layout == LAYOUT
    assert result.student_alone_score == 0.7
    assert result.scores["student_alone"] == {"validation": {"accuracy": 0.7}}
    assert result.stage_seconds == {"student_alone": 1.5, "student": 2.5}
    assert result.pipeline == {"team": {"kind": "average", "members": ["other"]}, "training": {"epochs": 3}}
    assert [teacher.name for teacher in result.team.teachers] == ["big"]
    assert (result.split, result.selected_on, result.ratio_interval) == ("validation", "validation", None)
    assert result.split_in_words == "validation (also used to select)"
    assert RunResult.parse(result.to_json()) == result


SECOND = FIRST | {"layout": 2, "scores": {"student": {"matched": {"accuracy": 0.81}, "other": {"accuracy": 0.7}}}}


def test_a_record_of_the_second_layout_was_selected_on_what_it_reports(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(SECOND), encoding="utf-8")
    result = RunResult.read(tmp_path)
    assert (result.split, result.selected_on, result.layout) == ("matched", "matched", LAYOUT)
    assert (result.on_split("student"), result.selection_score) == ({"accuracy": 0.81}, 0.81)


def test_a_run_reports_on_the_same_rows() -> None:
    """Whatever else it learnt from and measured; a record of before knows only whether all is the same."""
    task = replace(toy_task("single"), held_out_fingerprint="rows")
    assert made_record(held_out_fingerprint="rows", dataset_fingerprint="with texts").reports_on(task)
    assert not made_record(held_out_fingerprint="others", dataset_fingerprint=task.fingerprint).reports_on(task)
    assert made_record(dataset_fingerprint=task.fingerprint).reports_on(task)
    assert not made_record(dataset_fingerprint="with texts").reports_on(task)


def test_a_record_that_lacks_its_own_metric_has_no_score() -> None:
    history = [{"scores": {"accuracy": 0.5}}]
    assert made_record(metric="evil.py:f", history=history, best_epoch=1).selection_score is None


def test_what_selects_is_the_best_epoch_of_the_set_that_selects() -> None:
    history = [{"epoch": epoch, "scores": {"accuracy": score}} for epoch, score in ((1, 0.6), (2, 0.7), (3, 0.65))]
    more = {"history": history, "best_epoch": 2, "split": "test", "selected_on": "validation"}
    result = RunResult.model_validate(FIRST | {"layout": LAYOUT} | more)
    assert (result.selection_score, result.student_score, result.split_in_words) == (0.7, 0.81, "test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"pipeline": {"training": 1}},
        {"pipeline": {"training": {"max_length": "long"}}},
        {"scores": 0.9},
        {"scores": None},
        {"pipeline": None},
        {"team": [1]},
        {"layout": "2"},
        {"layout": None},
    ],
    ids=str,
)
def test_a_foreign_record_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(FIRST | wrong), encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json: not the record of a run"):
        RunResult.read(tmp_path)


@pytest.mark.parametrize(
    "manner, words",
    [
        (os.mkfifo, "a file is needed; got a pipe"),
        (os.mkdir, "a file is needed; got a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "a file is needed; got a device"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read: no such file"),
    ],
)
def test_what_is_no_file_is_no_absent_record(manner: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    """A finished run was taken for one that is not, or for none."""
    manner(tmp_path / "result.json")
    with pytest.raises(InputError, match=rf"result\.json: {words}"):
        RunResult.read(tmp_path)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(FIRST | {"layout": LAYOUT + 1}), encoding="utf-8")
    with pytest.raises(InputError, match="written by a newer version"):
        RunResult.read(tmp_path)
