"""Circumstances: what they are, that they are learned from past runs alone, and that they tell what suits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.known import Dataset
from autodistill.ranking.circumstances import CIRCUMSTANCES, FARTHEST, Circumstances, forms, leads
from autodistill.ranking.fitted import PREDICTORS
from autodistill.ranking.past import RunTable, folds
from tests.autodistill.made_up import everywhere_the_same, made_up


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    table = made_up(everywhere_the_same, datasets=6, distracting=True)
    gaps = {name: 0.5 + 0.05 * place for place, name in enumerate(table.names)}
    return replace(table, runs=table.runs.assign(bilstm_score=table.runs.dataset.map(gaps)))


def test_they_are_gap_kind_of_text_and_rows(table: RunTable) -> None:
    known = Circumstances.of(table)
    found, runs = known(table), table.runs
    expected = pd.DataFrame(
        {
            "gap": 1 - runs.bilstm_score / runs.teacher_score,
            "pair": runs.dataset.map(lambda name: float(table.datasets[name].descriptors.pair)),
            "rows": np.log(runs.n_train),
        }
    )
    expected = (expected - expected.mean()) / expected.std(ddof=0).replace(0, 1)
    assert [*found] == [*CIRCUMSTANCES]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_they_are_learned_from_past_runs_alone(table: RunTable) -> None:
    past = table.without("set5")
    known = Circumstances.of(past)
    np.testing.assert_allclose(known(past).mean(), 0, atol=1e-9)
    np.testing.assert_allclose(known(past).gap.std(ddof=0), 1)
    assert abs(known(table.of("set5")).rows.mean()) > 0.5


def test_what_is_not_known_is_an_average_one(table: RunTable) -> None:
    known, asked = Circumstances.of(table), table.of("set0")
    unknown = replace(asked, runs=asked.runs.drop(columns=["n_train"]), datasets={})
    found = known(replace(unknown, runs=unknown.runs.assign(bilstm_score=np.nan)))
    assert (found == 0).all(axis=None)
    nothing = Circumstances.of(replace(table, runs=table.runs.assign(n_train=np.nan)))
    assert (nothing(table).rows == 0).all()


def test_what_lies_far_outside_lies_at_its_border(table: RunTable) -> None:
    asked = table.of("set0")
    far = replace(asked, runs=asked.runs.assign(n_train=1e12))
    assert (Circumstances.of(table)(far).rows == FARTHEST).all()


def test_forms_are_those_of_students(table: RunTable) -> None:
    names = ["lstm:hidden=64", "static", "scratch:layers=2,hidden=128", "layers:2"]
    runs = table.runs.iloc[:4].assign(student=names)
    assert forms(replace(table, runs=runs)).tolist() == ["lstm", "static", "scratch", "pretrained"]


def test_a_student_leads_by_what_it_reaches_alone(table: RunTable) -> None:
    runs = (
        table.of("set0")
        .runs.iloc[:6]
        .assign(
            student=["a", "a", "b", "b", "b", "c"],
            student_alone_score=[0.6, 0.62, 0.5, 0.5, 0.5, np.nan],
            teacher_score=1.0,
            n_train=300,
        )
    )
    found = leads(replace(table, runs=runs))
    ahead = np.tanh((0.61 - 0.555) / 0.02)
    np.testing.assert_allclose(found, [ahead, ahead, -ahead, -ahead, -ahead, 0])
    assert (leads(replace(table, runs=runs.iloc[:2])) == 0).all()
    assert (leads(replace(table, runs=runs.drop(columns="student_alone_score"))) == 0).all()
    other_rows = runs.assign(n_train=[1000, 1000, 300, 300, 300, 300])
    assert (leads(replace(table, runs=other_rows)) == 0).all()


@pytest.mark.parametrize("name", ["ridge", "lightgbm"])
def test_the_student_that_leads_alone_is_ordered_first(name: str) -> None:
    """Which of two it is differs from dataset to dataset, and nothing else tells."""
    table = made_up(everywhere_the_same, datasets=10)
    first = table.runs.dataset.map({each: place % 3 == 0 for place, each in enumerate(table.names)})
    students = np.where(np.arange(len(table.runs)) % 2 == 0, "layers:3", "layers:2")
    ahead = (students == "layers:3") == first
    ratio = 0.8 + 0.1 * ahead + 0.01 * np.random.default_rng(0).standard_normal(len(ahead))
    alone = 0.6 + 0.1 * ahead
    runs = table.runs.assign(student=students, ratio=ratio, student_alone_score=alone, teacher_score=0.9)
    table = replace(table, runs=runs)
    for dataset, _, standings in folds(PREDICTORS[name], table):
        own = (runs.dataset == dataset).to_numpy()
        assert standings[ahead[own]].min() > standings[~ahead[own]].max()


def test_which_form_of_student_suits_pairs_is_found() -> None:
    """On pairs of texts the Bi-LSTM is ahead, on single ones two layers are: no order is right everywhere."""
    table = made_up(everywhere_the_same, datasets=8)
    known = {
        each: Dataset(table.datasets[each].descriptors.model_copy(update={"pair": place % 2 == 0}), made.words)
        for place, (each, made) in enumerate(table.datasets.items())
    }
    students = np.where(np.arange(len(table.runs)) % 2 == 0, "lstm:hidden=64", "layers:2")
    pair = table.runs.dataset.map(lambda each: known[each].descriptors.pair)
    ahead = (students == "lstm:hidden=64") == pair
    ratio = 0.8 + 0.1 * ahead + 0.01 * np.random.default_rng(0).standard_normal(len(ahead))
    table = replace(table, runs=table.runs.assign(student=students, ratio=ratio), datasets=known)
    for dataset, _, standings in folds(PREDICTORS["ridge"], table):
        own = (table.runs.dataset == dataset).to_numpy()
        assert standings[ahead[own]].min() > standings[~ahead[own]].max()
