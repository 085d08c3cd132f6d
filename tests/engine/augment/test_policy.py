"""Stacks: their order is kept and matters, and every stack validates or is refused with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from engine.augment.passages import Passage
from engine.augment.policy import Policy
from engine.data.task import TASK_KINDS, TaskKind
from engine.pipeline import Mixup, Pipeline

KINDS = ("contextual", "random", "back_translation", "mixup")
STACKS = [stack for size in range(1, 5) for stack in permutations(KINDS, size)]
ROWS = [{"text": f"row {place}", "label": place} for place in range(6)]


class Marks:
    """An operator that leaves its mark on every word."""

    def __init__(self, mark: str):
        self.mark = mark

    def __call__(self, passages: Sequence[Passage], generator: np.random.Generator) -> list[Passage]:
        return [passage.with_words([word + self.mark for word in passage.words]) for passage in passages]


def made(policy: Policy, seed: int = 0) -> list[str]:
    return [row["text"] for row in policy(ROWS, "classification", np.random.default_rng(seed)).rows]


def test_operators_act_in_their_order() -> None:
    assert made(Policy((Marks("1"), Marks("2"))))[0] == "row12 012"
    assert made(Policy((Marks("2"), Marks("1"))))[0] == "row21 021"


def test_what_stands_behind_mixup_changes_both_partners() -> None:
    found = Policy((Marks("1"),), Mixup(), (Marks("2"),))(ROWS, "classification", np.random.default_rng(0))
    assert found.shares is not None
    assert [row["text"] for row in found.rows[:6]] == [f"row12 {place}12" for place in range(6)]
    partners = [row["label"] for row in found.rows[6:]]
    assert [row["text"] for row in found.rows[6:]] == [f"row2 {place}2" for place in partners]
    assert sorted(partners) == list(range(6))
    assert all(place != partner for place, partner in enumerate(partners))


def test_rows_themselves_are_left_alone() -> None:
    before = [dict(row) for row in ROWS]
    made(Policy((Marks("1"),), Mixup(), (Marks("2"),)))
    assert before == ROWS


def test_the_same_seed_makes_the_same() -> None:
    policy = Policy((), Mixup())
    assert made(policy, 3) == made(policy, 3)
    assert made(policy, 3) != made(policy, 4)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_stack_validates_or_is_refused_with_a_reason(kind: TaskKind) -> None:
    assert len(STACKS) == 64
    for stack in STACKS:
        pipeline = Pipeline.model_validate({"augmentation": "+".join(stack)})
        assert tuple(pipeline.augmentation.kinds) == stack
        problems = pipeline.problems_with(kind)
        breaks = kind in ("tagging", "question_answering") and "back_translation" in stack
        assert bool(problems) == breaks
        if breaks:
            (problem,) = problems
            assert problem.place == "augmentation.operators"
            assert "translation keeps no" in problem.what


def test_stacks_of_other_orders_are_other_pipelines() -> None:
    keys = {Pipeline.model_validate({"augmentation": "+".join(stack)}).key for stack in STACKS}
    assert len(keys) == 64
