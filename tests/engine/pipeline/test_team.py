"""Teams as they are written: who is in them, and the distributions and searches that are refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.base.errors import counted
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import AutoSKD, AverageTeam, SingleTeacher, StochasticTeam, TeamSpec

TEAMS = [kind for kind in get_args(get_args(TeamSpec)[0]) if kind is not SingleTeacher]
names = st.lists(st.text("abc/", min_size=1, max_size=4), min_size=1, max_size=6)


def refusal(team: type, **values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        team(**values)
    (error,) = caught.value.errors()
    return error["msg"]


def test_one_teacher_has_no_members() -> None:
    assert SingleTeacher().members == ()
    with pytest.raises(ValidationError, match="members"):
        SingleTeacher(members=("a",))  # type: ignore[call-arg]


@pytest.mark.parametrize("team", TEAMS)
@given(members=names)
def test_members_are_kept_in_order_and_named_once(team: type, members: list[str]) -> None:
    twice = sorted({name for name in members if members.count(name) > 1})
    if twice:
        assert f"named twice: {', '.join(twice)};" in refusal(team, members=members)
    else:
        assert team(members=members).members == tuple(members)


@pytest.mark.parametrize("team", TEAMS)
def test_a_team_has_members_and_comes_back(team: type) -> None:
    with pytest.raises(ValidationError, match="members"):
        team(members=[])
    made, adapter = team(members=["b", "a"]), TypeAdapter(TeamSpec)
    assert adapter.validate_json(adapter.dump_json(made)) == made


def test_one_member_is_called_so() -> None:
    words = "needs 2 numbers, for the teacher and its 1 member; it has 1"
    assert words in refusal(StochasticTeam, members=["a"], distribution=[1.0])


@given(st.integers(1, 5), st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_distribution_has_a_share_for_everybody_and_sums_to_1(members: int, shares: list[float]) -> None:
    named = [f"layers:{number}" for number in range(members)]
    if len(shares) != 1 + members:
        words = f"distribution needs {1 + members} numbers, for the teacher and its {counted(members, 'member')}"
        assert words in refusal(StochasticTeam, members=named, distribution=shares)
    elif abs(sum(shares) - 1) > 2e-4:
        assert "distribution must sum to 1, and sums to" in refusal(StochasticTeam, members=named, distribution=shares)
    total = sum(shares)
    if total and len(shares) == 1 + members:
        scaled = tuple(share / total for share in shares)
        assert StochasticTeam(members=named, distribution=scaled).distribution == scaled


def test_shares_are_not_negative() -> None:
    assert "greater than or equal to 0" in refusal(StochasticTeam, members=["a"], distribution=[-0.5, 1.5])


def test_one_value_stands_for_a_list_of_one() -> None:
    one = AutoSKD(members=["a", "b"], theta_learning_rate=1e-3, dropped=1)
    assert one == AutoSKD(members=["a", "b"], theta_learning_rate=[1e-3], dropped=[1])
    assert AutoSKD(members=["a"]).theta_learning_rate is None
    with pytest.raises(ValidationError, match="dropped"):
        AutoSKD(members=["a"], dropped=[])


@pytest.mark.parametrize("dropped", [0, 1, 2, 3, (0, 3)])
def test_somebody_stays(dropped: Any) -> None:
    most = max(dropped) if isinstance(dropped, tuple) else dropped
    if most <= 2:
        assert AutoSKD(members=["a", "b"], dropped=dropped).dropped == (dropped,)
    else:
        words = f"dropped = {most} leaves nobody: a team of 3 can drop 2 at most"
        assert words in refusal(AutoSKD, members=["a", "b"], dropped=dropped)


def test_gold_labels_know_theta_by_the_student_alone() -> None:
    words = "validation = hard_label needs second_order = true"
    assert words in refusal(AutoSKD, members=["a"], validation="hard_label")
    assert AutoSKD(members=["a"], validation="hard_label", second_order=True).second_order


@pytest.mark.parametrize(
    "team, kind, scales",
    [
        (StochasticTeam(members=["a"]), "classification", True),
        (StochasticTeam(members=["a"]), "regression", False),
        (StochasticTeam(members=["a"], scaled=False), "tagging", False),
        (AutoSKD(members=["a"]), "classification", True),
        (AutoSKD(members=["a"], update="cr"), "classification", False),
        (AutoSKD(members=["a"], update="cr", scaled=True), "classification", True),
        (AutoSKD(members=["a"], scaled=False), "classification", False),
    ],
)
def test_logits_are_scaled_as_in_the_paper_or_as_is_said(team: Any, kind: Any, scales: bool) -> None:
    """SSWO by equation 3; CR's candidates by section 2.4.1."""
    assert team.scales(kind) == scales


@pytest.mark.parametrize(
    "team, places",
    [
        (AutoSKD(members=["a"]), ["team.update", "team.validation"]),
        (AutoSKD(members=["a"], update="cr"), ["team.validation"]),
        (AutoSKD(members=["a"], update="cr", validation="hard_label", second_order=True), []),
        (StochasticTeam(members=["a"]), []),
        (StochasticTeam(members=["a"], scaled=True), ["team.scaled"]),
    ],
)
def test_what_a_team_cannot_teach_in_regression(team: Any, places: list[str]) -> None:
    """θ inside a target of the squared error dropped the good teacher in 10 searches of 10."""
    assert [problem.place for problem in Pipeline(team=team).problems_with("regression")] == places
    assert not Pipeline(team=team).problems_with("classification")


def test_a_knob_of_another_team_is_refused() -> None:
    assert "Extra inputs" in refusal(AverageTeam, members=["a"], candidates=3)
