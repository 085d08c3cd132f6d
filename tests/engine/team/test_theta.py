"""θ: its gradient against differences and against autograd, the simplex, the selection."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from engine.team.theta import Theta, gradient, normalised, selected, target_of
from tests.engine.team.learners import Batch, TwoLayers, distance, made_batch

MEMBERS = 4
RATE = 0.7
THETA = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
CASES = [(update, gold) for update in ("sswo", "cr") for gold in (False, True)]
DRAWN = 2


def mixed(theta: Tensor, logits: Tensor, update: str) -> Tensor:
    """What teaches, written out."""
    if update == "sswo":
        return theta[DRAWN] * logits[DRAWN]
    return sum(theta[place] * logits[place] for place in range(len(theta)))  # type: ignore[return-value]


def validation_loss(learner: TwoLayers, weights: dict[str, Tensor], batch: Batch, theta: Tensor, update: str) -> Tensor:
    answer = functional_call(learner.network, weights, (batch.inputs,))
    if learner.gold:
        return torch.nn.functional.cross_entropy(answer, batch.labels)
    return distance(answer, mixed(theta, batch.logits, update))


def stepped(learner: TwoLayers, batch: Batch, theta: Tensor, update: str, keep: bool = False) -> dict[str, Tensor]:
    """w − α ∇_w L_train(w, θ), as a function of θ where `keep`."""
    weights = dict(learner.network.named_parameters())
    answer = functional_call(learner.network, weights, (batch.inputs,))
    loss = distance(answer, mixed(theta, batch.logits, update))
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=keep)
    return {name: weight - RATE * slope for (name, weight), slope in zip(weights.items(), slopes, strict=True)}


def differences(function, theta: Tensor, reach: float = 1e-6) -> Tensor:
    found = []
    for place in range(len(theta)):
        ends = []
        for sign in (1, -1):
            moved = theta.clone()
            moved[place] += sign * reach
            ends.append(float(function(moved).detach()))
        found.append((ends[0] - ends[1]) / (2 * reach))
    return torch.tensor(found, dtype=torch.float64)


def found_gradient(learner: TwoLayers, update: str, second_order: bool) -> Tensor:
    theta = THETA.clone().requires_grad_()
    target = target_of(theta, DRAWN, update)
    train, validation = made_batch(1, MEMBERS), made_batch(2, MEMBERS)
    return gradient(learner, theta, target, train, validation, RATE, second_order)


@pytest.mark.parametrize("second_order", [False, True])
def test_a_parameter_that_is_not_learned_stays_and_changes_nothing_else(second_order: bool) -> None:
    learner, without = TwoLayers(5, 3), TwoLayers(5, 3)
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)  # such as sinusoidal positions
    learner.network.register_parameter("positions", frozen)
    found = found_gradient(learner, "cr", second_order)
    assert torch.equal(found, found_gradient(without, "cr", second_order))
    assert torch.equal(frozen, torch.ones(2))
    assert not frozen.requires_grad


@pytest.mark.parametrize("second_order", [False, True])
def test_a_parameter_without_part_in_the_loss_changes_nothing(second_order: bool) -> None:
    learner, without = TwoLayers(5, 3), TwoLayers(5, 3)
    learner.network.register_parameter("pooler", torch.nn.Parameter(torch.ones(2)))  # of a model that nobody asks
    assert torch.equal(found_gradient(learner, "cr", second_order), found_gradient(without, "cr", second_order))


@pytest.mark.parametrize("update", ["sswo", "cr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_teaches_has_the_precision_of_the_logits(update: str, dtype: torch.dtype) -> None:
    logits = torch.randn(MEMBERS, 2, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = target_of(THETA, DRAWN, update)(logits)
    assert (found.dtype, found.shape) == (dtype, (1, 2, 3))
    torch.testing.assert_close(found[0].double(), mixed(THETA, logits.double(), update), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_finite_difference_is_as_fine_whatever_the_scale_of_the_loss(scale: float) -> None:
    """Its step is a length in the space of weights, not one of the loss."""
    learner = TwoLayers(5, 3)
    loss = learner.validation_loss
    learner.validation_loss = lambda batch, target: scale * loss(batch, target)  # type: ignore[method-assign]
    theta = THETA.clone().requires_grad_()
    train, validation = made_batch(1, MEMBERS), made_batch(2, MEMBERS)
    unrolled = scale * validation_loss(
        learner, stepped(learner, train, theta, "cr", keep=True), validation, theta, "cr"
    )
    (exact,) = torch.autograd.grad(unrolled, theta)
    torch.testing.assert_close(found_gradient(learner, "cr", True) / scale, exact / scale, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("update, gold", CASES)
def test_first_order_is_the_slope_where_the_step_is_taken_for_a_constant(update: str, gold: bool) -> None:
    learner = TwoLayers(5, 3, gold=gold)
    train, validation = made_batch(1, MEMBERS), made_batch(2, MEMBERS)
    there = {name: weight.detach() for name, weight in stepped(learner, train, THETA, update).items()}
    expected = differences(lambda theta: validation_loss(learner, there, validation, theta, update), THETA)
    assert torch.allclose(found_gradient(learner, update, False), expected, atol=1e-8)
    assert bool(expected.any()) is not gold


@pytest.mark.parametrize("update, gold", CASES)
def test_second_order_is_the_slope_of_the_whole(update: str, gold: bool) -> None:
    learner = TwoLayers(5, 3, gold=gold)
    train, validation = made_batch(1, MEMBERS), made_batch(2, MEMBERS)

    def whole(theta: Tensor) -> Tensor:
        return validation_loss(learner, stepped(learner, train, theta, update), validation, theta, update)

    theta = THETA.clone().requires_grad_()
    unrolled = validation_loss(learner, stepped(learner, train, theta, update, keep=True), validation, theta, update)
    (exact,) = torch.autograd.grad(unrolled, theta)
    assert torch.allclose(exact, differences(whole, THETA), atol=1e-8)
    found, first = (found_gradient(learner, update, order) for order in (True, False))
    assert torch.allclose(found, exact, rtol=1e-3, atol=1e-6)
    assert (first - exact).abs().max() > 20 * (found - exact).abs().max()


@pytest.mark.parametrize("second_order", [False, True])
def test_asking_for_the_gradient_changes_nothing(second_order: bool) -> None:
    learner = TwoLayers(5, 3)
    before = [weight.detach().clone() for weight in learner.parameters()]
    found_gradient(learner, "sswo", second_order)
    for weight, old in zip(learner.parameters(), before, strict=True):
        assert torch.equal(weight, old)
        assert weight.requires_grad
        assert weight.grad is None


def test_only_the_drawn_member_has_a_gradient() -> None:
    found = found_gradient(TwoLayers(5, 3), "sswo", True)
    assert [place for place in range(MEMBERS) if found[place] != 0] == [DRAWN]
    assert (found_gradient(TwoLayers(5, 3), "cr", True) != 0).all()


shares = st.lists(st.floats(0.001, 1), min_size=2, max_size=9)


@given(shares, st.data())
def test_selection_is_the_paper_s(values: list[float], data: st.DataObject) -> None:
    theta = np.array(values) / sum(values)
    count = data.draw(st.integers(0, len(values) - 1))
    smallest = np.argsort(theta, kind="stable")[:count]
    kept = np.array([0.0 if place in smallest else 1.0 for place in range(len(theta))])
    expected = theta * kept / max((np.abs(theta * kept) ** 1).sum() ** 1, 1e-12)
    found = selected(torch.from_numpy(theta), count).numpy()
    if len(set(values)) == len(values):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.count_nonzero(found) == len(theta) - count
    assert abs(found.sum() - 1) < 1e-12


def test_nothing_is_normalised_to_nothing() -> None:
    assert normalised(torch.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("update", ["sswo", "cr"])
def test_theta_stays_a_distribution(update: str) -> None:
    random = np.random.default_rng(0)
    theta = Theta(6, 0.1, 1e-3, update)  # type: ignore[arg-type]
    for step in range(200):
        if step == 100:
            left = theta.drop(2)
            assert len(left) == 2
        theta.step(torch.from_numpy(random.normal(size=6)), theta.draw(random))
        assert abs(sum(theta.shares) - 1) < 1e-12
        assert min(theta.shares) >= 0
    assert all(theta.shares[place] == 0 for place in left)
    assert set(theta.kept) == set(range(6)) - set(left)


def test_the_others_keep_their_proportions() -> None:
    theta = Theta(4, 0.05, 1e-3, "sswo")
    theta.step(torch.ones(4), 3)
    theta.step(-torch.ones(4), 1)
    assert theta.shares[1] > theta.shares[0] > theta.shares[3]
    assert theta.shares[0] == pytest.approx(theta.shares[2], abs=1e-15)


def test_plain_slopes_are_the_gradient_itself() -> None:
    """Adam written out: its first step is the learning rate times slope / (|slope| + ε)."""
    for slopes, epsilon in (("plain", 1e-2), ("plain", 1e-8), ("relative", 1e-2)):
        theta = Theta(2, 0.01, 0.0, "sswo", slopes, epsilon)  # type: ignore[arg-type]
        theta.step(torch.tensor([-0.02, -0.5]), drawn=0)
        slope = -0.02 if slopes == "plain" else 0.0  # nothing to compare the first one with
        raised = 0.5 - 0.01 * slope / (abs(slope) + epsilon)
        assert theta.shares == pytest.approx([raised / (raised + 0.5), 0.5 / (raised + 0.5)], rel=1e-6)


@pytest.mark.parametrize("slopes", [None, "relative", "plain"])
@pytest.mark.parametrize("update", ["sswo", "cr"])
def test_steps_are_those_of_adam_in_plain_numbers(update: str, slopes: str | None) -> None:
    """A relative slope, which is the default, is a teacher's less the mean of all recent ones: 0.9 old and 0.1 new."""
    count, rate, epsilon, dice = 4, 0.02, 1e-3, np.random.default_rng(0)
    more = {} if slopes is None else {"slopes": slopes}
    theta = Theta(count, rate, 0.01, update, epsilon=epsilon, **more)  # type: ignore[arg-type]
    shares, recent, first, second, steps = [1 / count] * count, {}, [0.0] * count, [0.0] * count, [0] * count
    for _ in range(30):
        gradient, drawn = dice.normal(size=count), int(dice.integers(count))
        theta.step(torch.from_numpy(gradient), drawn)
        moved = [drawn] if update == "sswo" else range(count)
        for place in moved:
            recent[place] = 0.9 * recent[place] + 0.1 * gradient[place] if place in recent else gradient[place]
        usual = 0.0 if slopes == "plain" else sum(recent.values()) / len(recent)
        for place in moved:
            slope = gradient[place] - usual + 0.01 * shares[place]
            steps[place] += 1
            first[place] = 0.9 * first[place] + 0.1 * slope
            second[place] = 0.999 * second[place] + 0.001 * slope**2
            mean, square = first[place] / (1 - 0.9 ** steps[place]), second[place] / (1 - 0.999 ** steps[place])
            shares[place] -= rate * mean / (square**0.5 + epsilon)
        shares = [max(share, 0.0) for share in shares]
        shares = [share / sum(shares) for share in shares]
        assert theta.shares == pytest.approx(shares, rel=1e-6)


def test_members_are_drawn_by_their_shares() -> None:
    theta = Theta(3, 0.1, 0.0, "sswo")
    theta.load_state_dict({**theta.state_dict(), "shares": [0.5, 0.5, 0.0], "kept": [0, 1]})
    random = np.random.default_rng(0)
    drawn = np.bincount([theta.draw(random) for _ in range(4000)], minlength=3) / 4000
    assert abs(drawn - [0.5, 0.5, 0]).max() < 0.03


def test_a_checkpoint_goes_on_alike() -> None:
    one, other = Theta(3, 0.01, 1e-3, "sswo"), Theta(3, 0.01, 1e-3, "sswo")
    for step in range(5):
        one.step(torch.tensor([0.3, -0.2, 0.1]), step % 3)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for theta in (one, other):
        theta.step(torch.tensor([0.3, -0.2, 0.1]), 1)
    assert one.shares == other.shares
