"""Ways of searching: which candidate is trained next, and until which epoch.

Decided here: a policy is a generator. It yields a piece of training, is sent what was then seen, and ends when it has
nothing left to try; mostly, whoever drives it has ended it before. What is paused costs nothing and goes on where it
was. A policy knows nothing of the rows that report.

Successive halving and Hyperband: Jamieson and Talwalkar 2016, Li et al. 2018; each starts again with other candidates
when it has come to its end. ASHA: Li et al. 2020, with one worker. TPE: Bergstra et al. 2011, by Optuna. Few after one
epoch: Egele et al. 2023 (arXiv:2307.15422).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from autodistill.ranking.past import as_words

FAILED = -math.inf
SPARED = 3
"""Successive halving and its kin: of so many one goes on, with so many times the epochs."""


class Piece(NamedTuple):
    """A part of a training."""

    candidate: str
    epochs: int
    """Until which epoch it is trained, from wherever it is."""
    choice: str = ""
    """Which candidate the policy would choose now; empty: the one with the best score so far."""
    gain: float = math.inf
    """How far the best candidate of all is expected to lie above this choice; ∞ where the policy does not say."""
    given_up: tuple[str, ...] = ()
    """Candidates that were begun and will not go on."""


class Seen(NamedTuple):
    """What a piece of training shows."""

    score: float
    """The best so far, on the rows that select; `FAILED` where the training failed."""
    seconds: float
    """Of its training, from the first epoch on."""
    epochs: int
    over: bool
    """Whether its training has ended."""


@dataclass(frozen=True)
class Space:
    """What is searched."""

    candidates: pd.DataFrame
    """A row a candidate, by its name: the columns of its pipeline and its models that vary."""
    epochs: Mapping[str, int]
    """Of each candidate's whole training."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """That this is thought to take; empty where no policy may go by the clock."""
    before: Mapping[str, float] = field(default_factory=dict)
    """What else a candidate needs before its first epoch; those that are absent, nothing."""

    @property
    def names(self) -> list[str]:
        """Of the candidates, in their order."""
        return [*self.candidates.index]


class Step(NamedTuple):
    """What has become of a search after a piece of training."""

    piece: Piece
    seen: Seen
    spent: float
    """Seconds of training so far, of all candidates."""
    choice: str
    """The candidate that would be chosen now."""
    following: Piece | None
    """What is trained next; None where nothing is left."""


Search = Generator[Piece, Seen, None]
"""Pieces of training out, what was seen of them in."""
Policy = Callable[[Space, np.random.Generator], Search]


def steps(search: Search, trial: Callable[[Piece], Seen], seconds: float = math.inf) -> Iterator[Step]:
    """Carries a search out.

    Args:
        trial: Trains a piece.
        seconds: Of training, after which no further piece begins.
    """
    spent, trained, best, leader = 0.0, dict[str, float](), -math.inf, ""
    piece: Piece | None = next(search, None)
    while piece is not None and spent < seconds:
        seen, done = trial(piece), piece
        spent += seen.seconds - trained.get(piece.candidate, 0.0)
        trained[piece.candidate] = seen.seconds
        if seen.score > best:
            best, leader = seen.score, piece.candidate
        try:
            piece = search.send(seen)
        except StopIteration:
            piece = None
        yield Step(done, seen, spent, (piece and piece.choice) or leader, piece)


def at_random(space: Space, dice: np.random.Generator) -> Search:
    """One after the other, each to its end."""
    for name in _shuffled(space.names, dice):
        yield Piece(name, space.epochs[name])


def in_order(order: Sequence[str]) -> Policy:
    """The policy that follows a list, each to its end."""

    def listed(space: Space, _: np.random.Generator) -> Search:
        for name in order:
            yield Piece(name, space.epochs[name])

    return listed


def few_after_one_epoch(space: Space, dice: np.random.Generator) -> Search:
    """All of them for one epoch, then the best ones to their end, the best first."""
    seen = {}
    for name in _shuffled(space.names, dice):
        seen[name] = (yield Piece(name, 1)).score
    for name in sorted(seen, key=lambda each: -seen[each]):
        yield Piece(name, space.epochs[name])


