"""The state of a training that is saved and restored whole.

Random numbers need no saving: every step draws from a generator seeded by (seed, step, process),
so a step that is repeated after a kill is the same step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch

from engine.base.errors import RunError
from engine.base.files import written_atomically

State = TypeVar("State")


@dataclass
class LoopState:
    """How far a training has come."""

    epoch: int = 0
    """Finished epochs."""
    step_in_epoch: int = 0
    """Finished optimiser steps of the epoch under way."""
    step: int = 0
    """Finished optimiser steps in all."""
    examples: int = 0
    """Examples seen, repetitions counted."""
    best_score: float | None = None
    best_epoch: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry a finished epoch: weighted terms of the loss, scores on the held-out set."""
    term_sums: dict[str, float] = field(default_factory=dict)
    """Sums of the terms over the steps of the epoch under way."""
    seconds: float = 0.0
    """Time spent training, the making of batches counted, evaluation not."""
    waited: float = 0.0
    """Of it, time in which the loop had no batch."""


def save_checkpoint(path: Path, state: LoopState, parts: dict[str, Any]) -> None:
    """Writes the loop's state and the `state_dict` of every part into one file, whole or not at all.

    Best weights beside it that the state no longer speaks of are removed.
    """
    save_state(path, asdict(state), parts)
    for older in set(path.parent.glob("best-*.safetensors")) - {best_file(path.parent, state)}:
        older.unlink()


def load_checkpoint(path: Path, parts: dict[str, Any]) -> LoopState | None:
    """Restores every part in place; as `load_state`."""
    return load_state(path, parts, LoopState)


def save_state(path: Path, state: dict[str, Any], parts: dict[str, Any]) -> None:
    """Writes a state of plain values and the `state_dict` of every part into one file, or nothing."""
    saved = {name: part.state_dict() for name, part in parts.items()}
    with written_atomically(path) as aside:
        torch.save({"state": state, **saved}, aside)


def load_state(path: Path, parts: dict[str, Any], kind: Callable[..., State]) -> State | None:
    """Restores every part in place.

    Args:
        kind: Class of the state.

    Returns:
        The state, or None where there is no checkpoint.

    Raises:
        RunError: The file exists but is not a checkpoint of these parts.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        return kind(**saved["state"])
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError, UnpicklingError) as error:
        cause = type(error).__name__
        raise RunError(
            f"{path} is not a checkpoint of this run ({cause}); remove it to start anew"
        ) from error


def best_file(folder: Path, state: LoopState) -> Path:
    """The weights of the best epoch; it names them, because a repeated epoch may score otherwise on a GPU."""
    return folder / f"best-{state.best_epoch}.safetensors"
