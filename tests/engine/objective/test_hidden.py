"""Losses on hidden states: against loops over floats, then by their properties."""

from __future__ import annotations

import pytest
import torch

from engine.models.forward import Features
from engine.objective.hidden import HIDDEN, HiddenObjective
from engine.pipeline import MSE, PKD
from tests.reference import objectives as naive

KINDS = sorted(HIDDEN)
PRECISIONS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5}
LENGTHS = (5, 2, 4)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def states(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64).to(dtype)
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    return student, teacher, mask


def values_of(kind, student, teacher, mask):
    """The loss of one pair of layers (B, N, E): (B,)."""
    return HIDDEN[kind](student.unsqueeze(2), teacher.unsqueeze(2), mask)[:, 0, 0]


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("masked", [True, False])
def test_equals_the_loop(kind, dtype, masked):
    student, teacher, mask = states(dtype)
    mask = mask if masked else torch.ones_like(mask)
    values = values_of(kind, student, teacher, mask)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = torch.tensor(naive.hidden(kind, student, teacher, mask), dtype=torch.float64)
    torch.testing.assert_close(values.double(), expected, rtol=0, atol=PRECISIONS[dtype])


@pytest.mark.parametrize("same", ["mse", "l2", "cos", "pkd"])
def test_identical_states_cost_nothing(same):
    student, _, mask = states()
    values = values_of(same, student, student, mask)
    torch.testing.assert_close(values, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_cross_entropy_is_least_where_the_states_are_identical():
    student, teacher, mask = states()
    assert (values_of("ce", teacher, teacher, mask) < values_of("ce", student, teacher, mask)).all()


def test_cosine_and_pkd_ignore_length_and_the_others_do_not(kind):
    student, teacher, mask = states()
    once, twice = (values_of(kind, factor * student, teacher, mask) for factor in (1, 2))
    assert torch.allclose(once, twice) == (kind in ("cos", "pkd"))


def test_order_of_the_batch_does_not_matter(kind):
    student, teacher, mask = states()
    order = torch.tensor([2, 0, 1])
    shuffled = values_of(kind, student[order], teacher[order], mask[order])
    torch.testing.assert_close(shuffled, values_of(kind, student, teacher, mask)[order], rtol=0, atol=0)


def test_padding_never_counts(kind):
    student, teacher, mask = states()
    values = values_of(kind, student, teacher, mask)
    garbage = (~mask).unsqueeze(-1) * 1e3
    torch.testing.assert_close(values_of(kind, student + garbage, teacher - garbage, mask), values)
    longer = [torch.cat([part, part.new_full((3, 2, 6), 7.0)], 1) for part in (student, teacher)]
    padded = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1)
    torch.testing.assert_close(values_of(kind, *longer, padded), values)


def test_padding_gets_no_gradient(kind):
    student, teacher, mask = states()
    student.requires_grad_()
    values_of(kind, student, teacher, mask).sum().backward()
    assert student.grad is not None
    assert not student.grad[~mask].any()
    assert student.grad[mask].any()


def test_a_sample_without_tokens_is_worth_nothing(kind):
    student, teacher, mask = states()
    mask[1] = False
    student.requires_grad_()
    values = values_of(kind, student, teacher, mask)
    values.sum().backward()
    assert values[1] == 0
    assert values[0] > 0
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("both", [0.0, 1.0], ids=["both zero", "both one"])
def test_gradient_is_finite_where_the_difference_is_zero(kind, both):
    student = torch.full((2, 3, 4), both, requires_grad=True)
    values_of(kind, student, torch.full((2, 3, 4), both), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_gradient_is_the_derivative(kind):
    student, teacher, mask = states()
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: values_of(kind, s, teacher, mask), student)


