"""Whole runs whose weights change: with augmentation, with teams, killed, and of the preset that has two stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.base.options import RunOptions
from engine.pipeline.presets import PRESETS
from engine.run.result import RunResult
from engine.signals.signals import CachedSignals
from tests.engine.conftest import Ear
from tests.engine.runs import assert_same_end, small
from tests.engine.team.runs import TEAM_KINDS, quick, spec
from tests.engine.training.stages import Plug
from tests.records import lasting

ROWS, EPOCHS, COPIES = 24, 3, 2  # three steps an epoch: the border lies within the second one
TRAINING = {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 1e-3, "max_length": 32}
FIRST: dict[str, Any] = {"intermediate": {"kind": "mse"}, "schedule": {"kind": "layers_first"}, "training": TRAINING}
AUGMENTED = {
    **FIRST,
    "augmentation": {"operators": [{"kind": "random", "synonyms": "none"}, {"kind": "mixup"}], "copies": COPIES},
}
BORDER = 4  # of nine steps
STEPS_LEFT = 9 - BORDER


def terms(result: RunResult) -> list[set[str]]:
    return [{*entry["loss"]} for entry in result.history]


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_augmented_for_layers(workers: int, options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    """A second student reads what was made for the first one, and is what it would have been alone."""
    first = small(options.model_copy(update={"workers": workers}), tmp_path / "a", pipeline=AUGMENTED, reporter=ear)
    learned = {"prediction", "hard_label", "augmented_prediction", "augmented_hard_label"}
    assert terms(first) == [{"intermediate"}, {"intermediate", *learned}, learned]
    assert first.teacher_examples == ROWS + COPIES * STEPS_LEFT * 8
    assert "student: it learns from layers alone in the first 4 of 9 steps; its head learns afterwards" in ear.messages
    other = {**AUGMENTED, "prediction": {"kind": "mse"}}
    second = small(options, tmp_path / "b", pipeline=other)
    assert second.teacher_examples == 0
    alone = options.model_copy(update={"cache_dir": str(tmp_path / "other cache")})
    expected = small(alone, tmp_path / "c", pipeline=other)
    one, two = lasting(second.model_dump()), lasting(expected.model_dump())
    assert {name for name in one if one[name] != two[name]} == {"teacher_examples"}
    students = [(tmp_path / name / "model.safetensors").read_bytes() for name in "bc"]
    assert students[0] == students[1]


def test_steps_that_others_have_made_from_the_first_one_on_are_not_mistaken(
    options: RunOptions, tmp_path: Path
) -> None:
    """Without stages there are augmented examples from the first step on: each has its own file."""
    constant = {name: part for name, part in AUGMENTED.items() if name != "schedule"}
    small(options, tmp_path / "constant", pipeline=constant)
    staged = small(options, tmp_path / "staged", pipeline=AUGMENTED)
    assert staged.teacher_examples == COPIES * STEPS_LEFT * 8
    alone = options.model_copy(update={"cache_dir": str(tmp_path / "other cache")})
    expected = small(alone, tmp_path / "alone", pipeline=AUGMENTED)
    assert staged.history == expected.history


@pytest.mark.parametrize("team_kind", TEAM_KINDS)
def test_a_team_teaches_after_the_layers(team_kind: str, options: RunOptions, tmp_path: Path) -> None:
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
    pipeline = {**FIRST, "team": spec(team_kind), "training": training}
    result = quick(options, tmp_path, {}, pipeline=pipeline)
    assert terms(result) == [{"intermediate"}, {"prediction"}]


@pytest.mark.parametrize("plug", [Plug(BORDER - 1, BORDER), Plug(BORDER, BORDER + 1), Plug(BORDER + 1, 7)], ids=str)
def test_a_run_that_is_killed_ends_alike(
    plug: Plug, options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(options, tmp_path / "teacher", pipeline={**AUGMENTED, "schedule": {"kind": "constant"}})  # which is kept
    small(options, tmp_path / "whole", pipeline=AUGMENTED)
    fresh = options.model_copy(update={"signals": "online"})
    whole = small(fresh, tmp_path / "online", pipeline=AUGMENTED)
    with monkeypatch.context() as patch:
        plug.install(patch)
        with pytest.raises(KeyboardInterrupt):
            small(options, tmp_path / "cut", pipeline=AUGMENTED)
    ended = small(options, tmp_path / "cut", pipeline=AUGMENTED)
    assert_same_but_passes(ended, RunResult.read(tmp_path / "whole"))
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    assert terms(whole) == terms(ended)


def assert_same_but_passes(one: RunResult, other: RunResult) -> None:
    records = [lasting(each.model_dump()) for each in (one, other)]
    assert {name for name in records[0] if records[0][name] != records[1][name]} <= {"teacher_examples"}


def test_a_pause_between_the_stages_changes_nothing(options: RunOptions, tmp_path: Path) -> None:
    for epoch in (1, 2, None):
        paused = small(options, tmp_path / "paused", pipeline=FIRST, until_epoch=epoch)
        assert paused.status == ("ok" if epoch is None else "pruned")
    alone = options.model_copy(update={"cache_dir": str(tmp_path / "other cache")})
    small(alone, tmp_path / "whole", pipeline=FIRST)
    assert_same_end(tmp_path / "paused", tmp_path / "whole")


def test_hidden_states_are_read_for_layers_alone(
    options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, view = [], CachedSignals.view

    def watched(signals: CachedSignals, fetched: Any) -> Any:
        read.append(sorted(fetched.hidden))
        return view(signals, fetched)

    monkeypatch.setattr(CachedSignals, "view", watched)
    small(options, tmp_path, pipeline=FIRST)
    assert read == [[2]] * BORDER + [[]] * STEPS_LEFT


def test_tinybert_learns_layers_and_then_predictions(options: RunOptions, tmp_path: Path) -> None:
    preset = PRESETS["tinybert"].pipeline.model_dump()
    result = small(options, tmp_path, pipeline={**preset, "training": TRAINING | {"epochs": 2}})
    assert terms(result) == [{"intermediate"}, {"prediction", "augmented_prediction"}]
    assert result.pipeline["schedule"] == {"kind": "layers_first", "share": 0.5}