def successive_halving(space: Space, dice: np.random.Generator) -> Search:
    """Many for an epoch, a third of them for three, a ninth for nine, until one has come to its end."""
    waiting = _shuffled(space.names, dice)
    steps = _rungs(max(space.epochs.values()))
    while waiting:
        yield from _bracket(space, waiting, SPARED**steps, steps)


def hyperband(space: Space, dice: np.random.Generator) -> Search:
    """Brackets of successive halving, from many short ones to few that are trained to their end."""
    waiting = _shuffled(space.names, dice)
    most = _rungs(max(space.epochs.values()))
    while waiting:
        for steps in range(most, -1, -1):
            yield from _bracket(space, waiting, math.ceil((most + 1) / (steps + 1) * SPARED**steps), steps)


def _bracket(space: Space, waiting: list[str], count: int, steps: int) -> Search:
    """Takes so many of those that wait, and spares a third of them each of so many times."""
    running, waiting[:] = waiting[:count], waiting[count:]
    for step in range(steps, -1, -1):
        seen = {}
        for name in running:
            whole = space.epochs[name]
            seen[name] = (yield Piece(name, max(1, round(whole / SPARED**step)))).score
        best = sorted(running, key=lambda each: -seen[each])
        running = best[: max(1, len(running) // SPARED)] if running else []


def asha(space: Space, dice: np.random.Generator) -> Search:
    """Whoever is among the best third of its rung goes on at once; where nobody is, another one begins."""
    waiting = _shuffled(space.names, dice)
    steps = _rungs(max(space.epochs.values()))
    rungs: list[dict[str, float]] = [{} for _ in range(steps + 1)]
    while True:
        place, name = next(_promotable(rungs), (-1, ""))
        if not name:
            if not waiting:
                break
            name = waiting.pop(0)
        whole = space.epochs[name]
        reached = yield Piece(name, max(1, round(whole / SPARED ** (steps - place - 1))))
        rungs[place + 1][name] = reached.score
    for name in sorted(rungs[0], key=lambda each: -rungs[0][each]):  # nobody is left to be compared with
        if name not in rungs[-1]:
            yield Piece(name, space.epochs[name])


def _promotable(rungs: Sequence[Mapping[str, float]]) -> Iterator[tuple[int, str]]:
    """The rung and the candidate that may go on, the furthest first."""
    for place in range(len(rungs) - 2, -1, -1):
        scores = rungs[place]
        best = sorted(scores, key=lambda each: -scores[each])[: len(scores) // SPARED]
        yield from ((place, name) for name in best if name not in rungs[place + 1])


def _rungs(epochs: int) -> int:
    """How often epochs can be divided by `SPARED`."""
    return max(0, math.floor(math.log(epochs) / math.log(SPARED) + 1e-9))


def tpe(space: Space, dice: np.random.Generator) -> Search:
    """Each to its end, the next one as a tree-structured Parzen estimator asks, or what is nearest to that."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    words = as_words(space.candidates)
    choices = optuna.distributions.CategoricalDistribution
    kinds: dict[str, Any] = {str(name): choices(sorted(set(words[name]))) for name in words}
    sampler = optuna.samplers.TPESampler(seed=int(dice.integers(2**31)), multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    left = words.loc[_shuffled(space.names, dice)]
    while len(left):
        asked = study.ask(kinds)
        alike = sum((left[name] == value).to_numpy().astype(int) for name, value in asked.params.items())
        chosen = str(left.index[int(np.argmax(alike))])
        study.tell(asked, state=optuna.trial.TrialState.FAIL)  # what is told of is what was trained
        reached = yield Piece(chosen, space.epochs[chosen])
        params = {name: left.loc[chosen, name] for name in kinds}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=reached.score))
        left = left.drop(index=chosen)


def _shuffled(names: Sequence[str], dice: np.random.Generator) -> list[str]:
    return [names[place] for place in dice.permutation(len(names))]


POLICIES: dict[str, Policy] = {
    "random": at_random,
    "halving": successive_halving,
    "hyperband": hyperband,
    "asha": asha,
    "tpe": tpe,
    "one_epoch": few_after_one_epoch,
}
"""Name → a policy that knows nothing of past runs."""
