"""A training that is killed, or stopped by Ctrl-C, goes on to the same student."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.base.machine import Machine, machine_for
from engine.pipeline import EMD, MSE, Attention, Manual, MIAlpha, Relations, Training, Uniform, Weights
from engine.training.loop import train
from engine.training.state import Clock
from tests.engine.training.stages import CRITIC, QUICK, Plug, pipeline, same, stage_for, trained, without_times


@pytest.mark.parametrize("plug", [Plug(0, 2), Plug(1, 1), Plug(2, 3), Plug(4, 5), Plug(5, 7), Plug(8, 10)], ids=str)
def test_a_kill_changes_nothing(
    plug: Plug, machine: Machine, options, ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps an epoch; dropout, drawn tokens and the state of the transport are all at work."""
    training = QUICK.model_copy(update={"epochs": 3})
    chosen = pipeline(
        training=training, intermediate=MIAlpha(critic=CRITIC, level="token", max_tokens=16), mapping=EMD()
    )
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        plug.install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert (tmp_path / "cut" / "checkpoint.pt").exists() == (plug.saved_at > 0)
    ended, state = trained(stage_for("single", machine_for(options, ear), tmp_path / "cut", chosen), machine)
    assert [stage for stage in ear.stages if stage[0] == "student"][-1] == ("student", 12, plug.saved_at, "steps")
    assert same(ended, expected)
    assert without_times(state) == without_times(whole)


@pytest.mark.parametrize(
    "parts",
    [
        {"intermediate": Attention(hidden=1.0), "mapping": Uniform()},
        {"intermediate": Attention(), "mapping": EMD()},
        {"intermediate": Relations()},
        {"intermediate": MSE(projection="always"), "mapping": Manual(pairs=((0, 0), (2, 3)), weights=(0.5, 1.0))},
    ],
    ids=["maps and hidden states", "maps of all layers", "relations", "named pairs"],
)
def test_a_kill_changes_nothing_where_attention_and_embeddings_are_compared(
    parts: dict[str, Any], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = pipeline(**parts)
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        Plug(3, 5).install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    ended, state = trained(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert without_times(state) == without_times(whole)
    first, last = (state.history[place]["loss"]["intermediate"] for place in (0, -1))
    assert last < first


def test_a_kill_with_accumulation_changes_nothing(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(epochs=2, batch_size=4, gradient_accumulation=2, learning_rate=2e-3)
    chosen = pipeline("tagging", training, weights=Weights(hard_label=1.0))
    expected, whole = trained(stage_for("tagging", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        Plug(3, 4).install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("tagging", machine, tmp_path / "cut", chosen), machine)
    ended, state = trained(stage_for("tagging", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert state.history == whole.history


# --- Ctrl-C ------------------------------------------------------------------------------------------


@dataclass
class Presses:
    """A reporter that presses Ctrl-C when a stage has advanced so often, and again when it advances further."""

    stage: str
    at: int
    times: int = 1
    advanced: int = 0
    press: Callable[[], None] = lambda: None

    def message(self, text: str) -> None: ...

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None: ...

    def finish(self, stage: str) -> None: ...

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.advanced += stage == self.stage
        if stage == self.stage and self.at <= self.advanced < self.at + self.times:
            self.press()


@pytest.mark.parametrize(
    ("presses", "kept"),
    [
        (Presses("student", 1), 1),
        (Presses("student", 4), 4),  # the last step of the first epoch
        (Presses("evaluation", 1), 5),  # after it: the next step is the first that can be kept
        (Presses("evaluation", 3), 12),  # after the last step of all
    ],
    ids=["a step", "the last of an epoch", "an evaluation", "the last evaluation"],
)
def test_ctrl_c_loses_no_step(presses: Presses, kept: int, machine: Machine, options, ctrl_c, tmp_path: Path) -> None:
    presses = replace(presses, press=ctrl_c)
    chosen = pipeline(training=QUICK.model_copy(update={"epochs": 3}))
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(
            stage_for("single", machine_for(options, presses), tmp_path / "cut", chosen), machine_for(options, presses)
        )
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(tmp_path / "cut" / "checkpoint.pt")["state"]["step"] == kept
    ended, state = trained(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert without_times(state) == without_times(whole)


def test_the_second_ctrl_c_ends_at_once(options, ctrl_c, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    presses = Presses("student", 2, times=2, press=ctrl_c)
    monkeypatch.setattr(Clock, "checkpoint_due", lambda _: False)  # a step that takes very long
    with pytest.raises(KeyboardInterrupt):
        train(stage_for("single", machine_for(options, presses), tmp_path), machine_for(options, presses))
    assert presses.advanced == 3
    assert not (tmp_path / "checkpoint.pt").exists()


def test_nothing_is_held_outside_of_the_main_thread(machine: Machine, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        state = threads.submit(train, stage_for("single", machine, tmp_path), machine).result()
    assert state.epoch == 2
