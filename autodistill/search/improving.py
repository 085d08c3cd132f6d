"""The policy of this project: time goes where what it may show is worth most.

Decided here: what a piece of training is worth. It is how far, on the average over what it may show, the candidate's
last score would then be thought to lie above that of the best one so far, for each second that it takes (the knowledge
gradient of Frazier, Powell and Dayanik 2009, of one candidate). A candidate may be trained a little, which costs little
and tells a little, or to its end; the better rate counts, and then the first piece of it is trained. So many are looked
at as long as a look is cheap and tells something, what is like a bad one is left, and a promising one goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from autodistill.search.beliefs import SHARES, Belief, Beliefs
from autodistill.search.policies import Piece, Search, Space

PAUSED = 8
"""So many candidates may wait to go on; the worst of more is given up, and its checkpoint need not be kept."""
CONTENDERS, DRAWS = 200, 256
"""How many candidates may be the best of all, and how often their scores are drawn to say how good that one is."""


def improving(
    beliefs: Beliefs,
    space: Space,
    dice: np.random.Generator,
    shares: Sequence[float] = SHARES,
    trials: int | None = None,
) -> Search:
    """Tries the candidate that is expected to be best first; from then on the piece that is worth most per second.

    Args:
        beliefs: Of the candidates of the space, in their order; changed by what is seen.
        shares: Of a training, after which it may pause; the last one is 1.
        trials: At most so many candidates are begun.
    """
    names = beliefs.names
    epochs, seconds = (np.array([each[name] for name in names]) for each in (space.epochs, space.seconds))
    stops = np.maximum(1, np.rint(np.outer(shares, epochs))).astype(int)
    trained, first = np.zeros(len(names), dtype=int), dice.permutation(len(names))
    over = np.zeros(len(names), dtype=bool)
    piece = Piece(names[first[np.argmax(beliefs.expected[first])]], 0)  # where all are equal, chance decides
    while True:
        chosen = names.index(piece.candidate)
        until = int(stops[stops[:, chosen] > trained[chosen], chosen].min())
        seen = yield piece._replace(epochs=until)
        trained[chosen], over[chosen] = (epochs[chosen], True) if seen.over else (until, until == epochs[chosen])
        beliefs.see(chosen, trained[chosen] / epochs[chosen], seen.score)
        belief = beliefs.now()
        best = int(np.argmax(np.where(trained > 0, belief.mean, -np.inf)))
        waiting = np.flatnonzero((trained > 0) & ~over)
        given_up = waiting[np.argsort(-belief.mean[waiting], kind="stable")][PAUSED:]
        over[given_up] = True
        if trials is not None and np.count_nonzero(trained) >= trials:
            over[trained == 0] = True
        if over.all():
            return
        rivals = np.full(len(names), best)
        rivals[best] = np.argmax(np.where(np.arange(len(names)) == best, -np.inf, belief.mean))
        rates = np.full(len(names), -np.inf)
        for stop in stops:
            left = seconds * (stop - trained) / epochs
            gains = improvement(belief.mean - belief.mean[rivals], belief.told(stop / epochs, rivals))
            rates = np.maximum(rates, np.divide(gains, left, out=np.full(len(names), -np.inf), where=left > 0))
        following = int(np.argmax(np.where(over, -np.inf, rates)))
        gain = of_knowing(belief, best, np.flatnonzero(~over), dice)
        piece = Piece(names[following], 0, names[best], gain, tuple(names[each] for each in given_up))


def of_knowing(belief: Belief, best: int, left: np.ndarray, dice: np.random.Generator) -> float:
    """How far the best of the candidates that are left, and of the chosen one, is expected to lie above that one.

    Equation:
        E[max_i f_i] − E[f_best] over draws of all last scores together: the expected value of perfect information
    """
    likely = left[np.argsort(-(belief.mean + 2 * belief.deviation)[left], kind="stable")][:CONTENDERS]
    places = np.unique([*likely, best])
    drawn = dice.multivariate_normal(belief.mean[places], belief.last(places), DRAWS, "ignore", method="eigh")
    return float((drawn.max(axis=1) - drawn[:, np.searchsorted(places, best)]).mean())


def improvement(lead: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E[max(lead + deviation · Z, 0)] − max(lead, 0) for Z ~ N(0, 1), elementwise; 0 where nothing can change.

    Example:
        >>> improvement(np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 1.0])).round(3).tolist()
        [0.399, 0.0, 0.008]
    """
    known = deviation <= 0
    z = np.abs(lead) / np.where(known, 1.0, deviation)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(known, 0.0, deviation * (density - z * ndtr(-z)))
