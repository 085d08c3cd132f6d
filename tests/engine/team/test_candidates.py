"""Candidates with early stopping: some end while others pause or are killed, and the run ends as if nothing had."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.run.result import RunResult
from tests.engine.conftest import Ear, options_with
from tests.engine.runs import assert_same_end
from tests.engine.team.runs import quick, spec
from tests.records import lasting
from tests.toys import toy_task

TEAM = spec("autoskd", "regression", candidates=4, dropped=0, search_epochs=4, theta_learning_rate=[0.05])
TRAINING = {"epochs": 6, "early_stopping": 1, "batch_size": 8, "learning_rate": 2e-3}
TASK = toy_task("regression", rows=48, held_out=8)
"""Correlations tell candidates apart, so they stop after different epochs; 6 steps an epoch."""
LAST_STOPS, BEST_STOPS = 4, 1
"""Seeds: the last candidate stops before the others, and is the worst, or the best one."""

Kill = tuple[str, int]  # a candidate, and the steps that it still takes


class Killer(Ear):
    """An ear that ends the run when a candidate has advanced so often."""

    def __init__(self, kill: Kill):
        super().__init__()
        self.candidate, self.steps = kill

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        super().advance(stage, count, note)
        if self.advanced.get(self.candidate) == self.steps:
            raise KeyboardInterrupt


def run(folder: Path, seed: int, ear: Ear | None = None, **more: Any) -> RunResult:
    options = options_with(folder / "cache").model_copy(update={"checkpoint_seconds": 0})
    pipeline = {"team": TEAM, "prediction": {"kind": "mse"}, "training": TRAINING}
    return quick(options, folder / "run", TEAM, ear, **({"data": TASK, "pipeline": pipeline, "seed": seed} | more))


def ends(ear: Ear) -> list[int]:
    """The epoch after which each candidate ended."""
    said = filter(None, (re.match(r"candidate (\d): epoch (\d) of 6", text) for text in ear.messages))
    return list({found[1]: int(found[2]) for found in said}.values())


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder, ear = tmp_path_factory.mktemp("whole"), Ear()
    run(folder, LAST_STOPS, ear)
    assert ends(ear) == [6, 6, 6, 4]
    return folder / "run"


@pytest.mark.parametrize(
    "stops",
    [[4], [3, 4, 5], [("candidate 3", 20)], [("candidate 2", 20), 4, ("candidate 3", 3)], [4, ("candidate 2", 3), 5]],
    ids=str,
)
def test_stops_change_nothing(stops: list[int | Kill], whole: Path, tmp_path: Path) -> None:
    for stop in stops:
        if isinstance(stop, int):
            assert run(tmp_path, LAST_STOPS, until_epoch=stop).status == "pruned"
        else:
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, LAST_STOPS, Killer(stop))
    run(tmp_path, LAST_STOPS)
    assert_same_end(tmp_path / "run", whole)
    assert (tmp_path / "run" / "theta.csv").read_bytes() == (whole / "theta.csv").read_bytes()


def test_what_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    worked = []
    for epoch in (4, 5, None):
        run(tmp_path, LAST_STOPS, ear := Ear(), until_epoch=epoch)
        worked.append([ear.advanced.get(f"candidate {number}", 0) for number in (1, 2, 3, 4)])
    assert worked == [[24] * 4, [6, 6, 6, 0], [6, 6, 6, 0]]


def test_one_that_has_stopped_is_the_best_while_others_pause(tmp_path: Path) -> None:
    """The run pauses all the same: another may still become better, and no set that reports is looked at."""
    other = toy_task("regression", rows=8, held_out=1, seed=1).train
    task = replace(TASK, validation={**TASK.validation, "other": other})
    paused = run(tmp_path, BEST_STOPS, ear := Ear(), data=task, until_epoch=2)
    assert ends(ear) == [2, 2, 2, 2]
    assert "candidate 4: stops, as nothing was better than epoch 1" in ear.messages
    assert (paused.status, paused.paused_after, paused.best_epoch) == ("pruned", 2, 1)
    scores = [candidate.score for candidate in paused.team.candidates]
    assert paused.student_score == paused.selection_score == scores[3] == max(scores) > max(scores[:3])
    assert paused.team.distribution == paused.team.candidates[3].distribution
    assert [*paused.scores["student"]] == ["validation"]

    assert run(tmp_path, BEST_STOPS, ear := Ear(), data=task, until_epoch=2) == paused
    assert not ear.stages
    ended = run(tmp_path, BEST_STOPS, ear := Ear(), data=task)
    assert ends(ear) == [3, 3, 3]
    assert (ended.status, ended.paused_after, [*ended.scores["student"]]) == ("ok", None, ["validation", "other"])


@pytest.mark.parametrize("kill", [("candidate 2", 1), ("candidate 1", 32)], ids=str)
def test_in_a_pause_all_are_compared_after_equally_many_epochs(kill: Kill, tmp_path: Path) -> None:
    """Also where an earlier call, which was not to pause, went further with some."""
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", LAST_STOPS, Killer(kill))
    killed, never = (run(tmp_path / name, LAST_STOPS, until_epoch=2) for name in ("killed", "never"))
    assert killed.status == never.status == "pruned"
    assert lasting(killed.model_dump()) == lasting(never.model_dump())
