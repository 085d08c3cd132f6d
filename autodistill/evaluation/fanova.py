"""Functional ANOVA: how much of what scores vary by is each component's, and each pair's (Hutter et al. 2014).

A forest is fitted on components → score; each tree's variance over the space of its components is divided into what
single components explain and what pairs explain beyond them. Nothing is sampled: the leaves of a tree are boxes, and
their marginals are sums.

Decided here: the space. Components are independent of each other, and each has its different values with equal
weight, however often each was tried. A component that exists only where another one has certain values (the α of
mi_alpha) has a value everywhere, and makes no difference where it does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

TREES = 64
LEAF = 3
"""Fewest runs in a leaf; with fewer, trees learn the noise between repeats, and it counts as interactions."""
FEATURES = 5 / 6
"""Share of the features that a split may choose from, so that trees differ."""
ABSENT = -1
"""Code of a component that does not exist in a run."""


@dataclass(frozen=True)
class Component:
    """What may be chosen, and where.

    Args:
        values: The different ones, each as likely as the others; ascending where they are ordered.
        ordered: Whether a tree may cut between neighbouring values; else it takes one value from the others.
        parent: Place of the component that it depends on, before this one's; None: it exists everywhere.
        exists: Codes of the parent's values with which it exists.
    """

    name: str
    values: Sequence[Any]
    ordered: bool = False
    parent: int | None = None
    exists: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shares:
    """Shares of each tree's variance, and how well the forest knows what it has not seen.

    Trees whose answer does not depend on what is asked about are left out.

    Args:
        single: Of each component (trees, components).
        pairs: Of each pair, beyond what its two explain alone; above the diagonal (trees, components, components).
        explained: R² of runs by the trees that were fitted without them; 0 or less: nothing was learned.
    """

    single: np.ndarray
    pairs: np.ndarray
    explained: float


@dataclass(frozen=True)
class Space:
    """Components side by side: a cell for each value of each, and one more for where it does not exist."""

    components: Sequence[Component]

    @cached_property
    def cells(self) -> list[slice]:
        """Each component's cells; the last of them is its absence."""
        ends = np.cumsum([len(each.values) + 1 for each in self.components])
        return [slice(end - len(each.values) - 1, end) for each, end in zip(self.components, ends, strict=True)]

    @cached_property
    def weights(self) -> np.ndarray:
        """How likely each cell is within its component (cells,)."""
        return np.concatenate([[1 / len(each.values)] * len(each.values) + [0.0] for each in self.components])

    @cached_property
    def features(self) -> list[np.ndarray]:
        """Each component's cells as a tree sees them (cells, features): a rank, or a column for each value."""
        return [
            np.append(np.arange(len(each.values)), ABSENT)[:, None]
            if each.ordered
            else np.eye(len(each.values) + 1)[:, :-1]
            for each in self.components
        ]

    @cached_property
    def owners(self) -> np.ndarray:
        """The component of each feature (features,)."""
        return np.repeat(np.arange(len(self.components)), [each.shape[1] for each in self.features])

    def encoded(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, components) as a tree sees them (n, features)."""
        return np.hstack([each[column] for each, column in zip(self.features, codes.T, strict=True)])

    def boxes(self, tree: Any) -> tuple[np.ndarray, np.ndarray]:
        """A fitted tree as disjoint boxes that fill the space: values (b,), and which cells are inside (b, cells)."""
        inside = np.ones((tree.node_count, len(self.weights)), bool)
        firsts = np.searchsorted(self.owners, np.arange(len(self.components)))
        for node in np.flatnonzero(tree.children_left >= 0):  # a node comes before its children
            owner, feature = self.owners[tree.feature[node]], tree.feature[node]
            left = self.features[owner][:, feature - firsts[owner]] <= tree.threshold[node]
            for child, cells in ((tree.children_left[node], left), (tree.children_right[node], ~left)):
                inside[child] = inside[node]
                inside[child, self.cells[owner]] &= cells
        leaves = tree.children_left < 0
        return self._present(tree.value[leaves, 0, 0], inside[leaves])

    def _present(self, values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes in which every component has a value: what is said of its absence holds for all of its values.

        A box that asks for something of a component becomes two: where it exists, and where it does not.
        """
        for component, cells in reversed(list(zip(self.components, self.cells, strict=True))):
            if component.parent is None:
                continue
            above = self.cells[component.parent]
            exists = np.isin(np.arange(above.stop - above.start), component.exists)
            asks = ~inside[:, cells].all(axis=1)
            absent = asks & inside[:, cells.stop - 1]
            without = inside[absent]
            without[:, above] &= ~exists
            without[:, cells] = True
            inside[np.ix_(asks, np.arange(above.start, above.stop))] &= exists
            values, inside = np.append(values, values[absent]), np.vstack([inside, without])
        likely = (np.stack([inside[:, cells] @ self.weights[cells] for cells in self.cells]) > 0).all(axis=0)
        return values[likely], inside[likely]


