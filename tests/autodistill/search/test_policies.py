"""Each policy does what its source says, on candidates whose curves are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from autodistill.search.policies import POLICIES, Piece, Policy, Seen, Space, Step, in_order, steps

EPOCHS = 9


def space_of(count: int, epochs: int = EPOCHS) -> Space:
    names = [f"p{number}" for number in range(count)]
    candidates = pd.DataFrame({"number": [str(number) for number in range(count)]}, index=names)
    return Space(candidates, dict.fromkeys(names, epochs), dict.fromkeys(names, float(epochs)))


def trial(piece: Piece) -> Seen:
    """A candidate's score is its number, and less while its training is not over; an epoch takes a second."""
    number, over = int(piece.candidate[1:]), piece.epochs == EPOCHS
    return Seen(number + piece.epochs / 100, float(piece.epochs), piece.epochs, over)


def carried_out(policy: Policy, count: int, seed: int = 0, seconds: float = 1e9) -> list[Step]:
    return [*steps(policy(space_of(count), np.random.default_rng(seed)), trial, seconds)]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_nothing_is_trained_twice_and_everything_is_tried(name: str, count: int) -> None:
    done = carried_out(POLICIES[name], count)
    pieces = [(step.piece.candidate, step.piece.epochs) for step in done]
    assert len({*pieces}) == len(pieces)
    for _, own in itertools.groupby(sorted(pieces), key=lambda piece: piece[0]):
        epochs = [epoch for _, epoch in own]
        assert epochs == sorted(epochs)
    assert {candidate for candidate, _ in pieces} == {f"p{number}" for number in range(count)}
    assert done[-1].choice == f"p{count - 1}"
    assert (f"p{count - 1}", EPOCHS) in pieces


@pytest.mark.parametrize("name", POLICIES)
def test_chance_follows_the_seed(name: str) -> None:
    orders = [[step.piece for step in carried_out(POLICIES[name], 30, seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_what_is_paused_goes_on_where_it_was_and_costs_nothing_twice() -> None:
    spent = [step.spent for step in carried_out(POLICIES["one_epoch"], 4)]
    assert spent == [1, 2, 3, 4, 12, 20, 28, 36]


def test_it_ends_with_the_time() -> None:
    done = carried_out(POLICIES["random"], 10, seconds=2.5 * EPOCHS)
    assert [step.spent for step in done] == [EPOCHS, 2 * EPOCHS, 3 * EPOCHS]  # what was begun comes to its end
    assert carried_out(POLICIES["random"], 10, seconds=0) == []


def test_the_choice_is_the_best_score_so_far_unless_the_policy_says_another() -> None:
    def saying(space: Space, _: np.random.Generator) -> Iterator[Piece]:
        for name, choice in (("p1", ""), ("p2", "p1"), ("p0", "")):
            yield Piece(name, 1, choice)

    assert [step.choice for step in carried_out(saying, 3)] == ["p1", "p2", "p2"]  # type: ignore[arg-type]


def test_a_list_is_followed() -> None:
    done = carried_out(in_order(["p3", "p0"]), 5)
    assert [step.piece[:2] for step in done] == [("p3", EPOCHS), ("p0", EPOCHS)]


def test_few_after_one_epoch() -> None:
    """Egele et al. 2023: all for an epoch, then the best ones."""
    pieces = [step.piece[:2] for step in carried_out(POLICIES["one_epoch"], 5)]
    assert sorted(pieces[:5]) == [(f"p{number}", 1) for number in range(5)]
    assert pieces[5:] == [(f"p{number}", EPOCHS) for number in (4, 3, 2, 1, 0)]


def test_successive_halving() -> None:
    """Of nine with an epoch each three go on to three epochs, and one to nine (η = 3); then come the other nine."""
    pieces = [step.piece[:2] for step in carried_out(POLICIES["halving"], 18)]
    assert len(pieces) == 26
    for bracket in (pieces[:13], pieces[13:]):
        assert [epochs for _, epochs in bracket] == [1] * 9 + [3] * 3 + [9]
        first = sorted((int(name[1:]) for name, _ in bracket[:9]), reverse=True)
        assert [int(name[1:]) for name, _ in bracket[9:12]] == first[:3]
        assert int(bracket[12][0][1:]) == first[0]


def test_hyperband() -> None:
    """Li et al. 2018, table 1, for R = 9 and η = 3: brackets of 9 with 1, 5 with 3 and 3 with 9 epochs."""
    pieces = [step.piece[:2] for step in carried_out(POLICIES["hyperband"], 17)]
    epochs = [epoch for _, epoch in pieces]
    assert epochs == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3


def test_asha_goes_on_as_soon_as_a_third_can_be_told() -> None:
    """Li et al. 2020: whoever is among the best third of a rung is promoted before another begins."""
    pieces = [step.piece[:2] for step in carried_out(POLICIES["asha"], 9)]
    assert [epochs for _, epochs in pieces[:4]] == [1, 1, 1, 3]
    assert pieces[3][0] == max(name for name, _ in pieces[:3])
    promoted = [name for name, epochs in pieces if epochs == 3]
    assert len({*promoted}) == len(promoted)
    first = {name: place for place, (name, epochs) in enumerate(pieces) if epochs == 1}
    for place, (name, epochs) in enumerate(pieces):
        if epochs == 3:
            rung = sorted((each for each in first if first[each] < place), reverse=True)
            assert name in rung[: len(rung) // 3]


def test_tpe_learns_which_values_are_good() -> None:
    """Of 6 × 6 × 6 candidates it finds a better one in 40 trials than chance does."""
    names = [f"{a}{b}{c}" for a, b, c in itertools.product("012345", repeat=3)]
    columns = {place: [name[number] for name in names] for number, place in enumerate("abc")}
    space = Space(pd.DataFrame(columns, index=names), dict.fromkeys(names, 1), dict.fromkeys(names, 1.0))

    def seen(piece: Piece) -> Seen:
        return Seen(sum(map(int, piece.candidate)), 1.0, 1, True)

    def best(name: str, seed: int) -> float:
        done = [*steps(POLICIES[name](space, np.random.default_rng(seed)), seen, 40)]
        assert len({step.piece.candidate for step in done}) == 40
        return max(step.seen.score for step in done)

    found = {name: np.mean([best(name, seed) for seed in range(8)]) for name in ("tpe", "random")}
    assert found["tpe"] > found["random"] + 0.5
