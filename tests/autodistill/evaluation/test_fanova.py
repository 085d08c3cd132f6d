"""Functional ANOVA of a forest: it equals what averaging over a full grid gives."""

from __future__ import annotations

import time

import numpy as np
import pytest

from autodistill.evaluation.fanova import TREES, Component, Space, divided, fit, shares
from tests.reference import importance as reference

FLAT = (Component("a", range(5)), Component("b", range(4), ordered=True), Component("c", range(2)))
CONDITIONAL = (
    Component("kind", range(4)),
    Component("mode", range(3)),
    Component("knob", range(3), ordered=True, parent=0, exists=(1, 3)),
    Component("other knob", range(2), parent=0, exists=(3,)),
    Component("knob of a knob", range(3), parent=2, exists=(0, 2)),
)
"""Of the last one parent and parent's parent decide whether it exists."""


def plain(components: tuple[Component, ...]) -> list[tuple[object, ...]]:
    return [(len(each.values), each.ordered, each.parent, each.exists) for each in components]


def runs(components: tuple[Component, ...], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn unevenly, and scores in which every two components interact."""
    dice = np.random.default_rng(seed)
    drawn = np.stack([dice.integers(0, dice.integers(1, len(each.values) + 1, count)) for each in components], axis=1)
    codes = np.array([reference.with_absences(row, plain(components)) for row in drawn])
    effects = dice.normal(size=(len(components), 6))
    own = effects[np.arange(len(components)), codes]
    return codes, own.sum(axis=1) + own[:, 0] * own[:, 1] + own[:, -1] * own[:, 0] + 0.1 * dice.normal(size=count)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("components", "kept"),
    [(FLAT, [0, 1, 2]), (FLAT, [1, 2]), (CONDITIONAL, [0, 1, 2, 3, 4]), (CONDITIONAL, [2, 4]), (CONDITIONAL, [1])],
)
def test_boxes_give_what_a_full_grid_gives(components: tuple[Component, ...], kept: list[int], seed: int) -> None:
    codes, scores = runs(components, 150, seed)
    space = Space(components)
    for tree in fit(space, codes, scores).estimators_[:8]:
        single, pairs = reference.shares(tree.predict, plain(components), kept)
        found = divided(space, tree, kept)
        assert found is not None
        np.testing.assert_allclose(found[0], single, rtol=0, atol=1e-9)
        for (one, other), share in pairs.items():
            assert found[1][one, other] == pytest.approx(share, abs=1e-9)


def test_boxes_are_disjoint_and_fill_the_space() -> None:
    codes, scores = runs(CONDITIONAL, 200, 0)
    space = Space(CONDITIONAL)
    values, inside = space.boxes(fit(space, codes, scores).estimators_[0].tree_)
    volumes = np.prod([inside[:, cells] @ space.weights[cells] for cells in space.cells], axis=0)
    assert len(values) == len(volumes)
    assert volumes.sum() == pytest.approx(1)
    present = [inside[:, cells.start : cells.stop - 1].astype(float) for cells in space.cells]
    overlap = np.prod([each @ each.T for each in present], axis=0)
    assert not overlap[~np.eye(len(values), dtype=bool)].any()


def test_shares_of_all_sizes_sum_to_one() -> None:
    """Of two components nothing is left beyond the pair."""
    components = FLAT[:2]
    codes, scores = runs(components, 150, 1)
    found = shares(components, codes, scores)
    assert len(found.single) == TREES
    np.testing.assert_allclose(found.single.sum(1) + found.pairs.sum((1, 2)), 1, atol=1e-9)


def test_what_does_not_matter_has_no_share() -> None:
    codes, _ = runs(FLAT, 150, 2)
    found = shares(FLAT, codes, np.where(codes[:, 0] == 2, 0.9, 0.5), [1, 2])
    assert found.single.shape == (0, 2), "no tree depends on what is asked about"


def test_noise_is_not_explained() -> None:
    codes, _ = runs(FLAT, 300, 3)
    dice = np.random.default_rng(0)
    assert shares(FLAT, codes, dice.normal(size=300)).explained < 0.1
    assert shares(FLAT, codes, codes[:, 0] + 0.1 * dice.normal(size=300)).explained > 0.9


def test_a_study_takes_seconds() -> None:
    """1,500 runs of 15 components; of processor time, for others may be at work."""
    components = tuple(Component(str(place), range(6), ordered=place < 3) for place in range(15))
    dice = np.random.default_rng(0)
    codes = dice.integers(0, 6, size=(1500, 15))
    began = time.process_time()
    found = shares(components, codes, codes[:, 0] + 0.1 * dice.normal(size=1500))
    assert time.process_time() - began < 10
    assert found.single.mean(0)[0] > 0.9
