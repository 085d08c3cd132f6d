"""Runs that stop after an epoch and go on later: they end alike, and the record says how far they came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.base.errors import InputError, RunError
from engine.base.options import RunOptions
from engine.run.result import RunResult
from tests.engine.conftest import options_with
from tests.engine.runs import MI_ALPHA, TRAINING, assert_same_end, small
from tests.records import TIMES, lasting
from tests.toys import toy_task

LONGER = TRAINING | {"epochs": 4, "learning_rate": 2e-2}
PIPELINE = {"intermediate": MI_ALPHA, "mapping": {"kind": "emd"}, "training": LONGER}
"""A critic, the state of a transport, and the dropout of models from scratch."""
SEED = 3
"""With it the best epoch lies between pauses."""

Run = Callable[..., RunResult]


@pytest.fixture
def run(options: RunOptions, tmp_path: Path) -> Run:
    """Calls for the same run in the same folder; only how far it goes differs."""

    def call(until_epoch: int | None = None, **more: object) -> RunResult:
        return small(options, tmp_path / "run", pipeline=PIPELINE, until_epoch=until_epoch, **({"seed": SEED} | more))

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that never paused."""
    folder = tmp_path_factory.mktemp("whole")
    result = small(options_with(folder / "cache"), folder / "run", pipeline=PIPELINE, seed=SEED)
    assert result.best_epoch == 3  # so the saved weights come from after some pauses and before others
    return folder / "run"


@pytest.mark.parametrize("pauses", [[2], [1, 3], [1, 2, 3], [3, 2]], ids=str)
def test_going_on_is_as_if_it_had_never_paused(pauses: list[int], run: Run, whole: Path, tmp_path: Path) -> None:
    for epoch in pauses:
        assert run(epoch).status == "pruned"
    assert run().status == "ok"
    assert_same_end(tmp_path / "run", whole)


@pytest.mark.parametrize("student", ["lstm:hidden=8", "static"])
@pytest.mark.parametrize("augmentation", ["none", "random+mixup"])
def test_students_that_are_no_transformers_go_on_too(
    student: str, augmentation: str, options: RunOptions, tmp_path: Path
) -> None:
    pipeline = {"augmentation": augmentation, "training": LONGER}
    ends = {name: {"out": tmp_path / name, "student": student, "pipeline": pipeline} for name in ("whole", "paused")}
    assert small(options, **ends["whole"]).status == "ok"
    other = options.model_copy(update={"cache_dir": str(tmp_path / "other")})
    for epoch in (1, 3):
        assert small(other, **ends["paused"], until_epoch=epoch).status == "pruned"
    assert small(other, **ends["paused"]).status == "ok"
    assert_same_end(tmp_path / "paused", tmp_path / "whole")


def test_the_record_of_a_pause(run: Run, whole: Path, tmp_path: Path) -> None:
    expected, result = RunResult.read(whole), run(2)
    assert RunResult.read(tmp_path / "run") == result
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"result.json", ".work"}
    assert result.history == expected.history[:2]
    reached = [entry["scores"]["accuracy"] for entry in result.history]
    assert result.student_score == max(reached) == reached[result.best_epoch - 1]
    assert result.distillation_ratio == result.student_score / expected.teacher_score
    assert {"teacher", "signals", "student", "measuring"} == result.stage_seconds.keys()
    assert result.seconds == sum(result.stage_seconds.values()) > 0
    known, found = lasting(expected.model_dump()), lasting(result.model_dump())
    of_the_end = {"status", "paused_after", "history", "scores", "student_score", "distillation_ratio", "best_epoch"}
    of_the_end |= {"intervals", "ratio_interval", "lead_intervals", "classes", "confusion", "verdict", "files"}
    of_the_end |= {"agreement", "calibration_error"}
    assert {key for key in known if known[key] != found[key]} <= of_the_end
    speeds = {"latency_ms", "teacher_latency_ms", "throughput", "teacher_throughput"}
    assert {key for key in TIMES if getattr(result, key) is None} == speeds


def test_the_training_is_not_repeated(run: Run, ear) -> None:
    steps = []
    for epoch in (2, None):
        run(epoch, reporter=ear)
        steps.append([(total, done) for stage, total, done, _ in ear.stages if stage == "student"])
    assert steps == [[(6, 0)], [(6, 0), (12, 6)]]
    assert ear.advanced["student"] == 12
    assert ear.advanced["teacher"] == 2


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_pause_that_was_reached_is_not_repeated(epoch: int, run: Run, ear) -> None:
    paused = run(2)
    assert run(epoch, reporter=ear) == paused
    assert not ear.stages
    assert ear.messages[-1].startswith("This run pauses after epoch 2: its result is in")


@pytest.mark.parametrize("epoch", [4, 5])
def test_a_shorter_training_simply_finishes(epoch: int, run: Run, whole: Path, tmp_path: Path) -> None:
    assert run(epoch).status == "ok"
    assert_same_end(tmp_path / "run", whole)
    assert run(1).status == "ok"


def test_stopped_between_two_pauses(run: Run, whole: Path, tmp_path: Path, ear, monkeypatch) -> None:
    """As by Ctrl-C; the record of the pause stays until the next one."""
    paused, advance = run(1), ear.advance

    def interrupt(stage: str, *more: object, **others: object) -> None:
        advance(stage, *more, **others)
        if ear.advanced.get("student") == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(ear, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(3, reporter=ear)
    assert RunResult.read(tmp_path / "run") == paused
    assert len(run(3).history) == 3
    run()
    assert_same_end(tmp_path / "run", whole)


def test_a_pause_scores_the_first_held_out_set_alone(options: RunOptions, tmp_path: Path, ear) -> None:
    task = toy_task("single", rows=24, held_out=8)
    other = toy_task("single", rows=8, held_out=1, seed=1).train
    task = replace(task, validation={**task.validation, "other": other})
    more = {"data": task, "pipeline": {"training": TRAINING | {"epochs": 2}}}
    paused, ended = (small(options, tmp_path / "run", until_epoch=epoch, **more) for epoch in (1, None))
    assert [*paused.scores["teacher"]] == [*ended.scores["student"]] == ["validation", "other"]
    assert [*paused.scores["student"]] == ["validation"]


def test_a_baseline_in_a_pause(run: Run, ear, monkeypatch, tmp_path: Path) -> None:
    """One that fails leaves the pause; one that comes is added without another epoch."""
    paused = run(1)
    with monkeypatch.context() as patch, pytest.raises(RunError, match="out of luck"):

        def fail(*_: object) -> None:
            raise RunError("out of luck")

        patch.setattr("engine.distillation.student_alone_scores", fail)
        run(1, student_alone=True)
    assert RunResult.read(tmp_path / "run") == paused
    student_alone = run(1, student_alone=True, reporter=ear)
    assert student_alone.student_alone_score is not None
    assert student_alone.history == paused.history
    assert ear.worked.keys() == {"student alone"}
    assert run().student_alone_score is None


def test_a_pause_before_the_first_epoch(run: Run, options: RunOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="until_epoch: out of range; got 0; allowed: at least 1"):
        run(0)
    assert not (tmp_path / "run").exists()
    assert not options.cache.exists()
