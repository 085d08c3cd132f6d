"""Reduction: against naive loops, for any cut into micro-batches, and blind to what the mask hides."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.objective.reduction import Term, all_count, at_positions, full_precision, masked_mean, reduce

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
B, N, M, WIDTH = 4, 5, 3, 6


def close(dtype: torch.dtype) -> dict[str, float]:
    return {
        "rtol": {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 0.02),
        "atol": 1e-2 if dtype.itemsize == 2 else 1e-7,
    }


def made(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(name="mask")
def _mask() -> Tensor:
    """Also a row in which nothing counts."""
    return torch.arange(N) < torch.tensor([N, 3, 0, 1])[:, None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_reduce_is_the_sum_of_what_counts_over_all_units(unit: str, dtype: torch.dtype, mask: Tensor) -> None:
    values, mask = (made(B, N), mask) if unit == "tokens" else (made(B), mask[:, 0])
    total = 0.0
    for value, counts in zip(values.flatten().tolist(), mask.flatten().tolist(), strict=True):
        total += value if counts else 0.0
    reduced = reduce(Term(values.to(dtype), mask, unit), {"examples": 7, "tokens": 7})  # type: ignore[arg-type]
    assert reduced.ndim == 0
    torch.testing.assert_close(reduced.double(), torch.tensor(total / 7).double(), **close(dtype))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 99))
def test_any_cut_into_micro_batches_sums_to_the_whole(sizes: list[int], seed: int) -> None:
    count = sum(sizes)
    values, mask = made(count, N, seed=seed), made(count, N, seed=seed + 1) > 0
    totals = {"examples": count, "tokens": int(mask.sum())}
    parts = zip(values.split(sizes), mask.split(sizes), strict=True)
    summed = sum(reduce(Term(*part, "tokens"), totals) for part in parts)
    torch.testing.assert_close(summed, reduce(Term(values, mask, "tokens"), totals))
    if mask.any():
        torch.testing.assert_close(summed, values[mask].mean())


@pytest.mark.parametrize("hidden", [math.nan, math.inf])
def test_what_the_mask_hides_reaches_neither_value_nor_gradient(hidden: float, mask: Tensor) -> None:
    values = made(B, N).masked_fill(~mask, hidden).requires_grad_()
    for number in (reduce(Term(values, mask, "tokens"), {"tokens": 9}), masked_mean(values, mask).sum()):
        (gradient,) = torch.autograd.grad(number, values)
        assert number.isfinite()
        assert (gradient[mask] != 0).all()
        assert (gradient[~mask] == 0).all()


def test_a_step_in_which_nothing_counts_costs_nothing() -> None:
    term = Term(made(B, N), torch.zeros(B, N, dtype=torch.bool), "tokens")
    assert reduce(term, {"tokens": 0}) == 0
    assert reduce(all_count(made(B)), {"examples": math.inf}) == 0  # of a process with nothing to do


def test_all_count() -> None:
    values = made(B)
    torch.testing.assert_close(reduce(all_count(values), {"examples": B}), values.mean())
    torch.testing.assert_close(reduce(all_count(values), {"examples": torch.tensor(B)}), values.mean())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(B, N), (B, N, WIDTH)], ids=["values", "vectors"])
def test_the_masked_mean_is_that_of_the_loop(shape: tuple[int, ...], dtype: torch.dtype, mask: Tensor) -> None:
    values = made(*shape)
    rows = []
    for row, keep in zip(values, mask, strict=True):
        kept = [value for value, counts in zip(row, keep, strict=True) if counts]
        rows.append(sum(kept) / len(kept) if kept else torch.zeros(shape[2:]).double())
    means = masked_mean(values.to(dtype), mask)
    assert means.dtype == dtype
    torch.testing.assert_close(means.double(), torch.stack(rows), **close(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_at_other_positions_are_means_of_the_partners(dtype: torch.dtype) -> None:
    values = made(B, N, WIDTH)
    partners = [[[0, 2], [4], []], [[1], [1], [0, 1, 2, 3]], [[], [], []], [[3], [2], [1]]]
    alignment, rows = torch.zeros(B, M, N), torch.zeros(B, M, WIDTH).double()
    for b, positions in enumerate(partners):
        for m, chosen in enumerate(positions):
            for n in chosen:
                alignment[b, m, n] = 1 / len(chosen)
                rows[b, m] += values[b, n] / len(chosen)
    with torch.autocast("cpu", torch.bfloat16):
        moved = at_positions(values.to(dtype), alignment)
    assert moved.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(
        moved.double(), rows, **close(dtype) | ({"rtol": 1e-6} if dtype == torch.float64 else {})
    )


def test_without_an_alignment_values_stay_what_they_are() -> None:
    values = made(B, N, WIDTH).half()
    assert at_positions(values, None) is values


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_precision_is_float32_unless_it_was_more(dtype: torch.dtype) -> None:
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert full_precision(made(B).to(dtype)).dtype == expected
