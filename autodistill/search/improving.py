"""The policy of this project: time goes where what it may show is worth most.

Decided here: what a piece of training is worth. It is how far, on the average over what it may show, the score of what
would then be chosen is thought to lie above that of what would be chosen now, for each second that it takes (the
knowledge gradient of Frazier, Powell and Dayanik 2009, of one candidate). Nothing is chosen that was not tried. A
candidate may be trained a little, which costs little and tells a little, or to its end; the better rate counts, and
then the first piece of it is trained. So many are looked at as long as a look is cheap and tells something, what is
like a bad one is left, and a promising one goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from autodistill.search.beliefs import SHARES, Belief, Beliefs
from autodistill.search.policies import Piece, Search, Seen, Space

SHORTEST = 1e-3
"""Seconds that any training takes."""
PAUSED = 8
"""So many candidates may wait to go on; the worst of more is given up, and its checkpoint need not be kept."""
CONTENDERS, DRAWS = 200, 256
"""How many candidates may be the best of all, and how often their scores are drawn to say how good that one is."""


class _Trainings:
    """How far each candidate is; arrays (n,)."""

    def __init__(self, names: Sequence[str], space: Space, shares: Sequence[float], groups: Sequence[str]):
        self.epochs = np.array([space.epochs[name] for name in names])
        self.seconds = np.maximum([space.seconds[name] for name in names], SHORTEST)
        self.before = np.array([space.before.get(name, 0.0) for name in names])
        self.stops = np.maximum(1, np.rint(np.outer(shares, self.epochs))).astype(int)  # (shares, n)
        self.group = np.unique(groups, return_inverse=True)[1] if groups else np.zeros(len(names), dtype=int)
        self.trained, self.over = np.zeros(len(names), dtype=int), np.zeros(len(names), dtype=bool)
        self.tried = np.zeros(len(names), dtype=bool)  # and did not fail

    def until(self, place: int) -> int:
        """The next epoch after which a candidate may pause."""
        stops = self.stops[:, place]
        return int(stops[stops > self.trained[place]].min())

    def note(self, place: int, until: int, seen: Seen) -> float:
        """What was seen of a candidate; gives the share of its training."""
        self.trained[place] = self.epochs[place] if seen.over else until
        self.over[place] = self.trained[place] == self.epochs[place]
        self.tried[place] = np.isfinite(seen.score)
        return float(self.trained[place] / self.epochs[place])

    def needed(self, stop: np.ndarray) -> np.ndarray:
        """Seconds until an epoch of each candidate (n,); 0 or less where it is further."""
        left = self.seconds * (stop - self.trained) / self.epochs
        return left + np.where((self.trained == 0) & (left > 0), self.before, 0.0)

    def give_up(self, mean: np.ndarray) -> np.ndarray:
        """The worst of those that wait, beyond `PAUSED`; they will not go on."""
        waiting = np.flatnonzero((self.trained > 0) & ~self.over)
        worst = waiting[np.argsort(-mean[waiting], kind="stable")][PAUSED:]
        self.over[worst] = True
        return worst


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
    names, now = beliefs.names, _Trainings(beliefs.names, space, shares, groups)
    order = dice.permutation(len(names))  # where all are equal, chance decides
    order = order[np.argsort(-beliefs.expected[order], kind="stable")]
    queue = [int(order[now.group[order] == each][0]) for each in dict.fromkeys(now.group[order])]
    piece = Piece("", 0)
    while queue:
        place = queue.pop(0)
        until = now.until(place)
        seen = yield piece._replace(candidate=names[place], epochs=until)
        share = now.note(place, until, seen)
        if now.tried[place]:
            beliefs.see(place, share, seen.score)
        if trials is not None and np.count_nonzero(now.trained) >= trials:
            now.over[now.trained == 0] = True
        queue = [each for each in queue if not now.over[each]]
        if not now.tried.any():  # all have failed so far
            queue = queue or [int(each) for each in order if not now.over[each]][:1]
            piece = Piece("", 0)
            continue
        belief = beliefs.now()
        given_up = now.give_up(belief.mean)
        bests = [_best(belief.mean, (now.group == each) & now.tried) for each in np.unique(now.group[now.tried])]
        if not queue and not now.over.all():
            queue = [int(np.argmax(_rates(belief, now, bests)))]
        left = ((best, np.flatnonzero(~now.over & (now.group == now.group[best]))) for best in bests)
        gain = max(of_knowing(belief, best, others, dice) for best, others in left)
        piece = Piece("", 0, names[_best(belief.mean, now.tried)], gain, tuple(names[each] for each in given_up))


def _rates(belief: Belief, now: _Trainings, bests: Sequence[int]) -> np.ndarray:
    """What training each candidate further is worth, per second (n,); −∞ where it will not go on."""
    rivals = _rivals(belief.mean, now, bests)
    lead, rates = belief.mean - belief.mean[rivals], np.full(len(belief.mean), -np.inf)
    without = np.where(now.tried, np.maximum(lead, 0.0), 0.0)  # what was not tried would not be chosen
    for stop in now.stops:
        needed = now.needed(stop)
        gains = highest(lead, belief.told(stop / now.epochs, rivals)) - without
        rates = np.maximum(rates, np.divide(gains, needed, out=np.full(len(rates), -np.inf), where=needed > 0))
    return np.where(now.over, -np.inf, rates)


def _best(mean: np.ndarray, of: np.ndarray) -> int:
    """The place of the highest one among some."""
    return int(np.argmax(np.where(of, mean, -np.inf)))


def _rivals(mean: np.ndarray, now: _Trainings, bests: Sequence[int]) -> np.ndarray:
    """Whom each candidate has to beat (n,): the best one of its group; that one, the highest other of its group, or of
    all where its group has nobody else."""
    every = np.arange(len(mean))
    rivals = np.full(len(mean), _best(mean, np.isin(every, bests)))
    for best in bests:
        others = (now.group == now.group[best]) & (every != best)
        rivals[others] = best
        tried = others & now.tried
        rivals[best] = _best(mean, next((each for each in (tried, others) if each.any()), every != best))
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


def highest(lead: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E[max(lead + deviation · Z, 0)] for Z ~ N(0, 1), elementwise.

    Example:
        >>> highest(np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 1.0])).round(3).tolist()
        [0.399, 0.0, 2.008]
    """
    known = deviation <= 0
    z = lead / np.where(known, 1.0, deviation)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(known, np.maximum(lead, 0.0), deviation * (density + z * ndtr(z)))
