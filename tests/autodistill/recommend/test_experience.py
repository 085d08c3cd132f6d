"""What past runs cover: runs near a candidate in everything together, from several datasets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autodistill.history.read import read_runs
from autodistill.recommend.experience import FAR, experience

PUBLISHED = read_runs("published").frame
OWN = {
    "dataset": "reviews@3f2a91bc",
    "n_train": 100,
    "training.epochs": 2.0,
    "teacher": "scratch:layers=2,hidden=32",
    "student": "scratch:layers=1,hidden=32",
    "teacher_parameters": 64e3,
    "student_parameters": 40e3,
}
"""A run that the published ones are unlike in everything."""


def runs(**columns: object) -> pd.DataFrame:
    """Two runs, which many published ones are like."""
    usual = {"dataset": "mine", "task_kind": "classification", "n_train": 5000, "teacher": "large", "student": "small"}
    sizes = {"teacher_parameters": 110e6, "student_parameters": 14e6, "training.epochs": 20, "ratio": 0.9}
    return pd.DataFrame({**usual, **sizes, **columns}, index=range(2))


def on(count: int, **columns: object) -> pd.DataFrame:
    """Two runs on each of so many datasets."""
    return pd.concat([runs(**{**columns, "dataset": f"set{place}"}) for place in range(count)], ignore_index=True)


def test_only_the_candidates_that_are_outside_are_concerned() -> None:
    found = experience(runs(student_parameters=[14e6, 1e6]), on(3))
    assert found.reasons == ["student of 1 M parameters (nearest past ones: 14 M)"]
    assert found.datasets == 0
    np.testing.assert_array_equal(found.outside, [False, True])
    np.testing.assert_array_equal(found.reached, [[0.9, 0.9], [np.nan, np.nan]])


def test_runs_of_papers_were_made_with_the_papers_epochs() -> None:
    """The published table does not say them."""
    found = experience(runs(**{"training.epochs": [20, 1]}), PUBLISHED)
    assert found.reasons == ["1 epoch (nearest past ones: 20)"]
    np.testing.assert_array_equal(found.outside, [False, True])


def test_past_values_between_those_of_several_candidates_are_named_too() -> None:
    """None was named: it is neither below the smallest student nor above the largest."""
    found = experience(runs(student_parameters=[4e6, 110e6]), on(3, student_parameters=30e6))
    assert found.reasons == ["student of 4 to 110 M parameters (nearest past ones: 30 M)"]


@pytest.mark.parametrize("rows", np.geomspace(1_200, 500_000, 25).round())
def test_nothing_between_the_published_datasets_is_far_from_them(rows: float) -> None:
    assert not experience(runs(n_train=rows), PUBLISHED).outside.any()


@pytest.mark.parametrize(("rows", "outside"), [(800, True), (1_000_000, True)])
def test_much_less_or_more_than_the_published_datasets_is_far(rows: float, outside: bool) -> None:
    assert experience(runs(n_train=rows), PUBLISHED).outside.all() == outside


def test_one_run_of_one_s_own_vouches_for_nothing() -> None:
    """Neither for itself nor for what lies between it and the others."""
    own = runs(**OWN, ratio=[0.58, 0.61])
    past = pd.concat([PUBLISHED, own], ignore_index=True)
    again = experience(own, past)
    assert again.outside.all()
    assert again.datasets == 1
    assert again.reasons[0] == "100 training examples (nearest past ones: 2,500)"
    assert "teacher of 0.064 M parameters (nearest past ones: 110 M)" in again.reasons
    assert "student that starts from scratch (most past ones pretrained)" in again.reasons
    assert len(again.reasons) == len(FAR)
    np.testing.assert_array_equal(again.reached, [[0.58, 0.61]] * 2)
    for name in FAR:
        between = experience(own.assign(**{name: runs()[name]}), past)
        assert between.outside.all(), name


def test_runs_on_three_datasets_are_experience() -> None:
    own = {name: value for name, value in OWN.items() if name != "dataset"}
    asked = runs(**own)
    for count, outside in ((2, True), (3, False)):
        found = experience(asked, pd.concat([PUBLISHED, on(count, **own)], ignore_index=True))
        assert found.outside.all() == outside
        assert bool(found.reasons) == outside
    assert found.datasets == 0, "none is outside"


def test_what_is_known_in_parts_alone_is_not_known_together() -> None:
    """Three datasets with as many rows and three with as many epochs, of which no run has both."""
    past = [on(3, n_train=100), on(3, **{"training.epochs": 2}).assign(dataset=["x", "x", "y", "y", "z", "z"])]
    found = experience(runs(**{"n_train": 100, "training.epochs": 2}), pd.concat(past, ignore_index=True))
    assert found.outside.all()
    assert found.reasons == []


@pytest.mark.parametrize("count", [1, 2])
def test_where_there_are_fewer_datasets_each_must_be_like_it(count: int) -> None:
    assert not experience(runs(), on(count)).outside.any()
    assert experience(runs(), pd.concat([on(count), runs(dataset="other", n_train=100)])).outside.all()


def test_pretrained_models_are_unlike_those_from_scratch() -> None:
    past = on(3, student="scratch:layers=2,hidden=128")
    assert experience(runs(), past).reasons == ["student that starts pretrained (past ones from scratch)"]


def test_students_that_are_no_transformers_are_like_their_own_kind_alone() -> None:
    words = "student that starts as a Bi-LSTM (past ones pretrained)"
    assert experience(runs(student="lstm:hidden=32"), on(3)).reasons == [words]
    assert experience(runs(student="static"), on(3, student="static:width=64")).reasons == []


def test_what_is_not_known_is_not_far() -> None:
    unknown = on(3, teacher_parameters=np.nan)
    assert not experience(runs(), unknown).outside.any()
    assert not experience(runs(teacher_parameters=np.nan), on(3)).outside.any()
    assert not experience(runs(), on(3).drop(columns="student_parameters")).outside.any()


def test_it_is_what_a_comparison_run_by_run_gives() -> None:
    dice = np.random.default_rng(0)
    sizes = [name for name in FAR if name not in ("teacher", "student")]

    def drawn(count: int) -> pd.DataFrame:
        made = {name: dice.choice([1.0, 2.0, 4.0, 8.0, np.nan], count) for name in sizes}
        made["training.epochs"] = dice.choice([1.0, 2.0, 4.0], count)
        starts = {role: dice.choice(["bert", "scratch:layers=1"], count) for role in ("teacher", "student")}
        datasets, ratios = dice.choice(list("abcde"), count), dice.uniform(0.5, 1, count)
        return pd.DataFrame({**made, **starts, "dataset": datasets, "ratio": ratios, "task_kind": "classification"})

    def alike(one: pd.Series, other: pd.Series) -> bool:
        pairs = [(one[name], other[name], FAR[name]) for name in sizes]
        starts = [[run[role].startswith("scratch") for role in ("teacher", "student")] for run in (one, other)]
        return starts[0] == starts[1] and all(not max(a / b, b / a) > far for a, b, far in pairs)

    asked, past = drawn(40), drawn(120)
    found = experience(asked, past)
    for place, (_, candidate) in enumerate(asked.iterrows()):
        near = past[[alike(candidate, run) for _, run in past.iterrows()]]
        assert found.outside[place] == (near.dataset.nunique() < 3)
        np.testing.assert_array_equal(found.reached[place], [near.ratio.min(), near.ratio.max()])
    assert 0 < found.outside.sum() < len(asked)
