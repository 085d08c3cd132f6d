"""Batches: complete, deterministic, random enough, and with little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tokens.order import BUCKET, sorted_batches, step_batches

LENGTHS = np.clip(np.random.default_rng(0).lognormal(3, 0.6, 5000).astype(int), 3, 128)  # as sentences are


def waste(batches: list[np.ndarray]) -> float:
    """Share of the padded positions that hold padding."""
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    return 1 - LENGTHS.sum() / padded


@given(lengths=st.lists(st.integers(1, 99), max_size=300), size=st.integers(1, 20), seed=st.integers(0, 9))
def test_each_example_is_seen_exactly_once(lengths, size, seed):
    for batches in (step_batches(np.array(lengths, int), size, seed, 1), sorted_batches(np.array(lengths, int), size)):
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        sizes = sorted(len(batch) for batch in batches)
        assert len(sizes) == -(-len(lengths) // size)
        assert all(each == size for each in sizes[1:])


@given(lengths=st.lists(st.integers(1, 9), max_size=300), size=st.integers(1, 5), seed=st.integers(0, 9))
def test_batches_are_those_that_are_cut_one_by_one(lengths: list[int], size: int, seed: int) -> None:
    """The plain form: a list of batches from each bucket, and these in a random order."""
    of_all, plain = np.array(lengths, int), []
    generator = np.random.default_rng([seed, 2])
    drawn = generator.permutation(len(lengths))
    for start in range(0, len(drawn), BUCKET * size):
        bucket = drawn[start : start + BUCKET * size]
        bucket = bucket[np.argsort(of_all[bucket], kind="stable")]
        plain += [bucket[at : at + size].tolist() for at in range(0, len(bucket), size)]
    expected = [plain[index] for index in generator.permutation(len(plain))]
    batches = step_batches(of_all, size, seed, 2)
    assert [batch.tolist() for batch in batches] == expected
    assert [batch.tolist() for batch in batches[1::2]] == expected[1::2]
    assert [batches[np.int64(index)].tolist() for index in range(len(batches))] == expected


def test_an_epoch_takes_a_few_bytes_an_example() -> None:
    batches = step_batches(LENGTHS, 16, 0, 0)
    assert batches.ids.nbytes + batches.turns.nbytes <= 5 * len(LENGTHS)


def test_batches_depend_on_seed_and_epoch_alone():
    def flat(seed, epoch):
        return np.concatenate(step_batches(LENGTHS, 16, seed, epoch)).tolist()

    assert flat(3, 1) == flat(3, 1)
    assert len({tuple(flat(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_padding_is_far_below_that_of_random_batches():
    order = np.random.default_rng(1).permutation(len(LENGTHS))
    random = [order[at : at + 16] for at in range(0, len(order), 16)]
    assert waste(random) > 0.4
    assert waste(step_batches(LENGTHS, 16, 0, 0)) < 0.08
    assert waste(sorted_batches(LENGTHS, 16)) < 0.02


def test_companions_change_and_lengths_come_in_no_order():
    first, second = (step_batches(LENGTHS, 16, 0, epoch) for epoch in (0, 1))
    together = {frozenset(batch.tolist()) for batch in first}
    assert not together & {frozenset(batch.tolist()) for batch in second}
    longest = np.array([LENGTHS[batch].max() for batch in first])
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.15


@pytest.mark.parametrize("size", [1, 7, 5000, 9999])
def test_evaluation_begins_with_the_longest(size):
    batches = sorted_batches(LENGTHS, size)
    flat = LENGTHS[np.concatenate(batches)]
    assert (np.diff(flat) <= 0).all()
