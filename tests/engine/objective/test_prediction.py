"""Prediction and hard-label losses: against loops over floats, for every kind of task."""

from __future__ import annotations

import pytest
import torch

from engine.data.task import TASK_KINDS
from engine.objective.prediction import (
    PREDICTION,
    binary_cross_entropy,
    binary_kl,
    cross_entropy,
    hard_label_term,
    kl,
    mse,
    prediction_loss,
    prediction_term,
    relabelled_loss,
)
from engine.objective.reduction import reduce
from engine.pipeline import PredictionCE, PredictionKL, PredictionMSE
from engine.tokens.ragged import NO_LABEL
from tests.reference import objectives as naive

LOSSES = [
    ("ce", PredictionCE(), 1.0),
    ("ce", PredictionCE(temperature=4.0), 4.0),
    ("kl", PredictionKL(temperature=0.5), 0.5),
    ("kl", PredictionKL(temperature=4.0), 4.0),
    ("mse", PredictionMSE(), 1.0),
]
PRECISIONS = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-5}


def batch(kind, dtype=torch.float64):
    """Logits of student and teacher, mask, labels and totals of three examples."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(5) < torch.tensor([5, 3, 4])[:, None]
    tags = torch.tensor([[0, 1, -100, 2, 1], [-100, 2, 0, -100, -100], [1, 1, 1, -100, -100]])
    shape, labels = {
        "classification": ((3, 4), torch.tensor([3, 0, 1])),
        "regression": ((3, 1), torch.tensor([0.5, -1.0, 2.0])),
        "tagging": ((3, 5, 3), tags),
        "question_answering": ((3, 5, 2), torch.tensor([[0, 4], [1, 2], [3, 3]])),
        "multi_label": ((3, 4), torch.tensor([[0.0, 1, 1, 0], [0, 0, 0, 0], [1, 0.25, 1, 1]])),
    }[kind]
    student, teacher = (2 * torch.randn(2, *shape, generator=generator, dtype=torch.float64)).to(dtype)
    totals = {"examples": 3, "tokens": int((tags != NO_LABEL).sum())}
    return student, teacher, mask, labels, totals


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize(("kind", "spec", "temperature"), LOSSES)
def test_prediction_equals_the_loop(kind, spec, temperature, task, dtype):
    student, teacher, mask, labels, totals = batch(task, dtype)
    term = prediction_term(prediction_loss(spec, task), task, student, teacher, mask, labels)
    value = reduce(term, totals)
    expected = naive.prediction_of_task(task, kind, student, teacher, mask, labels, temperature)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.item() == pytest.approx(expected, abs=PRECISIONS[dtype] * max(1, temperature**2))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("task", TASK_KINDS)
def test_hard_label_equals_the_loop(task, dtype):
    student, _, mask, labels, totals = batch(task, dtype)
    value = reduce(hard_label_term(task, student, mask, labels), totals)
    expected = naive.hard_label_of_task(task, student, mask, labels)
    assert value.item() == pytest.approx(expected, abs=PRECISIONS[dtype])


@pytest.mark.parametrize("task", ["classification", "tagging", "question_answering"])
def test_hard_label_of_mixed_examples_equals_the_loop(task):
    """Distributions over the classes; a token may count for less than one, or not at all."""
    logits, _, mask, labels, _ = batch(task)
    shape = {"classification": (3, 4), "tagging": (3, 5, 3), "question_answering": (3, 2, 5)}[task]
    targets = torch.rand(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if task == "question_answering":
        mask[1] = False
        targets = targets * mask.unsqueeze(1)
    targets = targets / targets.sum(-1, keepdim=True).clamp(min=1e-9)
    if task == "tagging":
        targets = targets * (labels != NO_LABEL).unsqueeze(-1)
        targets[0, 0] /= 4
    term = hard_label_term(task, logits, mask, targets)
    expected = naive.mixed_hard_label_of_task(task, logits, mask, targets)
    assert term.mask.flatten().tolist() == [value is not None for value in expected]
    assert term.values[term.mask].tolist() == pytest.approx([value for value in expected if value is not None])
    assert term.unit == ("tokens" if task == "tagging" else "examples")


CLASS_WEIGHTS = {
    "classification": torch.tensor([0.5, 1.0, 3.0, 7.0], dtype=torch.float64),
    "multi_label": torch.tensor([[0.5, 1.0, 0.8, 1.0], [2.0, 1.0, 9.0, 0.25]], dtype=torch.float64),
}


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("task", CLASS_WEIGHTS)
def test_weighed_classes_equal_the_loop(task, mixed, dtype):
    """Each example by the weight of its class, a mixed one by those of its classes; no batch changes another's."""
    logits, _, mask, labels, _ = batch(task, dtype)
    if mixed and task == "classification":
        labels = torch.tensor([[0.0, 0.3, 0.0, 0.7], [1, 0, 0, 0], [0.5, 0, 0.5, 0]], dtype=torch.float64).to(dtype)
        labels = labels.float() if dtype == torch.bfloat16 else labels
    weights = CLASS_WEIGHTS[task]
    term = hard_label_term(task, logits, mask, labels, class_weights=weights)
    expected = naive.weighted_hard_label_of_task(task, logits, labels, weights)
    assert term.values.tolist() == pytest.approx(expected, abs=10 * PRECISIONS[dtype])
    one = hard_label_term(task, logits[:1], mask[:1], labels[:1], class_weights=weights)
    torch.testing.assert_close(one.values, term.values[:1])


