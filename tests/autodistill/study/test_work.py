"""One run of a study: its record, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.study.executors import local
from autodistill.study.planning import plan_study
from autodistill.study.work import carry_out
from engine.base.errors import NonFiniteLossError, RunError
from engine.run.result import RunResult
from tests.autodistill.study.conftest import a_study, options


def test_a_job_is_the_run_that_it_says(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "pair", rows=[20])
    job = plan_study(study, "float32").jobs[1]
    outcome = carry_out(job, study, options(tmp_path), tmp_path / "runs")
    result = RunResult.parse(outcome.record)
    assert (outcome.reason, outcome.identity) == ("", job.identity)
    assert (result.identity, result.train_examples, result.seed) == (job.identity, 20, job.seed)
    assert result.split == "test"
    assert result.scores.keys() >= {"teacher", "student", "bilstm"}
    assert carry_out(job, study, options(tmp_path), tmp_path / "runs").record == outcome.record


def test_data_that_are_gone(data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "single")
    job = plan_study(study, "float32").jobs[0]
    gone = replace(job, source=job.source.model_copy(update={"data": "gone"}))
    outcome = carry_out(gone, study, options(tmp_path), tmp_path / "runs")
    assert outcome.record == ""
    assert "gone" in outcome.reason


@pytest.mark.parametrize("error", [NonFiniteLossError(3, "prediction"), RunError("the disk is full")], ids=str)
def test_a_failure_is_a_record_or_a_reason(
    error: RunError, data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine.distillation.train_student", fail)
    study = a_study(data, "tagging")
    job = plan_study(study, "float32").jobs[0]
    outcome = carry_out(job, study, options(tmp_path), tmp_path / "runs")
    result = RunResult.parse(outcome.record)
    assert (result.status, result.reason) == ("failed", str(error))


def test_what_nobody_foresaw_is_a_reason(data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("engine.distillation.train_student", fail)
    study = a_study(data, "single")
    outcome = carry_out(plan_study(study, "float32").jobs[0], study, options(tmp_path), tmp_path / "runs")
    assert (outcome.record, outcome.reason) == ("", "ZeroDivisionError: by nothing")


@pytest.mark.parametrize("augmentation", ["contextual", "random", "mixup"])
def test_augmented_in_a_process_of_a_pool(augmentation: str, data: dict[str, str], tmp_path: Path) -> None:
    study = a_study(data, "single", rows=[20], design={"core": 1, "repeated": 0.0})
    job = plan_study(study, "float32").jobs[0]
    job = replace(job, pipeline=job.pipeline | {"augmentation": augmentation, "weights": {}})
    with local(1, 1).make() as executor:
        outcome = executor.submit(carry_out, job, study, options(tmp_path), tmp_path / "runs").result()
    assert outcome.reason == ""
    assert RunResult.parse(outcome.record).status == "ok"
