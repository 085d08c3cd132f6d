"""What a type of model must have to do a kind of task."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from engine.run.heads import head_problems


@pytest.mark.parametrize(
    ("model_type", "kind", "how", "says"),
    [
        ("bert", "classification", {}, ""),
        ("bert", "classification", {"mixing": True}, ""),
        ("mamba", "classification", {}, "no head for classification"),
        ("mamba", "classification", {"auto": AutoModelForCausalLM}, ""),
        ("vit", "tagging", {}, "no head for tagging"),
        ("bert", "classification", {"auto": AutoModelForCausalLM}, ""),
        ("reformer", "classification", {"auto": AutoModelForCausalLM}, ""),
    ],
)
def test_what_transformers_has(model_type: str, kind: Any, how: dict[str, Any], says: str) -> None:
    problems = head_problems(AutoConfig.for_model(model_type), kind, "teacher", **how)
    assert says in "".join(map(str, problems))
    assert bool(says) == bool(problems)


def test_what_is_from_scratch_can_do_everything() -> None:
    assert not head_problems(None, "tagging", "teacher")
