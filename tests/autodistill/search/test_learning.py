"""What is learned of curves whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autodistill.search.beliefs import SHARES, Prior
from autodistill.search.learning import LENGTHS, learned
from tests.autodistill.search.conftest import WORDS, made_up


def test_it_learns_how_curves_run_and_how_far_scores_spread(prior: Prior) -> None:
    assert [*prior.alike] == ["mapping", "objective"]
    spreads = [made_up(seed).scores[:, -1].std() for seed in range(8)]
    assert prior.spread == pytest.approx(np.median(spreads))
    missing = [
        (each.scores - each.scores[:, -1:]).mean(axis=0) / each.spread for each in (made_up(seed) for seed in range(8))
    ]
    np.testing.assert_allclose(prior.course, np.mean(missing, axis=0))
    assert prior.course[-1] == 0


@pytest.mark.parametrize(("sameness", "alike_counts"), [(1.0, True), (0.0, False)])
def test_it_learns_whether_candidates_that_are_alike_score_alike(sameness: float, alike_counts: bool) -> None:
    found = learned([made_up(seed, sameness) for seed in range(8)])
    alike = sum(found.alike.values())
    assert (alike > 3 * found.own) if alike_counts else (found.own > 3 * alike)


def test_lengths_stay_within_bounds(prior: Prior) -> None:
    assert all(LENGTHS[0] <= length <= LENGTHS[1] for length in prior.lengths)


def test_past_curves_that_hardly_differ_are_no_division_by_zero() -> None:
    flat = replace(made_up(0), scores=np.full((len(WORDS), len(SHARES)), 0.5))
    assert np.isfinite(learned([flat, made_up(1)]).course).all()
