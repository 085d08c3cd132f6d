"""Functional ANOVA over a full grid: every combination of values is asked for, and axes are averaged out.

A component is a tuple: number of values, whether they are ordered, place of its parent or None, and the parent's values
with which it exists.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

ABSENT = -1


def with_absences(chosen, components):
    """One value of each component → the same, ABSENT where it does not exist."""
    found = []
    for value, (_, _, parent, exists) in zip(chosen, components, strict=True):
        found.append(value if parent is None or found[parent] in exists else ABSENT)
    return found


def as_features(codes, components):
    """A number for an ordered component, a 0 or 1 for each value of another."""
    row = []
    for code, (values, ordered, _, _) in zip(codes, components, strict=True):
        row += [code] if ordered else [float(code == value) for value in range(values)]
    return row


def shares(predict, components, kept):
    """Shares of the kept components, and of pairs of places in `kept`, of the variance with the others averaged out."""
    grid = product(*(range(values) for values, *_ in components))
    rows = [as_features(with_absences(chosen, components), components) for chosen in grid]
    answers = predict(np.array(rows)).reshape([values for values, *_ in components])

    def variance(of):
        others = tuple(axis for axis in range(len(components)) if axis not in of)
        return answers.mean(axis=others).var()

    whole = variance(kept)
    single = [variance([one]) / whole for one in kept]
    pairs = {}
    for one, other in combinations(range(len(kept)), 2):
        pairs[one, other] = variance([kept[one], kept[other]]) / whole - single[one] - single[other]
    return single, pairs
