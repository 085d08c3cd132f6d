"""The policy that is led by what is believed."""

from __future__ import annotations

import numpy as np

from autodistill.search.beliefs import SHARES, Beliefs, Curves, Prior
from autodistill.search.improving import improvement, improving
from autodistill.search.policies import POLICIES, Piece, Policy, Search, Seen, Space, steps
from tests.autodistill.search.conftest import WORDS, made_up


def test_what_a_look_may_improve() -> None:
    """By drawing: how far the better of two is thought to lie above the one that leads now."""
    draws = np.random.default_rng(0).normal(size=400_000)
    lead, deviation = np.array([-0.3, 0.0, 0.2]), np.array([0.5, 0.1, 0.2])
    drawn = [np.maximum(a + b * draws, 0).mean() - max(a, 0) for a, b in zip(lead, deviation, strict=True)]
    np.testing.assert_allclose(improvement(lead, deviation), drawn, atol=1e-3)


def regret(policy: Policy, truth: Curves, seconds: float, seed: int) -> float:
    """What is missing to the best candidate, in spreads, when so much time is over."""
    names, epochs = [*WORDS.index], 20
    space = Space(WORDS, dict.fromkeys(names, epochs), dict.fromkeys(names, float(epochs)))

    def trial(piece: Piece) -> Seen:
        curve = truth.scores[names.index(piece.candidate)]
        score = float(np.interp(piece.epochs / epochs, SHARES, curve))
        return Seen(score, float(piece.epochs), piece.epochs, piece.epochs == epochs)

    *_, end = steps(policy(space, np.random.default_rng(seed)), trial, seconds)
    last = truth.scores[:, -1]
    return float((last.max() - last[names.index(end.choice)]) / truth.spread)


def test_it_finds_good_candidates_sooner_than_those_that_know_nothing(prior: Prior) -> None:
    """In the time of one whole training, on twenty datasets that nothing was learned of."""

    def ours(space: Space, dice: np.random.Generator) -> Search:
        return improving(Beliefs(prior, WORDS, np.zeros(len(WORDS))), space, dice)

    found = {
        name: np.mean([regret(policy, made_up(100 + number), 20.0, number) for number in range(20)])
        for name, policy in {**POLICIES, "ours": ours}.items()
    }
    assert found["ours"] < 0.5 * min(score for name, score in found.items() if name != "ours")


def test_it_goes_on_until_everything_is_known(prior: Prior) -> None:
    truth, names = made_up(5), [*WORDS.index]
    space = Space(WORDS, dict.fromkeys(names, 20), dict.fromkeys(names, 1.0))
    pieces = []

    def trial(piece: Piece) -> Seen:
        pieces.append(piece)
        return Seen(truth.scores[names.index(piece.candidate), -1], 1.0, piece.epochs, over=piece.epochs >= 5)

    searching = improving(Beliefs(prior, WORDS, np.zeros(len(WORDS))), space, np.random.default_rng(0))
    done = [*steps(searching, trial)]
    assert max(piece.epochs for piece in pieces) == 5  # all end early
    assert {piece.candidate for piece in pieces} == {*names}
    assert done[-1].choice == names[int(truth.scores[:, -1].argmax())]
