"""The state of a training comes back as it was, or not at all; sums of the loss, and the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import NonFiniteLossError, RunError
from engine.base.files import checksum
from engine.training.state import (
    CHECKPOINT_SHARE,
    REPORT_SECONDS,
    Clock,
    LoopState,
    Meter,
    best_file,
    load_state,
    read_state,
    resumed,
    save_checkpoint,
)
from tests.ear import Ear

finite = st.floats(-1e3, 1e3)


def parts(seed: int, width: int = 3) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.randn(4, width)).sum().backward()
    optimizer.step()
    return {"student": model, "optimizer": optimizer}


STATE = LoopState(
    epoch=2,
    step_in_epoch=3,
    step=13,
    examples=99,
    best_score=0.5,
    best_epoch=1,
    history=[{"epoch": 1, "loss": {"prediction": 0.25}, "scores": {"accuracy": 0.5}}],
    term_sums={"prediction": 0.75},
    seconds=1.5,
)


def test_everything_comes_back(tmp_path: Path) -> None:
    saved, other = parts(0), parts(1)
    save_checkpoint(tmp_path / "deep" / "checkpoint.pt", STATE, saved)
    assert load_state(tmp_path / "deep" / "checkpoint.pt", other, LoopState) == STATE
    assert torch.equal(saved["student"].weight, other["student"].weight)
    first, second = (part["optimizer"].state_dict() for part in (saved, other))
    assert first["param_groups"] == second["param_groups"]
    assert torch.equal(first["state"][0]["exp_avg"], second["state"][0]["exp_avg"])


def test_without_a_checkpoint_nothing_happens(tmp_path: Path) -> None:
    assert load_state(tmp_path / "checkpoint.pt", parts(0), LoopState) is None


def test_a_later_checkpoint_replaces_the_earlier(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path / "checkpoint.pt", LoopState(step=step), parts(step))
    state = load_state(tmp_path / "checkpoint.pt", parts(0), LoopState)
    assert state is not None
    assert state.step == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_weights_of_its_best_epoch_alone_stay(tmp_path: Path) -> None:
    for epoch in (1, 2):
        (tmp_path / f"best-{epoch}.safetensors").touch()
    save_checkpoint(tmp_path / "checkpoint.pt", STATE, parts(0))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "best-1.safetensors"}


@pytest.mark.parametrize("change", ["parts", "sizes", "state"])
def test_what_is_no_checkpoint_of_this_run(change: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE, parts(0))
    if change == "state":
        torch.save(torch.load(path) | {"state": {"epochs": 2}}, path)
    wanted = parts(0, width=5) if change == "sizes" else parts(0)
    if change == "parts":
        wanted["critic"] = torch.nn.Linear(1, 1)
    with pytest.raises(RunError, match=r"checkpoint.pt is not a checkpoint of this run \("):
        load_state(path, wanted, LoopState)


# --- damage ------------------------------------------------------------------------------------------


def saved_in(folder: Path) -> Path:
    """A checkpoint with the best weights beside it."""
    best = best_file(folder, STATE)
    best.write_bytes(b"the best weights")
    save_checkpoint(folder / "checkpoint.pt", replace(STATE, best_checksum=checksum(best)), parts(0))
    return folder / "checkpoint.pt"


def taken_up(path: Path) -> tuple[LoopState | None, list[str], dict[str, Any]]:
    """What a training that begins with `parts(1)` goes on from, what is said, and the parts."""
    ear, own = Ear(), parts(1)
    return resumed("student", path, own, LoopState, ear), ear.messages, own


def test_what_is_whole_is_gone_on_with(tmp_path: Path) -> None:
    state, said, own = taken_up(saved_in(tmp_path))
    assert state is not None
    assert state.step == 13
    assert said == []
    assert torch.equal(own["student"].weight, parts(0)["student"].weight)


@pytest.mark.parametrize("damage", ["cut", "empty", "a list", "nested", "text"])
def test_with_a_damaged_checkpoint_it_starts_anew(damage: str, tmp_path: Path) -> None:
    path = saved_in(tmp_path)
    others = {"empty": b"", "a list": b"[1, 2]", "nested": b"[" * 100_000, "text": b"nothing of the kind"}
    path.write_bytes(others.get(damage, path.read_bytes()[:-200]))
    assert read_state(path) is None
    state, said, own = taken_up(path)
    assert state is None
    assert said == ["student: the checkpoint was damaged; it starts anew"]
    assert torch.equal(own["student"].weight, parts(1)["student"].weight), "half a checkpoint was restored"


def test_no_flipped_bit_of_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    """Wherever it is: either nothing comes back, or what was written."""
    path = saved_in(tmp_path)
    content, noticed = path.read_bytes(), 0
    whole = torch.load(path)
    for place in range(0, len(content), 23):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        state, said, own = taken_up(path)
        noticed += state is None
        assert (state is None) == bool(said)
        if state is not None:
            assert vars(state) == whole["state"]
            assert torch.equal(own["student"].weight, whole["student"]["weight"])
            assert torch.equal(
                own["optimizer"].state_dict()["state"][0]["exp_avg"], whole["optimizer"]["state"][0]["exp_avg"]
            )
    assert noticed > 30


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_with_damaged_best_weights_it_starts_anew(damage: str, tmp_path: Path) -> None:
    path = saved_in(tmp_path)
    best = best_file(tmp_path, STATE)
    best.unlink() if damage == "gone" else best.write_bytes(b"the rest weights" if damage == "flipped" else b"the")
    state, said, own = taken_up(path)
    assert state is None
    assert said == ["student: the best weights were damaged; it starts anew"]
    assert torch.equal(own["student"].weight, parts(1)["student"].weight)


# --- sums of the loss, and the clock ------------------------------------------------------------------


def terms(intermediate: float, prediction: float) -> dict[str, torch.Tensor]:
    return {"intermediate": torch.tensor(intermediate), "prediction": torch.tensor(prediction, requires_grad=True)}


@given(st.lists(st.lists(st.tuples(finite, finite), min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_sums_are_those_of_the_steps_also_after_a_restart(steps: list, data: st.DataObject) -> None:
    restart = data.draw(st.integers(0, len(steps)))
    meter = Meter({})
    for number, passes in enumerate(steps, start=1):
        meter.add([terms(*values) for values in passes], number)
        if number == restart:
            meter = Meter(meter.sums())
    expected = [sum(torch.tensor(values[term]).item() for passes in steps for values in passes) for term in (0, 1)]
    assert [*meter.sums()] == ["intermediate", "prediction"]
    assert [*meter.sums().values()] == pytest.approx(expected, rel=1e-5, abs=1e-3)
    means = [value / len(steps) for value in meter.sums().values()]
    assert [*meter.means(len(steps)).values()] == pytest.approx(means)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "broken, step, term",
    [({"prediction": 3}, 3, "prediction"), ({"intermediate": 2, "prediction": 3}, 2, "intermediate")],
)
def test_the_first_step_and_its_term_are_named(bad: float, broken: dict[str, int], step: int, term: str) -> None:
    meter = Meter({})
    for number in range(1, 6):
        values = [bad if number >= broken.get(name, 9) else 1.0 for name in ("intermediate", "prediction")]
        meter.add([terms(1.0, 1.0), terms(*values)], number)
    for look in (meter.sums, lambda: meter.means(5)):
        with pytest.raises(
            NonFiniteLossError, match=f"the {term} loss is not a finite number at step {step}"
        ) as caught:
            look()
        assert (caught.value.step, caught.value.term) == (step, term)
        assert isinstance(caught.value, RunError)


def test_nothing_is_kept_of_the_graph() -> None:
    meter = Meter({})
    meter.add([terms(1.0, 2.0)], 1)
    assert not meter._sums.requires_grad


class Time:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr("engine.training.state.time.monotonic", lambda: self.now)


def test_reports_are_due_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock, due = Clock(60), []
    for _ in range(30):
        time.now += REPORT_SECONDS / 10
        due.append(clock.report_due())
    assert sum(due) in (2, 3)
    assert not any(due[:9])


def test_checkpoints_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock = Clock(60)
    time.now += 59
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()
    time.now += 1  # written within a second
    clock.checkpoint_saved()
    time.now += 59
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()
    time.now += 10  # slow this time
    clock.checkpoint_saved()
    time.now += 10 * CHECKPOINT_SHARE - 1
    assert not clock.checkpoint_due()
    time.now += 1
    assert clock.checkpoint_due()


def test_at_zero_seconds_the_first_step_is_kept() -> None:
    assert Clock(0).checkpoint_due()


def test_passes_with_terms_of_their_own() -> None:
    """Originals and augmented examples of one step; a term's sum is that of the passes that have it."""
    meter = Meter({})
    for number in (1, 2):
        meter.add(
            [terms(1.0, 2.0), {"augmented": torch.tensor(3.0)}, terms(4.0, 5.0), {"augmented": torch.tensor(6.0)}],
            number,
        )
    assert meter.means(2) == {"intermediate": 5.0, "prediction": 7.0, "augmented": 9.0}
