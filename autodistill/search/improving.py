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
from scipy.stats import norm

from autodistill.search.beliefs import SHARES, Beliefs
from autodistill.search.policies import Piece, Search, Space


def improving(beliefs: Beliefs, space: Space, dice: np.random.Generator, shares: Sequence[float] = SHARES) -> Search:
    """Tries the candidate that is expected to be best first; from then on the piece that is worth most per second.

    Args:
        beliefs: Of the candidates of the space, in their order; changed by what is seen.
        shares: Of a training, after which it may pause; the last one is 1.
    """
    names = beliefs.names
    epochs, seconds = (np.array([each[name] for name in names]) for each in (space.epochs, space.seconds))
    stops = np.maximum(1, np.rint(np.outer(shares, epochs))).astype(int)
    trained, first = np.zeros(len(names), dtype=int), dice.permutation(len(names))
    chosen, choice = int(first[np.argmax(beliefs.expected[first])]), ""  # where all are equal, chance decides
    while True:
        until = int(stops[stops[:, chosen] > trained[chosen], chosen].min())
        seen = yield Piece(names[chosen], until, choice)
        trained[chosen] = epochs[chosen] if seen.over else until
        beliefs.see(chosen, trained[chosen] / epochs[chosen], seen.score)
        if (trained == epochs).all():
            return
        belief = beliefs.now()
        best = int(np.argmax(np.where(trained > 0, belief.mean, -np.inf)))
        choice = names[best]
        rivals = np.full(len(names), best)
        rivals[best] = np.argmax(np.where(np.arange(len(names)) == best, -np.inf, belief.mean))
        rates = np.full(len(names), -np.inf)
        for stop in stops:
            left = seconds * (stop - trained) / epochs
            gains = improvement(belief.mean - belief.mean[rivals], belief.told(stop / epochs, rivals))
            rates = np.maximum(rates, np.divide(gains, left, out=np.full(len(names), -np.inf), where=left > 0))
        chosen = int(np.argmax(rates))


def improvement(lead: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E[max(lead + deviation · Z, 0)] − max(lead, 0) for Z ~ N(0, 1), elementwise; 0 where nothing can change.

    Example:
        >>> improvement(np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 1.0])).round(3).tolist()
        [0.399, 0.0, 0.008]
    """
    known = deviation <= 0
    z = np.abs(lead) / np.where(known, 1.0, deviation)
    return np.where(known, 0.0, deviation * (norm.pdf(z) - z * norm.sf(z)))
