"""What every predictor keeps, whatever it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.ranking import fitted as module
from autodistill.ranking.fitted import PREDICTORS, kept_fit
from autodistill.ranking.past import Rank, RunTable
from engine.base.progress import SilentReporter
from tests.autodistill.made_up import everywhere_the_same, made_up

NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "autogluon" else name for name in PREDICTORS]
HELD_OUT = "set2"


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(everywhere_the_same, datasets=6)


@pytest.fixture(name="ranks", scope="module")
def _ranks(table: RunTable) -> dict[str, Rank]:
    return {}


def fitted(name: str, table: RunTable, ranks: dict[str, Rank]) -> Rank:
    if name not in ranks:
        ranks[name] = PREDICTORS[name](table.without(HELD_OUT))
    return ranks[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_gets_a_finite_standing(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    standings = fitted(name, table, ranks)(table.of(HELD_OUT))
    assert standings.shape == (12,)
    assert np.isfinite(standings).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
def test_the_order_of_candidates_does_not_matter(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    rank, asked = fitted(name, table, ranks), table.of(HELD_OUT)
    shuffled = replace(asked, runs=asked.runs.sample(frac=1, random_state=0))
    standings = pd.Series(rank(shuffled), index=shuffled.runs.index)
    np.testing.assert_allclose(standings.loc[asked.runs.index], rank(asked), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_of_candidates_are_not_looked_at(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    rank, asked = fitted(name, table, ranks), table.of(HELD_OUT)
    lying = replace(asked, runs=asked.runs.assign(score=0.1, ratio=np.arange(12.0)))
    np.testing.assert_array_equal(rank(lying), rank(asked))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_after_it_was_kept(
    name: str, table: RunTable, ranks: dict[str, Rank], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again it answers from what is kept, and asked something else as if it had been fitted."""
    fit, asked = kept_fit(name, tmp_path, SilentReporter()), table.of(HELD_OUT)
    rank = fitted(name, table, ranks)
    np.testing.assert_array_equal(fit(table.without(HELD_OUT))(asked), rank(asked))
    with monkeypatch.context() as patch:
        patch.setattr(module, "PREDICTORS", {})
        np.testing.assert_array_equal(fit(table.without(HELD_OUT))(asked), rank(asked))
    other = replace(asked, runs=asked.runs.assign(mapping="brand_new"))
    np.testing.assert_array_equal(fit(table.without(HELD_OUT))(other), rank(other))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_never_seen_has_a_standing(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    asked = table.of(HELD_OUT)
    strange = asked.runs.assign(
        dataset="elsewhere", intermediate="brand_new", student="unheard_of", student_parameters=np.nan
    )
    strange["augmentation.strength"] = 0.3
    standings = fitted(name, table, ranks)(replace(asked, runs=strange))
    assert np.isfinite(standings).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("random", "portfolio")])
def test_it_finds_what_is_best_everywhere(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    asked = table.of(HELD_OUT)
    standings = pd.Series(fitted(name, table, ranks)(asked), index=asked.runs.index)
    means = standings.groupby(asked.runs.intermediate).mean()
    assert means.mse > means.cos > means.mi_alpha


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
def test_one_dataset_is_enough_to_begin_with(name: str, table: RunTable) -> None:
    only = replace(table, runs=table.runs[table.runs.dataset == "set0"])
    assert np.isfinite(PREDICTORS[name](only)(table.of(HELD_OUT))).all()


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
def test_the_past_is_left_as_it_was(name: str, table: RunTable) -> None:
    before = table.runs.copy()
    PREDICTORS[name](table)(table.of(HELD_OUT))
    pd.testing.assert_frame_equal(table.runs, before)


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
def test_the_same_past_gives_the_same_standings(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    asked = table.of(HELD_OUT)
    again = PREDICTORS[name](table.without(HELD_OUT))
    np.testing.assert_array_equal(again(asked), fitted(name, table, ranks)(asked))


@pytest.mark.parametrize("name", NAMES)
def test_candidates_are_left_as_they_were(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    asked = table.of(HELD_OUT)
    before = asked.runs.copy()
    fitted(name, table, ranks)(asked)
    pd.testing.assert_frame_equal(asked.runs, before)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
def test_repeats_of_a_candidate_share_its_standing(name: str, table: RunTable, ranks: dict[str, Rank]) -> None:
    asked = table.of(HELD_OUT)
    twice = replace(asked, runs=pd.concat([asked.runs, asked.runs], ignore_index=True))
    standings = fitted(name, table, ranks)(twice)
    np.testing.assert_allclose(standings[:12], standings[12:], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
@pytest.mark.parametrize("of_the_asked_one", [True, False])
def test_datasets_need_not_be_known(name: str, of_the_asked_one: bool, table: RunTable) -> None:
    asked = table.of(HELD_OUT)
    past = replace(table.without(HELD_OUT), datasets={})
    known = asked if of_the_asked_one else replace(asked, datasets={})
    assert np.isfinite(PREDICTORS[name](past)(known)).all()


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
@pytest.mark.parametrize("runs", [1, 3])
def test_a_few_runs_of_each_dataset_are_enough_to_begin_with(name: str, runs: int, table: RunTable) -> None:
    few = replace(table, runs=table.runs.groupby("dataset").head(runs))
    assert np.isfinite(PREDICTORS[name](few)(table.of(HELD_OUT))).all()
