"""What past runs cover, and what is too far from all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from autodistill.history.read import read_runs
from autodistill.recommend.experience import unlike


def runs(**columns: object) -> pd.DataFrame:
    usual = {"task_kind": "classification", "n_train": 5000, "teacher": "large", "student": "small"}
    sizes = {"teacher_parameters": 110e6, "student_parameters": 14e6}
    return pd.DataFrame({**usual, **sizes, **columns}, index=range(2))


def test_only_the_candidates_that_are_outside_are_concerned() -> None:
    found = unlike(runs(student_parameters=[14e6, 1e6]), runs())
    ((words, concerned),) = found.items()
    assert words == "student of 1 to 14 M parameters (past ones 14 to 14)"
    np.testing.assert_array_equal(concerned, [False, True])


def test_runs_of_papers_were_made_with_the_papers_epochs() -> None:
    """The published table does not say them."""
    past = read_runs("published").frame
    asked = runs(**{"training.epochs": [20, 3]})
    ((words, concerned),) = unlike(asked, past).items()
    assert words == "3 to 20 epochs (past ones 20 to 30)"
    np.testing.assert_array_equal(concerned, [False, True])


def test_own_runs_are_experience() -> None:
    own = runs(**{"training.epochs": 2.0, "student": "scratch:layers=2,hidden=128", "n_train": 300})
    assert len(unlike(own, runs())) == 3
    assert unlike(own, pd.concat([runs(), own], ignore_index=True)) == {}


def test_pretrained_models_are_unlike_those_from_scratch() -> None:
    past = runs(student="scratch:layers=2,hidden=128")
    assert list(unlike(runs(), past)) == ["pretrained student (past ones are from scratch)"]
