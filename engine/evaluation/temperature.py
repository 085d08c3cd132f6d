"""One temperature for all probabilities of a classifier: logits / T (Guo et al. 2017, section 4.2).

Decided here: T is the one under which the gold labels of some rows are likeliest, between `LEAST` and `MOST`: where
every answer is right, the smaller the likelier, and a hundred right answers do not make the next one sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LEAST, MOST = 0.1, 10.0


def fitted_temperature(logits: np.ndarray, gold: Sequence[int]) -> float:
    """The temperature of maximum likelihood; 1 where no other one is better.

    Equation: argmin_T −1/n Σ_i log softmax(z_i / T)[y_i]; it has one minimum, since the sum is convex in 1/T.

    Shapes: logits (n, C), of the labels `gold` (n,).

    Example:
        >>> sure = np.log([[0.9, 0.1]] * 10)  # of 9 in 10, and right in 7 of 10
        >>> print(f"{fitted_temperature(sure, [0] * 7 + [1] * 3):.2f}")
        2.59
    """
    exact, rows = np.asarray(logits, dtype=float), np.arange(len(gold))

    def loss(exponent: float) -> float:
        return -float(log_softmax(exact / math.exp(exponent), axis=1)[rows, gold].mean())

    bounds = (math.log(LEAST), math.log(MOST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x) if found.fun < loss(0.0) else 1.0
