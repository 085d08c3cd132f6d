"""The interpolated bound: its published values, its caps in float32, its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.models.forward import Features
from engine.objective.hidden import HIDDEN
from engine.objective.mutual_information import MutualInformation, bound_per_sample
from engine.pipeline import MIAlpha, MLPCritic, TransformerCritic
from tests.reference import objectives as naive
from tests.reference.critics import tower

WIDTH, SAMPLES, BATCHES = 20, 64, 400
ALPHAS = (1.0, 0.9, 0.5, 0.01, 0.0)
YARDSTICK = {  # true mutual information → the bound for each α (methods.md, section 2)
    2: (1.83, 1.86, 1.94, 2.02, 2.02),
    4: (3.06, 3.22, 3.49, 3.97, 4.01),
    6: (3.75, 4.15, 4.59, 5.79, 6.04),
    8: (4.02, 4.70, 5.21, 7.27, 8.20),
    10: (4.12, 5.01, 5.56, 8.35, 9.66),
}


def log_density(squared_distance: Tensor, variance: float) -> Tensor:
    return -squared_distance / (2 * variance) - WIDTH / 2 * math.log(2 * math.pi * variance)


def gaussian_scores(information: float, batches: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, y, the exact critic log p(y|x) and the exact log baseline log p(y) of many batches."""
    generator = torch.Generator().manual_seed(information)
    rho = math.sqrt(1 - math.exp(-2 * information / WIDTH))
    x, noise = torch.randn(2, batches, SAMPLES, WIDTH, generator=generator, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    scores = log_density(torch.cdist(rho * x, y).square(), 1 - rho**2)
    return x, y, scores, log_density(y.square().sum(-1), 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("information", YARDSTICK)
def test_published_values(information, dtype):
    _, _, scores, log_baseline = gaussian_scores(information, BATCHES)
    scores, log_baseline = scores.to(dtype), log_baseline.to(dtype)
    for alpha, published in zip(ALPHAS, YARDSTICK[information], strict=True):
        bounds = bound_per_sample(scores, log_baseline, alpha).mean(-1)
        # The published value is a mean of 400 batches too, rounded to two digits.
        error = math.sqrt(2) * bounds.std().item() / math.sqrt(BATCHES)
        assert abs(bounds.mean().item() - published) < 4 * error + 0.005, f"alpha {alpha}"


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("critic", ["exact", "too sharp", "too flat", "shifted"])
def test_never_above_the_truth(alpha, critic):
    for information in (2, 6):
        _, _, scores, log_baseline = gaussian_scores(information, 100)
        critics = {"exact": scores, "too sharp": 1.2 * scores, "too flat": 0.5 * scores, "shifted": scores + 0.7}
        bounds = bound_per_sample(critics[critic], log_baseline, alpha).mean(-1)
        assert bounds.mean() <= information + 4 * bounds.std() / math.sqrt(len(bounds))


@pytest.mark.parametrize("kind", ["mse", "l2", "pkd", "cos"])
@pytest.mark.parametrize("information", [0.0, 0.05, 1.0])
def test_theorem_losses_are_lower_bounds(kind, information):
    """Distiller, theorem 3.1: minus the loss, less 1, is below TUBA with that critic, below the truth."""
    generator = torch.Generator().manual_seed(5)
    rho = math.sqrt(1 - math.exp(-2 * information / WIDTH))
    x, noise = torch.randn(2, 200, SAMPLES, WIDTH, generator=generator, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    rows, columns = (part.expand(200, SAMPLES, SAMPLES, WIDTH) for part in (x.unsqueeze(2), y.unsqueeze(1)))
    token = torch.ones(200 * SAMPLES**2, 1, dtype=torch.bool)
    loss = HIDDEN[kind](rows.reshape(-1, 1, 1, WIDTH), columns.reshape(-1, 1, 1, WIDTH), token)
    loss = loss.reshape(200, SAMPLES, SAMPLES) * (WIDTH if kind == "mse" else 1)
    joint = loss.diagonal(dim1=1, dim2=2).mean(1)
    bounds = bound_per_sample(-loss, torch.zeros(200, SAMPLES, dtype=torch.float64), alpha=0.0).mean(1)
    assert (-joint - 1 <= bounds).all()
    assert bounds.mean() <= information + 4 * bounds.std() / math.sqrt(len(bounds))
    assert bounds.mean() > -joint.mean() - 1 + 1e-6


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_equals_the_loop(alpha, dtype):
    generator = torch.Generator().manual_seed(3)
    scores = (2 * torch.randn(6, 6, generator=generator)).to(dtype)
    log_baseline = torch.randn(6, generator=generator).to(dtype)
    bound = bound_per_sample(scores, log_baseline, alpha).mean()
    assert bound.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bound.item() == pytest.approx(naive.interpolated_bound(scores, log_baseline, alpha), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@settings(deadline=None, max_examples=150)
@given(
    count=st.integers(1, 130),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 30.0, 1e4, 1e30]),
    lead=st.sampled_from([0.0, 5.0, 40.0, 1e4, 1e20]),
    offset=st.sampled_from([0.0, 1e3, -1e5, 1e15]),
    seed=st.integers(0, 10**6),
)
def test_infonce_never_exceeds_its_cap(dtype, count, scale, lead, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, count, generator=generator, dtype=dtype) * scale + offset + lead * torch.eye(count)
    values = bound_per_sample(scores, torch.randn(count, generator=generator, dtype=dtype), 1.0)
    assert values.isfinite().all()
    assert values.max().item() <= math.log(count)


@pytest.mark.parametrize("count", range(2, 300))
def test_a_perfect_critic_reaches_the_cap(count):
    for value in bound_per_sample(torch.eye(count) * 1e4, torch.zeros(count), 1.0).tolist():
        assert math.log(count) - 1e-6 < value <= math.log(count)


def test_one_dominating_score_does_not_cancel():
    """Subtracting it from its column's total would leave nothing of the negatives."""
    scores = torch.zeros(8, 8)
    scores[3, 3] = 200.0
    values = bound_per_sample(scores, torch.zeros(8), 1.0)
    torch.testing.assert_close(values, torch.tensor([0, 0, 0, math.log(8), 0, 0, 0, 0]))


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("lead", [0.0, 10.0, 1e3])
def test_interpolation_has_its_own_cap(alpha, lead):
    scores = lead * torch.eye(SAMPLES, dtype=torch.float64)
    for level in (-1e3, 0.0, 1e3):
        log_baseline = torch.full((SAMPLES,), level, dtype=torch.float64)
        assert bound_per_sample(scores, log_baseline, alpha).mean() <= 1 + math.log(SAMPLES / alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_gradient_is_the_derivative(alpha):
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    log_baseline = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, q: bound_per_sample(f, q, alpha), (scores, log_baseline))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("lead", [0.0, 80.0, -80.0])
def test_gradient_is_finite_at_the_extremes(alpha, lead):
    scores = (lead * torch.eye(6)).requires_grad_()
    log_baseline = torch.zeros(6, requires_grad=True)
    bound_per_sample(scores, log_baseline, alpha).mean().backward()
    for leaf in (scores, log_baseline):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    if alpha == 1:
        assert not log_baseline.grad.any(), "InfoNCE has no baseline"


def test_a_single_sample_has_no_negatives_and_is_worth_nothing():
    scores, log_baseline = torch.ones(1, 1, requires_grad=True), torch.ones(1, requires_grad=True)
    for alpha in ALPHAS:
        bound = bound_per_sample(scores, log_baseline, alpha).mean()
        bound.backward()
        assert bound == 0
    assert scores.grad == 0
    assert log_baseline.grad == 0


# --- the module -------------------------------------------------------------------------------------

CRITICS = [
    TransformerCritic(width=16, layers=1, feed_forward=16, heads=4),
    MLPCritic(width=16, layers=2, feed_forward=16),
]


def module(critic, level="sequence", pairs=((1, 1), (1, 2), (2, 1), (2, 2)), **knobs):
    torch.manual_seed(0)
    spec = MIAlpha(critic=critic, level=level, **knobs)
    return MutualInformation(spec, "classification", pairs, 6, 8)


def sides(count=4, tokens=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(tokens) < torch.tensor([5, 2, 4, 3, 1, 5][:count])[:, None]
    student = {i: torch.randn(count, tokens, 6, generator=generator) for i in (1, 2)}
    teacher = {j: torch.randn(count, tokens, 8, generator=generator) for j in (1, 2)}
    return Features(torch.zeros(count), student, mask), Features(torch.zeros(count), teacher, mask)


def log_baseline(objective, member, ys):
    return ys @ objective.log_baselines.weight[member, :, 0] + objective.log_baselines.bias[member, 0]


@pytest.mark.parametrize("critic", CRITICS, ids=lambda critic: critic.kind)
def test_module_at_sequence_level_equals_the_loop(critic):
    objective, (student, teacher) = module(critic), sides()
    values = objective(student, teacher)
    assert values.shape == (4, 4)

    def pooled(one, hidden, mask):
        return [one(hidden, mask)[b][mask[b]].mean(0) for b in range(len(mask))]

    for row, (i, j) in zip(values, ((1, 1), (1, 2), (2, 1), (2, 2)), strict=True):
        xs = pooled(tower(objective.student_towers, i - 1), student.hidden[i], student.mask)
        ys = pooled(tower(objective.teacher_towers, j - 1), teacher.hidden[j], teacher.mask)
        scores = torch.stack([torch.stack([x @ y / 16**0.5 for y in ys]) for x in xs])
        log_q = log_baseline(objective, j - 1, torch.stack(ys))
        expected = -naive.interpolated_bound(scores, log_q, objective.alpha)
        assert row.mean().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("critic", CRITICS, ids=lambda critic: critic.kind)
@pytest.mark.parametrize("level", ["sequence", "token"])
def test_padding_never_counts(critic, level):
    objective, (student, teacher) = module(critic, level), sides()
    values = []
    for garbage in (0.0, 100.0):
        dirt = (~student.mask).unsqueeze(-1) * garbage
        dirty = [
            Features(side.logits, {n: h + dirt for n, h in side.hidden.items()}, side.mask)
            for side in (student, teacher)
        ]
        torch.manual_seed(1)
        values.append(objective(*dirty))
    torch.testing.assert_close(*values)


def test_each_side_is_pooled_over_its_own_tokens():
    objective, (student, _) = module(CRITICS[0]), sides()
    _, teacher = sides(tokens=9, seed=1)
    assert objective(student, teacher).isfinite().all()


@pytest.mark.parametrize("critic", CRITICS, ids=lambda critic: critic.kind)
def test_an_example_without_tokens_is_worth_nothing(critic):
    objective, (student, teacher) = module(critic), sides()
    student.mask[2] = False
    values = objective(student, teacher)
    values.sum().backward()
    assert not values[:, 2].any()
    assert values[:, 0].all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())


@pytest.mark.parametrize("without", ["student", "teacher"])
def test_an_example_that_one_of_the_two_does_not_see_is_worth_nothing(without):
    objective, given = module(CRITICS[1]), dict(zip(("student", "teacher"), sides(), strict=True))
    mask = given[without].mask.clone()
    mask[2] = False
    given[without] = Features(given[without].logits, given[without].hidden, mask)
    values = objective(given["student"], given["teacher"])
    assert not values[:, 2].any()
    assert values[:, [0, 1, 3]].all()


@pytest.mark.parametrize(("limit", "drawn"), [(2, 2), (6, 6), (256, 14)])
def test_tokens_are_drawn_from_the_valid_ones(limit, drawn):
    objective, (student, _) = module(CRITICS[1], "token", max_tokens=limit), sides()
    torch.manual_seed(3)
    first, second = objective._draw(student.mask), objective._draw(student.mask)
    assert len(first) == len(set(first.tolist())) == drawn
    assert student.mask.flatten()[first].all()
    assert first.tolist() != second.tolist()
    torch.manual_seed(3)
    assert objective._draw(student.mask).tolist() == first.tolist()


def test_a_loss_that_is_only_asked_for_always_draws_the_same_tokens():
    objective, (student, _) = module(CRITICS[1], "token", max_tokens=5).eval(), sides()
    before = torch.get_rng_state()
    first, second = objective._draw(student.mask), objective._draw(student.mask)
    assert first.tolist() == second.tolist()
    assert first.tolist() != student.mask.flatten().nonzero()[:5, 0].tolist(), "drawn, not the first ones"
    assert torch.equal(torch.get_rng_state(), before), "training goes on as if nothing had been asked"


def test_token_level_values_are_the_mean_over_drawn_tokens():
    objective, (student, teacher) = module(CRITICS[1], "token"), sides()
    values = objective(student, teacher)
    assert values.shape == (4, 4)
    x = tower(objective.student_towers, 0)(student.hidden[1], student.mask)[student.mask]
    y = tower(objective.teacher_towers, 1)(teacher.hidden[2], student.mask)[student.mask]
    log_q = log_baseline(objective, 1, y)
    expected = -naive.interpolated_bound(x @ y.T / 4, log_q, objective.alpha)
    torch.testing.assert_close(values[1], torch.full((4,), expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("valid", [0, 1])
def test_too_few_tokens_to_contrast_are_worth_nothing(valid):
    objective, (student, teacher) = module(CRITICS[0], "token"), sides()
    student.mask.fill_(False)
    student.mask[0, :valid] = True
    values = objective(student, teacher)
    values.sum().backward()
    assert not values.any()
    assert all(p.grad is not None and not p.grad.any() for p in objective.parameters()), "processes must agree"


@pytest.mark.parametrize(
    ("level", "kind", "by_token"),
    [
        ("auto", "classification", False),
        ("auto", "regression", False),
        ("auto", "tagging", True),
        ("auto", "question_answering", True),
        ("token", "classification", True),
        ("sequence", "tagging", False),
    ],
)
def test_level(level, kind, by_token):
    spec = MIAlpha(level=level, critic=CRITICS[1])
    assert MutualInformation(spec, kind, [(1, 1)], 6, 8).token_level == by_token


def test_one_tower_per_layer_serves_all_pairs():
    pairs = [(i, j) for i in (1, 2, 3) for j in (1, 2, 3, 4)]
    objective = module(CRITICS[1], pairs=pairs)
    assert {len(p) for p in objective.student_towers.parameters()} == {3}
    assert {len(p) for p in objective.teacher_towers.parameters()} == {4}
    assert {len(p) for p in objective.log_baselines.parameters()} == {4}


@pytest.mark.parametrize("critic", CRITICS, ids=lambda critic: critic.kind)
def test_training_raises_the_bound_towards_the_truth(critic):
    """y is x and a little noise: the truth, 21 nats, lies far above what 32 samples can show."""
    generator = torch.Generator().manual_seed(0)
    objective = MutualInformation(MIAlpha(critic=critic), "classification", [(1, 1)], 6, 6)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=5e-3)
    mask, bounds = torch.ones(32, 1, dtype=torch.bool), []
    for _ in range(60):
        x = torch.randn(32, 1, 6, generator=generator)
        y = x + 0.03 * torch.randn(32, 1, 6, generator=generator)
        loss = objective(Features(x, {1: x}, mask), Features(y, {1: y}, mask)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        bounds.append(-loss.item())
    assert bounds[0] < 0.5
    assert sum(bounds[-5:]) / 5 > 1.5
    assert max(bounds) <= 1 + math.log(32 / 0.9)