@pytest.mark.parametrize("task", CLASS_WEIGHTS)
def test_weights_of_1_are_none(task):
    logits, _, mask, labels, _ = batch(task)
    ones = torch.ones_like(CLASS_WEIGHTS[task])
    weighed = hard_label_term(task, logits, mask, labels, class_weights=ones)
    torch.testing.assert_close(weighed.values, hard_label_term(task, logits, mask, labels).values)


def test_of_labels_by_themselves_kl_is_zero_where_both_agree_and_shares_its_gradient():
    student, teacher, *_ = batch("multi_label")
    torch.testing.assert_close(binary_kl(teacher, teacher, 3.0), torch.zeros(3, dtype=torch.float64))
    gradients = []
    for loss in (binary_cross_entropy, binary_kl):
        leaf = student.clone().requires_grad_()
        loss(leaf, teacher, 2.0).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_a_label_says_nothing_of_another():
    """More of one logit changes the loss of its own label alone; of classes it changes all."""
    student, teacher, *_ = batch("multi_label")
    leaf = student.clone().requires_grad_()
    binary_cross_entropy(leaf, teacher).sum().backward()
    torch.testing.assert_close(leaf.grad, (student.sigmoid() - teacher.sigmoid()) / 4)


def test_extreme_logits_of_labels_are_finite():
    student, teacher = torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[-1e4, -1e4, 1e4]])
    for loss in (binary_cross_entropy, binary_kl):
        assert torch.isfinite(loss(student, teacher)).all()


@pytest.mark.parametrize("task", ["classification", "regression", "multi_label"])
def test_where_the_teacher_is_sure_it_stands_in_for_the_label(task):
    student, _, mask, labels, _ = batch(task)
    said = {
        "classification": lambda: torch.nn.functional.one_hot(labels, 4) * 1e3,
        "regression": lambda: labels.unsqueeze(-1),
        "multi_label": lambda: (labels - 0.5) * 1e3,
    }
    labels = labels.round() if task == "multi_label" else labels
    hard = hard_label_term(task, student, mask, labels.double() if task == "multi_label" else labels).values
    torch.testing.assert_close(relabelled_loss(task)(student, said[task]().double()), hard, check_dtype=False)


def test_a_question_without_any_position_does_not_count():
    logits, _, mask, labels, _ = batch("question_answering")
    mask[1] = False
    assert hard_label_term("question_answering", logits, mask, labels).mask.tolist() == [True, False, True]


def test_targets_of_64_bits_make_no_loss_of_64_bits():
    logits, _, mask, labels, _ = batch("regression", torch.float32)
    assert hard_label_term("regression", logits, mask, labels.double()).values.dtype == torch.float32


