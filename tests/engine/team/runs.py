"""Runs with small teams, which several test modules start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import distill
from engine.base.options import FineTuning, RunOptions
from engine.pipeline.team import FOR_REGRESSION
from engine.run.result import RunResult
from tests.engine.conftest import Ear
from tests.toys import toy_task

TEAM_KINDS = ("average", "assistants", "weighted", "stochastic", "autoskd")
SMALL, OTHER = "scratch:layers=1,hidden=32,heads=1", "scratch:layers=1,hidden=16,heads=1"


def spec(team_kind: str, kind: str = "single", **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"kind": team_kind, "members": ["layers:1", SMALL]}
    if team_kind == "autoskd":
        usual |= {"candidates": 2}
        usual |= FOR_REGRESSION if kind == "regression" else {}
    return usual | more


def quick(options: RunOptions, out: Path, team: dict[str, Any], ear: Ear | None = None, **more: Any) -> RunResult:
    """A run of a few steps, where nothing has to be learned."""
    usual = {
        "data": toy_task("single", rows=24, held_out=8),
        "teacher": "scratch:layers=2,hidden=16,heads=2",
        "student": "layers:1",
        "pipeline": {"team": team, "training": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}},
        "fine_tuning": FineTuning(epochs=1, learning_rate=1e-3),
    }
    return distill(**(usual | more), options=options, out=out, reporter=ear)
