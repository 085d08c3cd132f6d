"""What is learned of curves whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autodistill.search.beliefs import FEW_RUNS, SHARES, Prior, shipped_prior
from autodistill.search.learning import USUAL, learned, of_students
from tests.autodistill.search.conftest import WORDS, made_up


def test_it_learns_how_curves_run_and_how_far_scores_spread(prior: Prior) -> None:
    assert [*prior.alike] == ["mapping", "objective"]
    past = [made_up(seed) for seed in range(8)]
    assert prior.spread == pytest.approx(np.median([each.scores[:, -1].std() for each in past]))
    missing = []
    for each in past:
        count, own = each.scores.shape[0], each.scores[:, -1].std()
        unit = np.sqrt((FEW_RUNS * prior.spread**2 + count * own**2) / (FEW_RUNS + count))
        missing.append((each.scores - each.scores[:, -1:]).mean(axis=0) / unit)
    np.testing.assert_allclose(prior.course, np.mean(missing, axis=0))
    assert prior.course[-1] == 0


@pytest.mark.parametrize(("sameness", "alike_counts"), [(1.0, True), (0.0, False)])
def test_it_learns_whether_candidates_that_are_alike_score_alike(sameness: float, alike_counts: bool) -> None:
    found = learned([made_up(seed, sameness) for seed in range(8)])
    alike = sum(found.alike.values())
    assert (alike > 3 * found.own) if alike_counts else (found.own > 3 * alike)


def test_few_curves_move_what_is_usual_within_reason() -> None:
    found = learned([made_up(0)])
    assert all(0.2 < length / USUAL["length"][0] < 3 for length in found.lengths)
    assert 0.1 < found.own / USUAL["own"][0] < 10


def test_past_curves_that_hardly_differ_are_no_division_by_zero() -> None:
    flat = replace(made_up(0), scores=np.full((len(WORDS), len(SHARES)), 0.5))
    assert np.isfinite(learned([flat, flat]).course).all()


def test_past_curves_that_hardly_differ_are_not_all_that_counts() -> None:
    """Of one set the scores rise by 0.3 and end alike; in units of its own spread, that would be thousands."""
    rising = np.linspace(0.2, 0.5, len(SHARES)) + np.zeros((len(WORDS), 1))
    past = [made_up(seed) for seed in range(4)]
    found = learned([*past, replace(past[0], scores=rising)])
    assert min(found.course) > min(learned(past).course) - 0.3 / found.spread


def test_the_prior_that_comes_with_the_project_was_learned_by_this_code() -> None:
    """It has every part that this one has."""
    prior = shipped_prior()
    assert len(prior.course) == len(SHARES)
    assert prior.course[-1] == 0
    assert len(prior.dispersion) == len(SHARES)
    assert prior.dispersion[-1] == 1
    assert all(0.3 < length < 10 for length in prior.lengths)
    assert min(prior.spread, prior.shared, prior.own, prior.noise) > 0
    assert {"intermediate", "mapping", "prediction", "augmentation", "student"} <= prior.alike.keys()


def test_how_far_students_differ() -> None:
    apart = [replace(made_up(seed), scores=made_up(seed).scores + level) for seed, level in ((0, 0.0), (1, 0.2))]
    means, spreads = [each.scores[:, -1].mean() for each in apart], [each.spread**2 for each in apart]
    expected = np.var(means, ddof=1) / np.mean(spreads)
    assert of_students({"films, 300": apart, "books, 300": apart[:1]}) == pytest.approx(expected)
    assert of_students({"books, 300": apart[:1]}) == 0
