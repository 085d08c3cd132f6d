"""A run under way: times and counts add up over all processes that worked on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import RunError
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.pipeline.pipeline import Pipeline
from engine.run.folder import Run, RunFolder, unfinished
from engine.run.plan import RunPlan, plan_run
from engine.training.state import Clock
from tests.toys import toy_task

Start = Callable[[], Run]


@pytest.fixture(name="plan", scope="module")
def _plan() -> RunPlan:
    task = toy_task("single", rows=8, held_out=4)
    return plan_run(task, Pipeline(), "scratch:layers=2,hidden=16,heads=2", "layers:1")


@pytest.fixture(name="start")
def _start(plan: RunPlan, machine: Machine, tmp_path: Path) -> Start:
    """Starts the run, or goes on with it as another process does that knows its folder alone."""

    def start() -> Run:
        run = Run(plan, RunFolder(tmp_path / "run", plan.identity), machine)
        run.folder.work.mkdir(parents=True, exist_ok=True)
        return run

    return start


class Time:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr("engine.run.folder.time.monotonic", lambda: self.now)

    def pass_by(self, run: Run, **seconds: float) -> None:
        for stage, passed in seconds.items():
            with run.stage(stage):
                self.now += passed


def test_a_stage_is_the_time_inside(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    time, run = Time(monkeypatch), start()
    assert run.stage_seconds == {}
    time.pass_by(run, teacher=5.0, student=7.0)
    time.now += 100
    time.pass_by(run, teacher=1.5)
    assert run.stage_seconds == {"teacher": 6.5, "student": 7.0}


def test_every_process_adds_its_times(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes after the last stage of a process that is killed is nobody's."""
    time = Time(monkeypatch)
    for _ in range(3):
        time.pass_by(start(), signals=2.0, student=4.0)
        time.now += 1000
    assert start().stage_seconds == {"signals": 6.0, "student": 12.0}


@pytest.mark.parametrize("end", [KeyboardInterrupt, RunError])
def test_a_stage_that_is_stopped_counts(
    end: type[BaseException], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not done, and the process that goes on adds to it."""
    time, run = Time(monkeypatch), start()
    time.pass_by(run, teacher=5.0)
    with pytest.raises(end), run.stage("student"):
        time.now += 446
        raise end
    known = unfinished(run.folder.path)
    assert known is not None
    assert known["done"] == ["teacher"]
    again = start()
    assert again.stage_seconds == {"teacher": 5.0, "student": 446.0}
    time.pass_by(again, teacher=1.0, student=84.0)
    assert again.stage_seconds == {"teacher": 6.0, "student": 530.0}


def test_what_a_checkpoint_knows_counts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed, and says nothing more, leaves the seconds up to its last checkpoint."""
    time = Time(monkeypatch)
    killed = start()
    with killed.stage("student"):
        clock = Clock(0, killed.machine.saved)
        for _ in range(3):
            time.now += 60
            clock.checkpoint_saved()
        time.now += 59
        assert start().stage_seconds == {"student": 180.0}
    assert start().stage_seconds == {"student": 239.0}


def test_times_are_not_changed_through_what_is_shown(start: Start) -> None:
    run = start()
    with run.stage("student"):
        pass
    run.stage_seconds["student"] = -1.0
    assert run.stage_seconds["student"] >= 0


@given(data=st.data())
def test_the_first_count_stays_until_it_is_made_anew(
    data: st.DataObject, plan: RunPlan, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against a dictionary, with any number of processes one after another."""
    folder, machine = tmp_path_factory.mktemp("run"), machine_for(RunOptions(device="cpu", precision="float32"))
    counts: dict[str, int] = {}
    calls = st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 99), st.booleans())
    for process in data.draw(st.lists(st.lists(calls, max_size=4), max_size=3)):
        run = Run(plan, RunFolder(folder, plan.identity), machine)
        run.folder.work.mkdir(exist_ok=True)
        for teacher, examples, anew in process:
            run.count_passed(teacher, examples, anew)
            counts = {**counts, teacher: examples} if anew or teacher not in counts else counts
            assert run.passed == sum(counts.values())
    assert Run(plan, RunFolder(folder, plan.identity), machine).passed == sum(counts.values())
