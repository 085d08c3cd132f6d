"""The policy that is led by what is believed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from autodistill.search.beliefs import SHARES, Beliefs, Curves, Prior
from autodistill.search.improving import _rates, _Trainings, highest, improving
from autodistill.search.policies import FAILED, POLICIES, Piece, Policy, Search, Seen, Space, steps
from tests.autodistill.search.conftest import WORDS, made_up


def test_what_a_look_may_improve() -> None:
    """By drawing: how far the better of two is thought to lie above the one that leads now."""
    draws = np.random.default_rng(0).normal(size=400_000)
    lead, deviation = np.array([-0.3, 0.0, 0.2]), np.array([0.5, 0.1, 0.2])
    drawn = [np.maximum(a + b * draws, 0).mean() - max(a, 0) for a, b in zip(lead, deviation, strict=True)]
    np.testing.assert_allclose(highest(lead, deviation) - np.maximum(lead, 0), drawn, atol=1e-3)


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


def test_of_groups_the_best_of_each_is_looked_for(prior: Prior) -> None:
    """By their objectives: at the end of one search each group's best is near its true best."""
    names, epochs = [*WORDS.index], 20
    space = Space(WORDS, dict.fromkeys(names, epochs), dict.fromkeys(names, float(epochs)))
    missing = []
    for seed in range(10):
        truth = made_up(200 + seed)

        def trial(piece: Piece, truth: Curves = truth) -> Seen:
            score = float(np.interp(piece.epochs / epochs, SHARES, truth.scores[names.index(piece.candidate)]))
            return Seen(score, float(piece.epochs), piece.epochs, piece.epochs == epochs)

        beliefs = Beliefs(prior, WORDS, np.zeros(len(WORDS)))
        searching = improving(beliefs, space, np.random.default_rng(seed), groups=[*WORDS.objective])
        done = [*steps(searching, trial, 60.0)]
        first = [WORDS.objective[step.piece.candidate] for step in done[:6]]
        assert sorted(first) == [*"abcdef"], "one of each comes first"
        means, last = pd.Series(beliefs.now().mean, names), pd.Series(truth.scores[:, -1], names)
        tried = means[[*{step.piece.candidate for step in done}]]
        for _, own in tried.groupby(WORDS.objective.reindex(tried.index)):
            whole = last[WORDS.objective == WORDS.objective[own.idxmax()]]
            missing.append((whole.max() - last[own.idxmax()]) / truth.spread)
    assert np.mean(missing) < 0.35


def test_a_search_of_one_candidate_ends(prior: Prior) -> None:
    one = WORDS.iloc[:1]
    space = Space(one, {one.index[0]: 4}, {one.index[0]: 4.0})
    searching = improving(Beliefs(prior, one, np.zeros(1)), space, np.random.default_rng(0))
    done = [*steps(searching, lambda piece: Seen(0.5, piece.epochs, piece.epochs, piece.epochs == 4))]
    assert [step.piece.epochs for step in done] == [1, 2, 4]


def test_at_most_so_many_are_begun(prior: Prior) -> None:
    truth, names = made_up(7), [*WORDS.index]
    space = Space(WORDS, dict.fromkeys(names, 20), dict.fromkeys(names, 20.0))
    searching = improving(
        Beliefs(prior, WORDS, np.zeros(len(WORDS))),
        space,
        np.random.default_rng(0),
        trials=3,
        groups=[*WORDS.objective],
    )

    def trial(piece: Piece) -> Seen:
        score = float(np.interp(piece.epochs / 20, SHARES, truth.scores[names.index(piece.candidate)]))
        return Seen(score, float(piece.epochs), piece.epochs, piece.epochs == 20)

    assert len({step.piece.candidate for step in steps(searching, trial)}) == 3


def test_what_is_thought_to_be_best_and_was_not_tried_is_worth_its_lead(prior: Prior) -> None:
    """Two good parts were tried apart; together they are thought to be better still, which is what a look is worth."""
    names = [*WORDS.index]
    space = Space(WORDS, dict.fromkeys(names, 20), dict.fromkeys(names, 20.0))
    beliefs, now = Beliefs(prior, WORDS, np.zeros(len(WORDS))), _Trainings(names, space, SHARES, ())
    for one, other in ((name[0], name[1]) for name in names):
        if (one == "a") != (other == "u") or ("b" in one and "v" in other):
            place = names.index(one + other)
            beliefs.see(place, 1.0, 0.7 + 0.03 * (one == "a" or other == "u"))
            now.trained[place], now.tried[place], now.over[place] = 20, True, True
    belief, best = beliefs.now(), int(np.argmax(np.where(now.tried, beliefs.now().mean, -np.inf)))
    assert belief.mean[names.index("au")] > belief.mean[best]
    assert names[int(np.argmax(_rates(belief, now, [best])))] == "au"


def test_what_comes_before_the_first_epoch_is_paid_once(prior: Prior) -> None:
    names = [*WORDS.index]
    space = Space(WORDS, dict.fromkeys(names, 10), dict.fromkeys(names, 50.0), {names[0]: 30.0})
    now = _Trainings(names, space, SHARES, ())
    assert now.needed(np.full(len(names), 2))[:2].tolist() == [40.0, 10.0]
    now.trained[0] = 1
    assert now.needed(np.full(len(names), 2))[0] == 5.0
    assert now.needed(np.full(len(names), 1))[0] == 0.0


def test_what_fails_is_left_and_believed_nothing_of(prior: Prior) -> None:
    """However many fail before the first one that does not."""
    truth, names = made_up(3), [*WORDS.index]
    space = Space(WORDS, dict.fromkeys(names, 20), dict.fromkeys(names, 20.0))
    beliefs, asked = Beliefs(prior, WORDS, np.zeros(len(WORDS))), []

    def trial(piece: Piece) -> Seen:
        asked.append(piece.candidate)
        if len({*asked}) <= 3 or piece.candidate in asked[:3]:
            return Seen(FAILED, 1.0, piece.epochs, True)
        score = float(np.interp(piece.epochs / 20, SHARES, truth.scores[names.index(piece.candidate)]))
        return Seen(score, float(piece.epochs), piece.epochs, piece.epochs == 20)

    done = [*steps(improving(beliefs, space, np.random.default_rng(0)), trial, 200.0)]
    assert len({*asked[:3]}) == 3
    assert not {*asked[:3]} & {*asked[3:]}
    assert done[-1].choice not in asked[:3]
    everything = improving(Beliefs(prior, WORDS, np.zeros(len(WORDS))), space, np.random.default_rng(0))
    assert len([*steps(everything, lambda piece: Seen(FAILED, 1.0, 1, True))]) == len(names)
