"""How weights can be held: what is refused, and what stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.base.options import FineTuning
from engine.models.names import parse_model
from engine.run.memory import held_problems, weights_of
from engine.run.plan import plan_teacher
from tests.toys import toy_task

SCRATCH = "scratch:layers=2,hidden=16,heads=2"


def test_a_start_in_float32_is_what_it_was(saved: Callable[..., Path]) -> None:
    start = plan_teacher(str(saved("single")), toy_task("single"), FineTuning()).start
    assert start.held_in("float32") is start
    assert "weights" not in FineTuning().model_dump()


def test_weights_in_few_bits_do_not_learn(saved: Callable[..., Path]) -> None:
    tuning = FineTuning(when="always", weights="bf16")
    plan = plan_teacher(str(saved("single")), toy_task("single"), tuning)
    (problem,) = held_problems(plan.start, plan.fine_tune, tuning)
    assert "cannot learn" in problem.what
    assert "--teacher-lora 16" in problem.suggestion
    by_lora = tuning.model_copy(update={"lora": 4})
    assert not held_problems(plan.start, plan.fine_tune, by_lora)
    assert not held_problems(plan.start, False, tuning)
    random = plan_teacher(parse_model(SCRATCH, "teacher"), toy_task("single"), tuning)
    assert "random weights" in held_problems(random.start, True, tuning)[0].what


def test_what_is_not_installed_is_said(saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.run.memory.has_library", lambda: False)
    tuning = FineTuning(weights="4bit")
    plan = plan_teacher(str(saved("single")), toy_task("single"), tuning)
    (problem,) = held_problems(plan.start, plan.fine_tune, tuning)
    assert str(problem).startswith("--teacher-weights: bitsandbytes is not installed; pip install ")


def test_fewer_bits_take_fewer_bytes(saved: Callable[..., Path]) -> None:
    start = plan_teacher(str(saved("single")), toy_task("single"), FineTuning()).start
    assert [weights_of(start) // weights_of(start.held_in(bits)) for bits in ("bf16", "8bit", "4bit")] == [2, 4, 8]
