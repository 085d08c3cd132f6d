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
    groups: Sequence[str] = (),
) -> Search:
    """Tries the candidate that is expected to be best first; from then on the piece that is worth most per second.

    Args:
        beliefs: Of the candidates of the space, in their order; changed by what is seen.
        shares: Of a training, after which it may pause; the last one is 1.
        trials: At most so many candidates are begun.
        groups: Of each candidate, where the best of every group is wanted; then the first of each is tried first.
    """
    names = beliefs.names
    epochs, seconds = (np.array([each[name] for name in names]) for each in (space.epochs, space.seconds))
    stops = np.maximum(1, np.rint(np.outer(shares, epochs))).astype(int)
    trained, over = np.zeros(len(names), dtype=int), np.zeros(len(names), dtype=bool)
    group = np.unique(groups, return_inverse=True)[1] if groups else np.zeros(len(names), dtype=int)
    first = dice.permutation(len(names))  # where all are equal, chance decides
    first = first[np.argsort(-beliefs.expected[first], kind="stable")]
    unseen = [int(first[group[first] == each][0]) for each in dict.fromkeys(group[first])]
    piece = Piece(names[unseen.pop(0)], 0)
    while True:
        chosen = names.index(piece.candidate)
        until = int(stops[stops[:, chosen] > trained[chosen], chosen].min())
        seen = yield piece._replace(epochs=until)
        trained[chosen], over[chosen] = (epochs[chosen], True) if seen.over else (until, until == epochs[chosen])
        beliefs.see(chosen, trained[chosen] / epochs[chosen], seen.score)
        belief = beliefs.now()
        best = _best(belief.mean, trained > 0)
        waiting = np.flatnonzero((trained > 0) & ~over)
        given_up = waiting[np.argsort(-belief.mean[waiting], kind="stable")][PAUSED:]
        over[given_up] = True
        if trials is not None and np.count_nonzero(trained) >= trials:
            over[trained == 0] = True
        if over.all():
            return
        unseen = [place for place in unseen if not over[place]]
        bests = [_best(belief.mean, (group == each) & (trained > 0)) for each in np.unique(group[trained > 0])]
        rivals = _rivals(belief.mean, group, bests)
        rates = np.full(len(names), -np.inf)
        for stop in stops:
            left = seconds * (stop - trained) / epochs
            gains = improvement(belief.mean - belief.mean[rivals], belief.told(stop / epochs, rivals))
            rates = np.maximum(rates, np.divide(gains, left, out=np.full(len(names), -np.inf), where=left > 0))
        following = unseen.pop(0) if unseen else int(np.argmax(np.where(over, -np.inf, rates)))
        gain = max(of_knowing(belief, each, np.flatnonzero(~over & (group == group[each])), dice) for each in bests)
        piece = Piece(names[following], 0, names[best], gain, tuple(names[each] for each in given_up))


def _best(mean: np.ndarray, of: np.ndarray) -> int:
    """The place of the highest one among some."""
    return int(np.argmax(np.where(of, mean, -np.inf)))


def _rivals(mean: np.ndarray, group: np.ndarray, bests: Sequence[int]) -> np.ndarray:
    """Whom each candidate has to beat: the best tried one of its group; the highest other one, if it is that itself or
    its group has nobody else (n,)."""
    rivals = np.full(len(mean), _best(mean, np.isin(np.arange(len(mean)), bests)))
    for best in bests:
        others = (group == group[best]) & (np.arange(len(mean)) != best)
        rivals[others] = best
        rivals[best] = _best(mean, others if others.any() else np.arange(len(mean)) != best)
    return rivals


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