def shares(
    components: Sequence[Component], codes: np.ndarray, scores: np.ndarray, kept: Sequence[int] | None = None
) -> Shares:
    """Fits a forest and divides the variance of each of its trees.

    Equation:
        V_U = Var(E[f | components U]); share of c: V_c / V; of a pair: (V_cd − V_c − V_d) / V (Hutter et al. 2014)

    Args:
        codes: Place of each run's value among the component's, `ABSENT` where it does not exist (n, components).
        scores: Of the runs (n,).
        kept: Components that are asked about; V is then the variance of f with the others averaged out.
    """
    space = Space(components)
    forest, wanted = fit(space, codes, scores), range(len(components)) if kept is None else kept
    found = [each for tree in forest.estimators_ if (each := divided(space, tree, wanted))]
    single = np.array([alone for alone, _ in found]).reshape(-1, len(wanted))
    pairs = np.array([beyond for _, beyond in found]).reshape(-1, len(wanted), len(wanted))
    return Shares(single, pairs, float(forest.oob_score_))


def fit(space: Space, codes: np.ndarray, scores: np.ndarray) -> RandomForestRegressor:
    """A forest that predicts scores (n,) from codes (n, components)."""
    settings: dict[str, Any] = {"min_samples_leaf": LEAF, "max_features": FEATURES, "random_state": 0, "n_jobs": 1}
    return RandomForestRegressor(TREES, oob_score=True, **settings).fit(space.encoded(codes), scores)


def divided(space: Space, tree: DecisionTreeRegressor, kept: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """The shares of a tree, single (c,) and in pairs (c, c); None where it does not depend on what is kept."""
    values, inside = space.boxes(tree.tree_)
    sizes = np.stack([inside[:, cells] @ space.weights[cells] for cells in space.cells], axis=1)
    volumes = sizes.prod(axis=1)
    mass = volumes * (values - values @ volumes)
    cells = [space.cells[place] for place in kept]
    own = [inside[:, each] / sizes[:, [place]] for place, each in zip(kept, cells, strict=True)]
    weights = [space.weights[each] for each in cells]
    products = np.outer(mass, mass)
    for each, weight in zip(own, weights, strict=True):
        products *= (each * weight) @ each.T  # how far two boxes overlap in what is kept
    total = products.sum()
    if total <= 1e-12 * (values**2 @ volumes):
        return None
    side, weight = np.hstack(own), np.concatenate(weights)
    starts = np.cumsum([0, *map(len, weights[:-1])])
    alone = np.add.reduceat(weight * (mass @ side) ** 2, starts)
    together = np.outer(weight, weight) * (side.T @ (mass[:, None] * side)) ** 2
    closed = np.add.reduceat(np.add.reduceat(together, starts, axis=0), starts, axis=1)
    return alone / total, np.triu(closed - alone - alone[:, None], 1) / total
