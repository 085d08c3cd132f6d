"""Runs that fail, are interrupted, or mean little: what is left, and what is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autodistill.commands import look
from engine import distill
from engine.base.errors import InputError, NonFiniteLossError, RunError
from engine.base.options import FineTuning, RunOptions
from engine.run.result import RunResult
from engine.signals import signals
from tests.engine.runs import TEACHER, TRAINING, Finished, again, small
from tests.records import lasting
from tests.toys import toy_task


def test_a_run_that_fails_is_recorded_as_failed(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path
) -> None:
    run = finished("single")
    training = TRAINING | {"learning_rate": 1e30}
    with pytest.raises(RunError) as caught:
        again(run, warm, tmp_path / "run", pipeline=run.result.pipeline | {"training": training})
    record = RunResult.read(tmp_path / "run")
    assert (record.status, record.reason) == ("failed", str(caught.value))
    assert record.student_score is record.distillation_ratio is None
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result.json"]
    with pytest.raises(InputError, match="holds another run"):
        again(run, warm, tmp_path / "run", pipeline={"training": TRAINING | {"epochs": 1}})
    options = warm.model_copy(update={"overwrite": True})
    assert again(run, options, tmp_path / "run", pipeline={"training": TRAINING | {"epochs": 1}}).status == "ok"


def test_an_interrupted_run_goes_on(options: RunOptions, tmp_path: Path, ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C, in each of the stages."""
    expected = small(options.model_copy(update={"cache_dir": str(tmp_path / "other")}), tmp_path / "whole")
    for stage in ("teacher", "teacher signals", "student"):
        with monkeypatch.context() as patch:

            def interrupt(name: str, *_: object, now: str = stage, **__: object) -> None:
                if name == now:
                    raise KeyboardInterrupt

            patch.setattr(ear, "advance", interrupt)
            with pytest.raises(KeyboardInterrupt):
                small(options, tmp_path / "run", reporter=ear)
        assert RunResult.read(tmp_path / "run") is None
    result = small(options, tmp_path / "run")
    assert lasting(result.model_dump()) == lasting(expected.model_dump())
    assert not (tmp_path / "run" / ".work").exists()


def test_an_unfinished_run_says_how_far_it_is(options: RunOptions, tmp_path: Path, ear, ctrl_c) -> None:
    pauses = ear.advance

    def press(stage: str, count: int = 1, note: str = "") -> None:
        pauses(stage, count, note)
        if stage == "student" and ear.advanced[stage] == 5:
            ctrl_c()

    ear.advance = press
    training = {"epochs": 3, "batch_size": 8}
    with pytest.raises(KeyboardInterrupt):
        small(options, tmp_path / "run", reporter=ear, pipeline={"training": training})
    shown = look.show({"shown": str(tmp_path / "run"), "format": "toml", "set": None}, ear)
    assert shown.record["under_way"]["student"]["step"] == 5  # three steps an epoch
    first, second, _ = shown.lines
    assert first == "This run is not finished; done: teacher, signals."
    assert second.startswith("student: 1 of 3 epochs, 5 steps; the best so far is epoch 1 with ")
    assert small(options, tmp_path / "run", pipeline={"training": training}).status == "ok"


def test_a_poisoned_teacher(
    finished: Callable[[str], Finished], options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("single")
    forward = signals.forward

    def poisoned(*arguments: Any) -> Any:
        said = forward(*arguments)
        said.logits[0] = math.nan
        return said

    monkeypatch.setattr(signals, "forward", poisoned)
    with pytest.raises(NonFiniteLossError, match="the prediction loss is not a finite number at step") as caught:
        again(run, options, tmp_path / "run", fine_tuning=FineTuning(epochs=1))
    assert caught.value.step >= 1
    assert "prediction" in RunResult.read(tmp_path / "run").reason


def test_nothing_is_written_before_the_input_is_checked(options: RunOptions, tmp_path: Path) -> None:
    pipeline = {"prediction": {"kind": "ce"}}
    with pytest.raises(InputError, match="prediction.kind"):
        distill(
            toy_task("regression"),
            teacher=TEACHER,
            student="layers:1",
            pipeline=pipeline,
            out=tmp_path / "out",
            options=options,
        )
    assert not (tmp_path / "out").exists()
    assert not options.cache.exists()
