"""Whole runs with a team: every team_kind on every kind of task, what is asked once, what the record says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import distill
from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions
from engine.pipeline import Pipeline
from engine.run.plan import plan_run
from tests.engine.conftest import Ear
from tests.engine.runs import LEARNED, TEACHER, TRAINING, TUNING
from tests.engine.team.runs import OTHER, SMALL, TEAM_KINDS, quick, spec
from tests.toys import ROWS, toy_task


@pytest.mark.slow
@pytest.mark.parametrize("team_kind", TEAM_KINDS)
@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind != "pair"])
def test_a_student_learns_from_a_team(kind: str, team_kind: str, warm: RunOptions, tmp_path: Path) -> None:
    training = TRAINING | {"learning_rate": 2e-3}
    weights = {"hard_label": 1.0} if kind == "regression" else {}
    result = distill(
        toy_task(kind),
        teacher=TEACHER,
        student="layers:1",
        pipeline={"team": spec(team_kind, kind), "training": training, "weights": weights},
        out=tmp_path / "run",
        fine_tuning=TUNING,
        options=warm,
    )
    lost = 0.2 if team_kind == "assistants" else 0.1  # every link of a chain loses something
    assert result.student_score > LEARNED[kind] - lost
    assert [member.name for member in result.team.teachers] == [TEACHER, "layers:1", SMALL]
    assert result.team.teachers[0].scores == result.scores["teacher"]


def test_an_intermediate_objective_reads_the_teacher(options: RunOptions, tmp_path: Path) -> None:
    """The loss of the first step's hidden states is what the teacher alone makes of it."""
    plain = {"training": {"epochs": 1, "batch_size": 24}, "intermediate": {"kind": "mse"}}
    alone, *teams = (
        quick(options, tmp_path / team_kind, {}, pipeline=plain | {"team": teacher})
        for team_kind, teacher in (
            ("single", {"kind": "single"}),
            ("average", spec("average", members=[OTHER, SMALL])),
            ("autoskd", spec("autoskd", members=[OTHER, SMALL])),
        )
    )
    for result in teams:
        assert result.history[0]["loss"].keys() == {"intermediate", "prediction"}
        assert result.history[0]["loss"]["intermediate"] == alone.history[0]["loss"]["intermediate"]
        assert result.history[0]["loss"]["prediction"] != alone.history[0]["loss"]["prediction"]


def test_another_team_is_another_run() -> None:
    task = toy_task("single", rows=24, held_out=8)

    def identity(teacher: dict[str, Any], **more: Any) -> str:
        pipeline = Pipeline.model_validate({"team": teacher})
        return plan_run(task, pipeline, TEACHER, "layers:1", **more).identity

    found = [
        identity({"kind": "single"}),
        *(identity(spec(team_kind)) for team_kind in TEAM_KINDS),
        identity(spec("average", members=["layers:1"])),
        identity(spec("average", members=[SMALL, "layers:1"])),
        identity(spec("average"), fine_tuning=FineTuning(epochs=9)),
    ]
    assert len(set(found)) == len(found)


BAD = {
    "nobody": ({"kind": "average"}, ["team.members"]),
    "an empty team": ({"kind": "average", "members": []}, ["team.members"]),
    "a copy": (spec("average", members=["layers:1", SMALL, "layers:1"]), ["named twice: layers:1"]),
    "a knob of another team_kind": (spec("average", candidates=3), ["candidates"]),
    "too many layers": (spec("average", members=["layers:9"]), ["team.members", "only 2 layers", "1 to 2"]),
    "no such folder": (spec("average", members=["./nowhere"]), ["team.members", "no such folder"]),
    "a misspelt scratch": (spec("average", members=["scratch:layer=1"]), ["team.members", "layers"]),
    "probabilities for too few": (spec("stochastic", distribution=[0.5, 0.5]), ["3 numbers", "it has 2"]),
    "probabilities beyond 1": (spec("stochastic", distribution=[0.5, 0.5, 0.5]), ["must sum to 1"]),
    "a negative one": (spec("stochastic", distribution=[-0.5, 1.0, 0.5]), ["distribution"]),
    "nobody is left": (spec("autoskd", dropped=3), ["leaves nobody", "2 at most"]),
    "gold labels in first order": (spec("autoskd", validation="hard_label"), ["second_order = true"]),
    "an unknown team_kind": (spec("averge"), ["average"]),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_team_is_refused_first(case: str, options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    teacher, words = BAD[case]
    with pytest.raises(InputError) as caught:
        quick(options, tmp_path / "run", teacher, ear)
    for word in words:
        assert word in str(caught.value)
    assert not ear.stages


def test_a_target_cannot_be_scaled(options: RunOptions, tmp_path: Path) -> None:
    task = toy_task("regression", rows=24, held_out=8)
    with pytest.raises(InputError, match=r"team\.update: .*scaled target.*cr"):
        quick(options, tmp_path / "run", spec("autoskd"), data=task)
