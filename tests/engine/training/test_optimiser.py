"""The optimiser: what decays, how the rate moves, what is clipped with what."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_linear_schedule_with_warmup

from engine.models.load import build, for_task
from engine.objective.equation import Objective
from engine.pipeline import MIAlpha, Pipeline, Skip, Training, TransformerCritic
from engine.training.optimiser import clip_gradients, optimizer_for, schedule, set_learning_rate, step_seed
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task

TRAINING = Training(learning_rate=1e-3, weight_decay=0.1)


def models(learning_rate: float = 2e-2):
    critic = TransformerCritic(width=8, layers=1, feed_forward=8, heads=2, learning_rate=learning_rate)
    pipeline = Pipeline(intermediate=MIAlpha(critic=critic), mapping=Skip())
    task = toy_task("single")
    student = build(for_task(tiny_config(layers=2), task, wordpiece()), task.kind, 0)
    sizes = {"student_layers": 2, "student_width": 16, "teacher_layers": 4, "teacher_width": 8}
    return student, Objective(pipeline, task.kind, **sizes)


def test_every_parameter_is_trained_once_at_its_rate() -> None:
    student, objective = models()
    groups = optimizer_for(student, objective, TRAINING).param_groups
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups)
    for part, rate in ((student, 1e-3), (objective, 2e-2)):
        for name, parameter in part.named_parameters():
            # The critic's towers are stacked: (towers, 1, width).
            bias_or_norm = parameter.ndim <= 1 or parameter.shape[-2] == 1
            assert found.pop(id(parameter)) == (rate, 0.0 if bias_or_norm else 0.1), name
    assert not found


def test_the_schedule_moves_every_group_by_the_same_share() -> None:
    optimizer = optimizer_for(*models(), TRAINING)
    for share in (0.5, 0.25, 1.0):
        set_learning_rate(optimizer, share)
        assert {group["lr"] for group in optimizer.param_groups} == {1e-3 * share, 2e-2 * share}


@pytest.mark.parametrize(("total", "warmup", "rising"), [(1, 0.1, 1), (10, 0.0, 1), (50, 0.1, 5), (9, 0.9, 8)])
def test_the_rate_is_that_of_transformers_but_for_steps_without_any(total: int, warmup: float, rising: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimizer, rising, total + 1)
    rates = []
    for _ in range(total + 2):
        rates.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert (rates[0], rates[-1]) == (0.0, 0.0)
    assert [schedule(step, total, warmup) for step in range(total)] == pytest.approx(rates[1:-1])


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_rate_rises_to_its_peak_and_falls(total: int, warmup: float) -> None:
    shares = [schedule(step, total, warmup) for step in range(total)]
    peak = max(1, round(warmup * total)) - 1
    assert all(0 < share <= 1 for share in shares)
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert shares[min(peak, total - 1)] == pytest.approx(1) or peak == total - 1


@given(st.lists(st.tuples(*[st.integers(0, 2**20)] * 3), unique=True, min_size=2, max_size=20))
def test_steps_and_processes_have_seeds_of_their_own(places: list[tuple[int, int, int]]) -> None:
    assert len({step_seed(*place) for place in places}) == len(places)
    assert all(0 <= step_seed(*place) < 2**63 for place in places)


def test_student_and_critics_are_clipped_apart() -> None:
    student, objective = models()
    for part, size in ((student, 1e-3), (objective, 1e3)):
        for parameter in part.parameters():
            parameter.grad = torch.full_like(parameter, size)
    small = [parameter.grad.clone() for parameter in student.parameters()]
    clip_gradients(student, objective, 1.0)
    norm = torch.stack([parameter.grad.norm() for parameter in objective.parameters()]).norm()
    assert norm == pytest.approx(1.0, rel=1e-3)
    assert all(torch.equal(p.grad, before) for p, before in zip(student.parameters(), small, strict=True))


def test_nothing_beside_the_student_may_be_nothing() -> None:
    student, _ = models()
    nothing = Objective(
        Pipeline(), "classification", student_layers=2, student_width=16, teacher_layers=4, teacher_width=8
    )
    assert len(optimizer_for(student, nothing, TRAINING).param_groups) == 2
    for parameter in student.parameters():
        parameter.grad = torch.ones_like(parameter)
    clip_gradients(student, nothing, 1.0)