def test_kl_is_zero_and_cross_entropy_the_entropy_where_both_agree():
    logits = batch("classification")[0]
    entropy = torch.distributions.Categorical(logits=logits / 3).entropy()
    torch.testing.assert_close(kl(logits, logits, 3.0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(cross_entropy(logits, logits, 3.0), 9 * entropy)
    torch.testing.assert_close(mse(logits, logits), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(("kind", "loss"), [("ce", cross_entropy), ("kl", kl), ("mse", mse)])
def test_by_default_there_is_no_temperature_and_every_class_counts(kind, loss):
    student, teacher = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    assert loss(student, teacher).item() == pytest.approx(
        naive.prediction(kind, student.tolist(), teacher.tolist()), rel=1e-5
    )


@pytest.mark.parametrize("valid", [1, 2, 3])
def test_the_mean_is_over_the_classes_that_count(valid):
    student, teacher = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([4.0, 2.5, 3.0])
    found = mse(student, teacher, torch.arange(3) < valid)
    assert found.item() == pytest.approx((student - teacher)[:valid].square().mean().item())


def test_cross_entropy_and_kl_have_the_same_gradient():
    student, teacher, *_ = batch("classification")
    gradients = []
    for loss in (cross_entropy, kl):
        leaf = student.clone().requires_grad_()
        loss(leaf, teacher, 2.0).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_temperature_squared_keeps_the_gradient_near_that_of_mse():
    student, teacher, *_ = batch("classification")
    student, teacher = (logits - logits.mean(-1, keepdim=True) for logits in (student, teacher))
    leaf = student.clone().requires_grad_()
    cross_entropy(leaf, teacher, 1e4).sum().backward()
    torch.testing.assert_close(leaf.grad, (student - teacher) / 4, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "spec", "temperature"), LOSSES)
def test_answers_look_at_valid_positions_only(kind, spec, temperature):
    student, teacher, mask, labels, totals = batch("question_answering")
    loss = PREDICTION[kind](spec)
    garbage = (~mask).unsqueeze(-1) * 50.0
    clean = prediction_term(loss, "question_answering", student, teacher, mask, labels)
    leaf = (student + garbage).requires_grad_()
    dirty = prediction_term(loss, "question_answering", leaf, teacher - garbage, mask, labels)
    torch.testing.assert_close(dirty.values, clean.values)
    reduce(dirty, totals).backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[~mask].any()


@pytest.mark.parametrize(("kind", "spec", "temperature"), LOSSES)
def test_an_example_without_any_valid_position_counts_nothing(kind, spec, temperature):
    student, teacher, mask, labels, totals = batch("question_answering")
    mask[1] = False
    leaf = student.clone().requires_grad_()
    value = reduce(prediction_term(PREDICTION[kind](spec), "question_answering", leaf, teacher, mask, labels), totals)
    value.backward()
    rest = [0, 2]
    expected = naive.prediction_of_task(
        "question_answering", kind, student[rest], teacher[rest], mask[rest], labels, temperature
    )
    assert value.item() == pytest.approx(expected * 2 / 3)
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[1].any()


def test_tags_outside_the_student_or_without_partner_do_not_count():
    student, teacher, mask, labels, totals = batch("tagging")
    loss = PREDICTION["mse"](PredictionMSE())
    partnered = mask.clone()
    partnered[0, 1] = False
    whole, part = (
        reduce(prediction_term(loss, "tagging", student, teacher, m, labels), totals) for m in (mask, partnered)
    )
    lost = naive.prediction("mse", student[0, 1].tolist(), teacher[0, 1].tolist()) / totals["tokens"]
    assert (whole - part).item() == pytest.approx(lost)


def test_a_batch_without_any_label_costs_nothing():
    student, _, mask, labels, _ = batch("tagging")
    term = hard_label_term("tagging", student, mask, torch.full_like(labels, NO_LABEL))
    assert reduce(term, {"examples": 3, "tokens": 0}) == 0


@pytest.mark.parametrize("task", TASK_KINDS)
@pytest.mark.parametrize(("kind", "spec", "temperature"), LOSSES)
def test_gradient_is_the_derivative(kind, spec, temperature, task):
    student, teacher, mask, labels, totals = batch(task)
    leaf = student.clone().requires_grad_()

    def value(logits):
        both = (
            prediction_term(prediction_loss(spec, task), task, logits, teacher, mask, labels),
            hard_label_term(task, logits, mask, labels),
        )
        return sum(reduce(term, totals) for term in both)

    assert torch.autograd.gradcheck(value, leaf)
