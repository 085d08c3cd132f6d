"""One run of a study: its record, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autodistill.study.collect import plan_study
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
