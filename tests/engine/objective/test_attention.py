"""Objectives on attention: against loops written from the papers' equations, then by their properties."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.base.errors import InputError
from engine.models.forward import Features
from engine.objective.attention import (
    AttentionMaps,
    AttentionRelations,
    check_heads,
    map_distance,
    relation_distance,
    relation_heads,
    scores,
)
from engine.objective.equation import Objective
from engine.pipeline import MSE, Attention, Manual, Pipeline, Relations
from tests.reference import objectives as naive

PRECISIONS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5}
LENGTHS = (5, 2, 4)
WIDTHS = (12, 24)
HEADS = [(2, 2), (4, 4), (1, 4), (4, 6), (2, 3), (6, 2)]
each_pair_of_heads = pytest.mark.parametrize("heads", HEADS, ids=str)


def mask_of(lengths=LENGTHS) -> Tensor:
    return torch.arange(5) < torch.tensor(lengths)[:, None]


def vectors(width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, width, generator=generator, dtype=torch.float64).to(dtype)


def both(dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor]]:
    """Queries and keys of the student, and of the teacher, which is wider."""
    return [vectors(WIDTHS[0], seed, dtype) for seed in (0, 1)], [vectors(WIDTHS[1], seed, dtype) for seed in (2, 3)]


def maps_apart(student: list[Tensor], teacher: list[Tensor], heads: tuple[int, int], mask: Tensor) -> Tensor:
    count = math.gcd(*heads)
    ours, theirs = (scores(*each, own, count) for each, own in zip((student, teacher), heads, strict=True))
    return map_distance(ours, theirs, mask)


@each_pair_of_heads
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_maps_equal_the_loop(heads: tuple[int, int], masked: bool, dtype: torch.dtype) -> None:
    student, teacher = both(dtype)
    mask = mask_of() if masked else torch.ones(3, 5, dtype=torch.bool)
    values = maps_apart(student, teacher, heads, mask)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = torch.tensor(naive.attention_maps(student, teacher, heads, mask), dtype=torch.float64)
    torch.testing.assert_close(values.double(), expected, rtol=PRECISIONS[dtype], atol=PRECISIONS[dtype])


@pytest.mark.parametrize("heads", [1, 2, 4, 12])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_relations_equal_the_loop(heads: int, masked: bool, dtype: torch.dtype) -> None:
    student, teacher = vectors(WIDTHS[0], 0, dtype), vectors(WIDTHS[1], 1, dtype)
    mask = mask_of() if masked else torch.ones(3, 5, dtype=torch.bool)
    values = relation_distance(student, teacher, mask, heads)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = torch.tensor(naive.relations(student, teacher, heads, mask), dtype=torch.float64)
    torch.testing.assert_close(values.double(), expected, rtol=PRECISIONS[dtype], atol=PRECISIONS[dtype])


def maps(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return maps_apart([student, student.flip(-1)], [teacher, teacher.flip(-1)], (4, 6), mask)


def related(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return relation_distance(student, teacher, mask, 4)


@pytest.fixture(params=[maps, related], ids=["maps", "relations"])
def loss(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_what_attends_alike_costs_nothing(loss: Any) -> None:
    student = vectors(12, 0)
    same = relation_distance(student, student, mask_of(), 4)
    torch.testing.assert_close(same, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    same = maps_apart([student] * 2, [student] * 2, (4, 4), mask_of())
    torch.testing.assert_close(same, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (loss(student, vectors(24, 1), mask_of()) > 0).all()


def test_padding_never_counts(loss: Any) -> None:
    student, teacher, mask = vectors(12, 0), vectors(24, 1), mask_of()
    values = loss(student, teacher, mask)
    garbage = (~mask).unsqueeze(-1) * 1e3
    torch.testing.assert_close(loss(student + garbage, teacher - garbage, mask), values)
    longer = [torch.cat([part, part.new_full((3, 2, part.shape[-1]), 7.0)], 1) for part in (student, teacher)]
    torch.testing.assert_close(loss(*longer, torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1)), values)


def test_padding_gets_no_gradient(loss: Any) -> None:
    student, mask = vectors(12, 0).requires_grad_(), mask_of()
    loss(student, vectors(24, 1), mask).sum().backward()
    assert student.grad is not None
    assert not student.grad[~mask].any()
    assert student.grad[mask].any()


def test_a_text_without_tokens_is_worth_nothing(loss: Any) -> None:
    student, mask = vectors(12, 0).requires_grad_(), mask_of((5, 0, 1))
    values = loss(student, vectors(24, 1), mask)
    values.sum().backward()
    assert values[1] == 0
    assert values[0] > 0
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_gradient_is_the_derivative(loss: Any) -> None:
    student, teacher, mask = vectors(12, 0).requires_grad_(), vectors(24, 1), mask_of()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, mask), student)


def test_order_of_the_batch_does_not_matter(loss: Any) -> None:
    student, teacher, mask, order = vectors(12, 0), vectors(24, 1), mask_of(), torch.tensor([2, 0, 1])
    values = loss(student, teacher, mask)
    torch.testing.assert_close(loss(student[order], teacher[order], mask[order]), values[order])


def test_values_stay_in_full_precision_under_autocast(loss: Any) -> None:
    student, teacher, mask = vectors(12, 0, torch.float32), vectors(24, 1, torch.float16), mask_of()
    with torch.autocast("cpu", torch.bfloat16):
        values = loss(student, teacher, mask)
    torch.testing.assert_close(values, loss(student, teacher, mask))


# --- as modules -----------------------------------------------------------------------------------


def features(width: int, layers: tuple[int, ...], seed: int) -> Features:
    named = [(name, layer) for layer in layers if layer for name in ("query", "key", "value")]
    attention = {part: vectors(width, seed + place) for place, part in enumerate(named)}
    hidden = {layer: vectors(width, 50 + seed + layer) for layer in layers}
    return Features(torch.zeros(3, 2), hidden, mask_of(), attention=attention)


def test_maps_are_compared_pair_by_pair_with_hidden_states_beside() -> None:
    torch.manual_seed(0)
    spec, pairs = Attention(hidden=0.5), [(0, 0), (1, 2), (2, 2), (2, 4)]
    objective = AttentionMaps(spec, "classification", pairs, *WIDTHS, (2, 6)).double()
    student, teacher = features(WIDTHS[0], (0, 1, 2), 0), features(WIDTHS[1], (0, 2, 4), 100)
    values = objective(student, teacher)
    assert objective.hidden is not None
    for row, (i, j) in zip(values, pairs, strict=True):
        ours, theirs = (
            [side.attention[name, layer] for name in ("query", "key")] if layer else []
            for side, layer in ((student, i), (teacher, j))
        )
        scored = torch.tensor(naive.attention_maps(ours, theirs, (2, 6), mask_of()) if i else [0.0] * 3)
        projected = objective.hidden.projections(i, student.hidden[i])
        beside = torch.tensor(naive.hidden("mse", projected, teacher.hidden[j], mask_of()))
        torch.testing.assert_close(row, (scored + 0.5 * beside).double(), rtol=1e-5, atol=1e-6)
    assert len(objective.hidden.projections.maps) == 3  # of the embeddings, too


def test_relations_add_up_queries_keys_and_values() -> None:
    objective = AttentionRelations(Relations(heads=3), "classification", [(2, 4)], *WIDTHS, (2, 6))
    student, teacher = features(WIDTHS[0], (2,), 0), features(WIDTHS[1], (4,), 100)
    expected = [
        naive.relations(student.attention[name, 2], teacher.attention[name, 4], 3, mask_of())
        for name in ("query", "key", "value")
    ]
    torch.testing.assert_close(objective(student, teacher)[0], torch.tensor(expected, dtype=torch.float64).sum(0))
    assert not list(objective.parameters())


@pytest.mark.parametrize(
    ("heads", "note"),
    [
        ((2, 2), ""),
        ((4, 6), "4 attention heads of the student and 6 of the teacher are compared as 2 maps of mean scores."),
        ((1, 12), "1 attention head of the student and 12 of the teacher are compared as 1 map of mean scores."),
    ],
)
def test_unequal_heads_are_said(heads: tuple[int, int], note: str) -> None:
    notes = AttentionMaps(Attention(), "classification", [(1, 1)], *WIDTHS, heads).notes
    assert [*notes] == ([note] if note else [])


@pytest.mark.parametrize(("widths", "heads"), [((384, 768), 48), ((384, 384), 48), ((312, 768), 24), ((7, 9), 1)])
def test_relation_heads_divide_both_widths(widths: tuple[int, int], heads: int) -> None:
    assert relation_heads(Relations(), *widths) == heads
    assert not any(width % heads for width in widths)
    assert check_heads(Relations(heads=heads), *widths) == []


def test_heads_that_divide_no_width_are_refused() -> None:
    (problem,) = check_heads(Relations(heads=48), 312, 768)
    assert (problem.place, problem.got, problem.allowed[-1]) == ("intermediate.heads", "48", "24")
    sizes = {"student_layers": 2, "student_width": 312, "teacher_layers": 4, "teacher_width": 768}
    with pytest.raises(InputError, match="must divide the widths"):
        Objective(Pipeline(intermediate=Relations(heads=48)), "classification", **sizes)
    assert check_heads(MSE(), 312, 768) == []


def test_what_is_read_of_each_side() -> None:
    sizes = {"student_layers": 2, "student_width": 16, "teacher_layers": 4, "teacher_width": 16}

    def read(**parts: Any) -> tuple[Any, ...]:
        objective = Objective(Pipeline.model_validate(parts), "classification", **sizes)
        assert objective.aligned
        needs = objective.needs
        return needs.layers, needs.attention, objective.student_layers_used, objective.student_attention_used

    of_top = tuple((name, 4) for name in ("query", "key", "value"))
    assert read(intermediate=Relations()) == ((), of_top, (), tuple((name, 2) for name, _ in of_top))
    plain = ("query", 2), ("query", 4), ("key", 2), ("key", 4)
    assert read(intermediate=Attention())[:2] == ((), plain)
    assert read(intermediate=Attention(hidden=1.0), mapping={0: 0, 2: 3}) == (
        (0, 3),
        (("query", 3), ("key", 3)),
        (0, 2),
        (("query", 2), ("key", 2)),
    )
    assert read(intermediate=MSE(), mapping=Manual(pairs=((0, 0),)))[0] == (0,)
