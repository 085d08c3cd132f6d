"""Nothing of a held-out dataset leaks: detectors, and leaks planted in each stage to see them caught.

A detector changes what may not be known of the held-out dataset and looks whether anything that was learned
from the others, or predicted for it, changes with it. What is under test is a `Plant`: it is shown the whole
table, as only a leak would be, and gives what is fitted in the folds; an honest one does not look.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from autodistill.datasets.known import Dataset
from autodistill.datasets.words import count_words
from autodistill.evaluation.leave_one_out import leave_one_out
from autodistill.ranking.calibration import calibrate, left_out_standings
from autodistill.ranking.distances import DatasetSpace
from autodistill.ranking.fitted import PREDICTORS
from autodistill.ranking.mixed import fit_mixed
from autodistill.ranking.past import OUTCOMES, Fit, Rank, RunTable
from autodistill.ranking.past import target as ranked
from tests.autodistill.made_up import by_size, made_up

HELD_OUT = "set1"
Plant = Callable[[RunTable], Fit]
WITH_FEATURES: dict[str, Fit] = {
    "mixed with descriptors": lambda past: fit_mixed(past, ("descriptors",)),
    "mixed with embedding": lambda past: fit_mixed(past, ("embedding",)),
    **{name: PREDICTORS[name] for name in ("nearest", "ridge", "lightgbm", "average")},
}
"""Predictors that place datasets among others."""


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(by_size, datasets=5)


def predicted(plant: Plant, table: RunTable) -> np.ndarray:
    """What is predicted for the held-out dataset when it is left out."""
    (found,) = (each for each in leave_one_out(plant(table), table) if each.dataset == HELD_OUT)
    return found.runs.predicted.to_numpy()


def with_other_outcomes(table: RunTable) -> RunTable:
    """The held-out dataset's runs came out the other way round."""
    inside = table.runs.dataset == HELD_OUT
    runs = table.runs.copy()
    for name in ("score", "ratio"):
        runs.loc[inside, name] = 1 - runs.loc[inside, name]
    return replace(table, runs=runs)


def with_other_inputs(table: RunTable) -> RunTable:
    """The held-out dataset has other words and a hundred times the size."""
    known = table.datasets[HELD_OUT]
    huge = known.descriptors.model_copy(update={"n_train": 100 * known.descriptors.n_train})
    other = Dataset(huge, count_words(["nothing like the other words at all " * 50]))
    return replace(table, datasets={**table.datasets, HELD_OUT: other})


def outcomes_leak(plant: Plant, table: RunTable) -> bool:
    """Whether what is predicted for the held-out dataset depends on its outcomes."""
    return not np.array_equal(predicted(plant, table), predicted(plant, with_other_outcomes(table)))


def inputs_leak(plant: Plant, table: RunTable) -> bool:
    """Whether what is learned from the other datasets depends on anything of the held-out one."""
    learned = (
        pickle.dumps(plant(given)(given.without(HELD_OUT)))
        for given in (table, with_other_inputs(table), with_other_outcomes(table))
    )
    return len(set(learned)) > 1


def honest(fit: Fit) -> Plant:
    return lambda whole: fit


# --- nothing leaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
def test_predictions_do_not_depend_on_what_comes_out(name: str, table: RunTable) -> None:
    assert not outcomes_leak(honest(PREDICTORS[name]), table)


@pytest.mark.parametrize("name", [*WITH_FEATURES, "mixed", "mean_rank", "portfolio"])
def test_nothing_of_the_held_out_dataset_is_learned(name: str, table: RunTable) -> None:
    assert not inputs_leak(honest((WITH_FEATURES | PREDICTORS)[name]), table)


def test_a_fold_is_shown_the_runs_of_the_others_and_asked_without_outcomes(table: RunTable) -> None:
    shown: list[set[str]] = []
    asked: list[set[str]] = []

    def fit(past: RunTable) -> Rank:
        shown.append(set(past.names))

        def rank(candidates: RunTable) -> np.ndarray:
            asked.append(set(candidates.names))
            assert not set(OUTCOMES) & set(candidates.runs)
            return np.zeros(len(candidates.runs))

        return rank

    leave_one_out(fit, table)
    assert asked == [{name} for name in table.names]
    assert [past | held_out for past, held_out in zip(shown, asked, strict=True)] == [set(table.names)] * 5
    assert not any(past & held_out for past, held_out in zip(shown, asked, strict=True))


