"""Whole runs with a team: every team_kind on every kind of task, what is asked once, what the record says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine import distill
from engine.base.errors import InputError
from engine.base.machine import Machine
from engine.base.options import FineTuning, RunOptions
from engine.pipeline import Pipeline
from engine.run.plan import plan_run
from engine.team import search as autoskd
from engine.training.loop import Stage
from engine.training.state import LoopState
from tests.engine.conftest import Ear
from tests.engine.runs import LEARNED, TEACHER, TRAINING, TUNING
from tests.engine.team.runs import OTHER, SMALL, TEAM_KINDS, quick, spec
from tests.tokenizers import byte_bpe
from tests.toys import ROWS, save_tiny, toy_task


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


def test_the_chain_goes_from_the_strongest_to_the_weakest(options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    members = [SMALL, OTHER, "layers:1"]
    result = quick(options, tmp_path / "run", {"kind": "assistants", "members": members}, ear)
    scores = {member.name: member.score("accuracy") for member in result.team.teachers}
    order = sorted(scores, key=lambda name: -scores[name])
    taught = [stage.removesuffix(" as assistant") for stage, *_ in ear.stages if stage.endswith("assistant")]
    assert taught == order[1:]
    trained = [stage for stage, *_ in ear.stages]
    assert trained.index("student") > max(trained.index(f"{name} as assistant") for name in order[1:])
    ear.stages.clear()
    quick(options, tmp_path / "again", {"kind": "assistants", "members": members}, ear, seed=1)
    assert not [stage for stage, *_ in ear.stages if stage.endswith("assistant")]


def test_the_last_assistant_is_the_one_that_teaches(options: RunOptions, tmp_path: Path) -> None:
    """A chain teaches what a run with its last link as the only teacher does."""
    cache, student = tmp_path / "cache" / "teachers", "scratch:layers=1,hidden=16,heads=1"
    quick(options, tmp_path / "team", {"kind": "average", "members": [OTHER]}, student=student)
    before = {path.name for path in cache.iterdir() if path.is_dir()}
    chain = quick(options, tmp_path / "chain", {"kind": "assistants", "members": [OTHER]}, student=student)
    (last,) = [path for path in cache.iterdir() if path.is_dir() and path.name not in before]
    alone = quick(options, tmp_path / "alone", {"kind": "single"}, teacher=str(last), student=student)
    assert chain.history == alone.history


def test_autoskd_writes_what_it_did(options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    folder = tmp_path / "run"
    result = quick(options, folder, spec("autoskd", candidates=2, dropped=1), ear)
    rows = list(csv.DictReader((folder / "theta.csv").read_text("utf-8").splitlines()))
    names = [member.name for member in result.team.teachers]
    shares = np.array([[float(row[name]) for name in names] for row in rows])
    assert len(rows) == ear.advanced["search for θ"] == 6  # as many steps as one training
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    assert ((shares == 0).sum(1) == [0, 0, 0, 1, 1, 1]).all()
    tried = [candidate.distribution for candidate in result.team.candidates]
    assert np.allclose(tried, shares[[4, 5]], atol=1e-5)
    best = max(result.team.candidates, key=lambda candidate: candidate.score)
    assert result.student_score == best.score
    assert result.team.distribution == best.distribution
    assert {"search", "student", "signals"} <= result.stage_seconds.keys()


def test_the_best_candidate_is_what_a_run_with_its_distribution_is(options: RunOptions, tmp_path: Path) -> None:
    found = quick(options, tmp_path / "searched", spec("autoskd"))
    alone = quick(options, tmp_path / "alone", spec("stochastic", distribution=found.team.distribution))
    assert alone.history == found.history
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("searched", "alone"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_members_smaller_than_the_student_are_dropped_by_default(options: RunOptions, tmp_path: Path) -> None:
    """The teacher and all members but SMALL have fewer parameters."""
    student = "scratch:layers=1,hidden=24,heads=1"
    members = [SMALL, OTHER, "scratch:layers=2,hidden=8,heads=1"]
    result = quick(options, tmp_path / "run", spec("autoskd", members=members), student=student)
    smaller = sum(member.parameters < result.parameters for member in result.team.teachers)
    assert smaller == 3
    for each in result.team.candidates:
        assert sum(share == 0 for share in each.distribution) == 2  # two stay
    team = spec("autoskd", members=[SMALL, "scratch:layers=1,hidden=48,heads=1"])
    result = quick(options, tmp_path / "other", team, student=student)
    for each in result.team.candidates:
        assert sum(share == 0 for share in each.distribution) == 1  # the teacher


def test_a_grid_of_searches(options: RunOptions, tmp_path: Path) -> None:
    wide = spec("autoskd", theta_learning_rate=[1e-3, 0.05], dropped=[0, 1])
    result = quick(options, tmp_path / "run", wide)
    assert len(result.team.candidates) == 2 * 2 * 2
    zeros = [sum(share == 0 for share in each.distribution) for each in result.team.candidates]
    assert zeros == [0, 0, 1, 1, 0, 0, 1, 1]
    spread = [max(each.distribution) - min(each.distribution) for each in result.team.candidates]
    assert spread[4] > 5 * spread[0]


def test_second_order_and_gold_labels(options: RunOptions, tmp_path: Path) -> None:
    plain = quick(options, tmp_path / "plain", spec("autoskd"))
    second = quick(options, tmp_path / "second", spec("autoskd", second_order=True))
    gold = quick(options, tmp_path / "gold", spec("autoskd", second_order=True, validation="hard_label"))
    steps = [
        len((tmp_path / name / "theta.csv").read_text("utf-8").splitlines()) - 1 for name in ("plain", "second", "gold")
    ]
    assert steps == [6, 4, 4]  # 2 epochs of 3 steps; a step in second order costs more
    found = [result.team.candidates[-1].distribution for result in (plain, second, gold)]
    assert len({tuple(each) for each in found}) == 3


@pytest.mark.parametrize("kind", ["single", "tagging", "question_answering"])
def test_members_with_their_own_tokenizers(kind: str, options: RunOptions, tmp_path: Path) -> None:
    task = toy_task(kind, rows=24, held_out=8)
    save_tiny(tmp_path / "bytes", task, tokenizer=byte_bpe())
    members = [str(tmp_path / "bytes"), SMALL]
    training = {"epochs": 1, "batch_size": 8, "max_length": 32}
    if kind == "question_answering":
        training |= {"window_overlap": 8}
    for team_kind in ("average", "weighted", "autoskd", "assistants"):
        pipeline = {"team": spec(team_kind, kind, members=members), "training": training}
        result = quick(options, tmp_path / team_kind, {}, data=task, pipeline=pipeline)
        assert result.student_score is not None


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


def test_where_candidates_pause_only_those_compete(
    options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped after its first candidate goes on with a pause after an epoch."""
    trained = autoskd.train

    def stopping(stage: Stage, machine: Machine) -> LoopState:
        if stage.name == "candidate 2" and stage.until_epoch is None:
            raise KeyboardInterrupt
        return trained(stage, machine)

    monkeypatch.setattr(autoskd, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        quick(options, tmp_path / "run", spec("autoskd"))
    paused = quick(options, tmp_path / "run", spec("autoskd"), until_epoch=1)
    assert (paused.status, len(paused.history)) == ("pruned", 1)
    assert paused.team.distribution == paused.team.candidates[1].distribution
    monkeypatch.undo()
    whole = quick(options, tmp_path / "whole", spec("autoskd"))
    ended = quick(options, tmp_path / "run", spec("autoskd"))
    assert (ended.status, ended.team, ended.history) == ("ok", whole.team, whole.history)


def test_assistants_of_ready_made_members_learn_as_they_are_told(options: RunOptions, tmp_path: Path) -> None:
    """Members that need no fine-tuning become assistants all the same; how is part of the run."""
    task = toy_task("single", rows=24, held_out=8)
    for name in ("teacher", "member"):
        save_tiny(tmp_path / name, task, layers=2)
    found = [
        quick(
            options,
            tmp_path / f"run-{place}",
            {"kind": "assistants", "members": [str(tmp_path / "member")]},
            teacher=str(tmp_path / "teacher"),
            student="layers:1",
            fine_tuning=FineTuning(epochs=1, learning_rate=1e-3, seed=seed),
        )
        for place, seed in enumerate((0, 1))
    ]
    assert found[0].identity != found[1].identity
    assert found[0].history != found[1].history


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
    with pytest.raises(InputError, match=r"teacher\.update: .*scaled target.*cr"):
        quick(options, tmp_path / "run", spec("autoskd"), data=task)


def test_a_team_needs_a_prediction_loss() -> None:
    with pytest.raises(ValueError, match="a team teaches by its predictions, and their weight is 0"):
        Pipeline.model_validate({"team": spec("average"), "weights": {"prediction": 0.0, "hard_label": 1.0}})