def test_values_stay_in_full_precision_under_autocast(kind):
    student, teacher, mask = states(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        values = values_of(kind, student, teacher, mask)
    torch.testing.assert_close(values, values_of(kind, student, teacher, mask))


def test_pkd_reads_the_first_token_alone():
    student, teacher, mask = states()
    whole = values_of("pkd", student, teacher, mask)
    torch.testing.assert_close(values_of("pkd", student, teacher[:, :1], mask), whole)
    changed = student.clone()
    changed[:, 1:] += 1
    torch.testing.assert_close(values_of("pkd", changed, teacher, mask), whole)


# --- every student layer with every teacher layer ------------------------------------------------


def layers(count, dtype=torch.float64, seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, count, width, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("distance", [1.0, 1e-3], ids=["far", "near"])
def test_all_pairs_at_once_equal_each_alone_in_value_and_gradient(kind, dtype, distance):
    """Also of states that nearly agree, where squares less products would leave nothing."""
    mask = states()[2]
    teacher = layers(4, dtype, seed=1)
    student = (teacher[:, :, :3] + distance * layers(3, dtype)).requires_grad_()
    together = HIDDEN[kind](student, teacher, mask)
    apart = torch.empty_like(together)
    for i in range(3):
        for j in range(4):
            apart[:, i, j] = torch.tensor(naive.hidden(kind, student[:, :, i], teacher[:, :, j], mask), dtype=dtype)
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 2e-5, "atol": 1e-6}
    torch.testing.assert_close(together, apart, **tolerance)
    weights = torch.rand(3, 3, 4, dtype=dtype)
    (gradient,) = torch.autograd.grad((together * weights).sum(), student)
    alone = sum(
        weights[:, i, j] * values_of(kind, student[:, :, i].double(), teacher[:, :, j].double(), mask)
        for i in range(3)
        for j in range(4)
    )
    (expected,) = torch.autograd.grad(alone.sum(), student)
    torch.testing.assert_close(gradient, expected, **tolerance)


def test_the_gradient_of_all_pairs_is_the_derivative(kind):
    student, teacher, mask = layers(2).requires_grad_(), layers(3, seed=1), states()[2]
    assert torch.autograd.gradcheck(lambda s: HIDDEN[kind](s, teacher, mask), student)


def test_all_pairs_stay_in_full_precision_under_autocast(kind):
    student, teacher, mask = layers(2, torch.bfloat16), layers(3, torch.float16, seed=1), states()[2]
    with torch.autocast("cpu", torch.bfloat16):
        values = HIDDEN[kind](student, teacher, mask)
    torch.testing.assert_close(values, HIDDEN[kind](student.float(), teacher.float(), mask))


@pytest.mark.parametrize("own", ["ce", "mse", "l2", "cos", "pkd"])
def test_no_vectors_are_kept_for_a_pair_of_layers(own):
    """What a loss of all pairs keeps for its gradient grows with the layers, not with the pairs: emd has S · T."""
    count, width = 8, 512
    student, teacher = (
        layers(count, torch.float32, width=width).requires_grad_(),
        layers(count, torch.float32, 1, width),
    )
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        values = HIDDEN[own](student, teacher, states()[2])
    values.sum().backward()
    vectors = student.nbytes + teacher.nbytes
    assert sum(kept.values()) < 3 * vectors < count**2 * student[:, :, 0].nbytes


def features(width, layers, tokens=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = {layer: torch.randn(3, tokens, width, generator=generator) for layer in layers}
    return Features(torch.zeros(3, 2), hidden, torch.ones(3, tokens, dtype=torch.bool))


def test_module_projects_each_student_layer_and_stacks_the_pairs():
    torch.manual_seed(0)
    objective = HiddenObjective(MSE(), "classification", [(1, 2), (2, 2), (2, 4)], 4, 6)
    student, teacher = features(4, (1, 2)), features(6, (2, 4), seed=1)
    values = objective(student, teacher)
    assert values.shape == (3, 3)
    for row, (i, j) in zip(values, objective.pairs, strict=True):
        projected = objective.projections(i, student.hidden[i])
        expected = naive.hidden("mse", projected, teacher.hidden[j], student.mask)
        torch.testing.assert_close(row.double(), torch.tensor(expected, dtype=torch.float64))
    assert len(list(objective.parameters())) == 4


@pytest.mark.parametrize(("projection", "count"), [("auto", 0), ("always", 2)])
def test_equal_widths_are_projected_on_request_only(projection, count):
    objective = HiddenObjective(MSE(projection=projection), "classification", [(1, 2)], 6, 6)
    assert len(list(objective.parameters())) == count


def test_pkd_takes_a_teacher_of_first_tokens():
    objective = HiddenObjective(PKD(), "classification", [(1, 2)], 6, 6)
    assert objective.first_token_only
    student, teacher = features(6, (1,)), features(6, (2,), seed=1)
    first = Features(teacher.logits, {2: teacher.hidden[2][:, :1]}, teacher.mask)
    torch.testing.assert_close(objective(student, first), objective(student, teacher))


@pytest.mark.parametrize(("spec", "tokens"), [(PKD(), 1), (MSE(), 5)])
def test_no_token_is_projected_that_nothing_reads(spec, tokens):
    objective, projected = HiddenObjective(spec, "classification", [(1, 2)], 4, 6), []
    objective.projections.register_forward_pre_hook(lambda _, given: projected.append(given[1].shape))
    objective(features(4, (1,)), features(6, (2,), seed=1))
    assert projected == [(3, tokens, 4)]