def ratios(table: RunTable, learned_from: Callable[[RunTable], RunTable]) -> np.ndarray:
    """Ratios of the held-out dataset with their intervals."""
    past = learned_from(table)
    rank = fit_mixed(past)
    calibration = calibrate(past, left_out_standings(fit_mixed, rank, past))
    asked = table.of(HELD_OUT)
    return calibration(fit_mixed(table.without(HELD_OUT))(asked), asked)


def of_the_others(table: RunTable) -> RunTable:
    return table.without(HELD_OUT)


def test_ratios_do_not_depend_on_what_comes_out(table: RunTable) -> None:
    found, changed = (ratios(given, of_the_others) for given in (table, with_other_outcomes(table)))
    np.testing.assert_array_equal(found, changed)


# --- planted leaks are caught -----------------------------------------------------------------------


LEAKS = {"IDF": ("idf",), "scaling": ("means", "deviations")}
"""Stage → what is then learned over all datasets."""


@pytest.mark.parametrize("name", WITH_FEATURES)
@pytest.mark.parametrize("stage", LEAKS)
def test_what_is_learned_over_all_datasets_is_caught(
    name: str, stage: str, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(whole: RunTable) -> Fit:
        over_all = DatasetSpace.of(whole)
        leaking = {part: getattr(over_all, part) for part in LEAKS[stage]}

        def fit(past: RunTable) -> Rank:
            own = DatasetSpace.of(past)
            with monkeypatch.context() as patched:
                patched.setattr(DatasetSpace, "of", lambda past: replace(own, **leaking))
                return WITH_FEATURES[name](past)

        return fit

    assert inputs_leak(plant, table)


@pytest.mark.parametrize("name", ["mixed", "ridge", "lightgbm", "mean_rank"])
def test_a_target_ranked_over_all_runs_is_caught(name: str, table: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    honest_fit = fit_mixed if name == "mixed" else PREDICTORS[name]

    def plant(whole: RunTable) -> Fit:
        over_all = ranked(whole.runs.assign(dataset="all"))

        def fit(past: RunTable) -> Rank:
            with monkeypatch.context() as patched:
                patched.setitem(honest_fit.__globals__, "target", lambda runs: over_all.loc[runs.index])
                return honest_fit(past)

        return fit

    assert outcomes_leak(plant, table)
    assert inputs_leak(plant, table)


def test_features_chosen_with_the_held_out_outcomes_are_caught(table: RunTable) -> None:
    def plant(whole: RunTable) -> Fit:
        def fit(past: RunTable) -> Rank:
            asked, came_out = whole.of(HELD_OUT), whole.runs[whole.runs.dataset == HELD_OUT].ratio

            def agreement(features: tuple[str, ...]) -> float:
                return float(np.corrcoef(fit_mixed(past, features)(asked), came_out)[0, 1])

            return fit_mixed(past, max(((), ("descriptors",)), key=agreement))

        return fit

    assert outcomes_leak(plant, table)
    assert inputs_leak(plant, table)


@pytest.mark.parametrize("name", ["mixed", "average", "ridge", "mean_rank", "portfolio"])
def test_a_fold_with_the_held_out_runs_in_it_is_caught(
    name: str, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunTable, "without", lambda whole, dataset: whole)
    assert outcomes_leak(honest(PREDICTORS[name]), table)


def test_a_predictor_that_reads_outcomes_of_candidates_is_caught(
    table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        RunTable, "of", lambda whole, dataset: replace(whole, runs=whole.runs[whole.runs.dataset == dataset])
    )
    assert outcomes_leak(lambda whole: lambda past: lambda asked: asked.runs.ratio.to_numpy(), table)


def test_a_calibration_on_the_held_out_runs_is_caught(table: RunTable) -> None:
    found, changed = (ratios(given, lambda whole: whole) for given in (table, with_other_outcomes(table)))
    assert not np.array_equal(found, changed)
