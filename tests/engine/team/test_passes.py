"""How often the members of a team are asked, and that the record says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from engine.base.options import RunOptions
from tests.engine.conftest import Ear
from tests.engine.team.runs import OTHER, SMALL, TEAM_KINDS, quick, spec

MODELS = {"teacher": "scratch:layers=2,hidden=24,heads=2", "student": "scratch:layers=1,hidden=8,heads=1"}
"""Told apart by their width from each other and from the members."""


@pytest.mark.parametrize("team_kind", TEAM_KINDS)
def test_every_member_sees_every_example_once(team_kind: str, options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    result = quick(options, tmp_path / "run", spec(team_kind), ear)
    # In a chain the strongest teaches the next one, and so on; the last one teaches the student.
    teaching = 4 if team_kind == "assistants" and _first_twice(ear) else 3
    assert result.teacher_examples == teaching * 24
    assert ear.advanced["teacher signals"] == result.teacher_examples
    for again in TEAM_KINDS:
        if again not in (team_kind, "assistants") and team_kind != "assistants":
            assert quick(options, tmp_path / again, spec(again)).teacher_examples == 0


def _first_twice(ear: Ear) -> bool:
    """Whether the teacher itself is an assistant of somebody, so that the student's teacher comes on top."""
    return any(message.startswith("scratch:layers=2,hidden=16,heads=2 as assistant") for message in ear.messages)


@pytest.fixture
def asked() -> Iterator[Counter[int]]:
    """Width of a model → examples that it has answered; not those that it has learned from."""
    found: Counter[int] = Counter()

    def count(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, BertForSequenceClassification) and not module.training:
            found[module.config.hidden_size] += len(output.logits)

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    yield found
    hook.remove()


@pytest.mark.parametrize("team_kind", ["stochastic", "autoskd"])
def test_augmented_examples_are_the_teacher_s(
    team_kind: str, options: RunOptions, tmp_path: Path, asked: Counter[int]
) -> None:
    """Once for all candidates of a search; the members, of width 32 and 16, are not asked."""
    plain = {"training": {"epochs": 2, "batch_size": 8}, "team": spec(team_kind, members=[SMALL, OTHER])}
    found = []
    for name, pipeline in (("first", plain), ("plain", plain), ("more", plain | {"augmentation": "random"})):
        asked.clear()
        result = quick(options, tmp_path / name, {}, pipeline=pipeline, **MODELS)
        found.append((result.teacher_examples, asked[24], asked[32], asked[16]))
    _, before, after = found
    assert "augmented_prediction" in result.history[0]["loss"]
    assert np.subtract(after, before).tolist() == [2 * 24, 2 * 24, 0, 0]
    assert (before[0], before[2], before[3]) == (0, 0, 0)


def test_a_teacher_that_runs_along_sees_each_batch_of_a_search_once(
    options: RunOptions, tmp_path: Path, asked: Counter[int]
) -> None:
    found = []
    for signals in ("auto", "auto", "online"):  # the second one finds everything in the cache
        asked.clear()
        own = options.model_copy(update={"signals": signals})
        result = quick(own, tmp_path / f"{signals}-{len(found)}", spec("autoskd", members=[SMALL, OTHER]), **MODELS)
        found.append((result.teacher_examples, asked[24], asked[32], asked[16]))
    _, cached, online = found
    search, candidates = 2 * 3 * 12, 2 * 2 * 24  # two halves of 12 rows, three times; two epochs each
    assert np.subtract(online, cached).tolist() == [search + candidates, search + candidates, 0, 0]


def test_a_search_sees_as_many_examples_whatever_is_accumulated(options: RunOptions, tmp_path: Path) -> None:
    training = {"epochs": 2, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 1e-3}
    quick(options, tmp_path / "run", {}, pipeline={"team": spec("autoskd"), "training": training})
    rows = (tmp_path / "run" / "theta.csv").read_text("utf-8").splitlines()[1:]
    assert len(rows) == 2 * 24 / 4
