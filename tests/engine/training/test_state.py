"""The state of a training comes back as it was, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.base.errors import RunError
from engine.training.state import LoopState, load_checkpoint, save_checkpoint


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
    assert load_checkpoint(tmp_path / "deep" / "checkpoint.pt", other) == STATE
    assert torch.equal(saved["student"].weight, other["student"].weight)
    first, second = (part["optimizer"].state_dict() for part in (saved, other))
    assert first["param_groups"] == second["param_groups"]
    assert torch.equal(first["state"][0]["exp_avg"], second["state"][0]["exp_avg"])


def test_without_a_checkpoint_nothing_happens(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint.pt", parts(0)) is None


def test_a_later_checkpoint_replaces_the_earlier(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path / "checkpoint.pt", LoopState(step=step), parts(step))
    state = load_checkpoint(tmp_path / "checkpoint.pt", parts(0))
    assert state is not None
    assert state.step == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_weights_of_its_best_epoch_alone_stay(tmp_path: Path) -> None:
    for epoch in (1, 2):
        (tmp_path / f"best-{epoch}.safetensors").touch()
    save_checkpoint(tmp_path / "checkpoint.pt", STATE, parts(0))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "best-1.safetensors"}


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other parts", "other sizes", "other state"])
def test_what_is_no_checkpoint_of_this_run(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE, parts(0))
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("nothing of the kind")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "other state":
        saved = torch.load(path)
        torch.save(saved | {"state": {"epochs": 2}}, path)
    wanted = parts(0, width=5) if damage == "other sizes" else parts(0)
    if damage == "other parts":
        wanted["critic"] = torch.nn.Linear(1, 1)
    with pytest.raises(
        RunError, match=r"checkpoint.pt is not a checkpoint of this run .*remove it to start anew"
    ):
        load_checkpoint(path, wanted)
