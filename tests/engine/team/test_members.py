"""The members of a team: chains of assistants, what is made once, and members with other tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.options import FineTuning, RunOptions
from tests.engine.conftest import Ear
from tests.engine.team.runs import OTHER, SMALL, quick, spec
from tests.tokenizers import byte_bpe
from tests.toys import save_tiny, toy_task


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
