"""Nothing of a held-out dataset leaks: a detector, and leaks planted to see that it detects them.

The detector changes what may not be known of a held-out dataset and looks whether anything that was learned,
or predicted for it, changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from autodistill.calibration import calibrate, left_out_places
from autodistill.features.known import Dataset
from autodistill.features.words import count_words
from autodistill.predictors import PREDICTORS
from autodistill.predictors.datasets import DatasetSpace
from autodistill.predictors.mixed import fit_mixed
from autodistill.predictors.runs import Fit, Rank, RunTable
from autodistill.predictors.runs import target as ranked
from autodistill.validation import leave_one_out
from tests.autodistill.made_up import by_size, made_up

HELD_OUT = "set1"


def predicted(fit: Fit, table: RunTable) -> np.ndarray:
    """What a validation predicts for the held-out dataset."""
    (found,) = (held_out for held_out in leave_one_out(fit, table) if held_out.dataset == HELD_OUT)
    return found.runs.predicted.to_numpy()


def other_outcomes(table: RunTable) -> RunTable:
    """The held-out dataset's outcomes turned upside down."""
    inside = table.runs.dataset == HELD_OUT
    runs = table.runs.copy()
    for name in ("score", "ratio"):
        runs.loc[inside, name] = 1 - runs.loc[inside, name]
    return replace(table, runs=runs)


def other_inputs(table: RunTable) -> RunTable:
    """The held-out dataset with other words and a hundred times the size."""
    known = table.datasets[HELD_OUT]
    huge = known.descriptors.model_copy(update={"n_train": 100 * known.descriptors.n_train})
    other = Dataset(huge, count_words(["nothing like the other words at all " * 50]))
    return replace(table, datasets={**table.datasets, HELD_OUT: other})


def outcomes_leak(fit: Fit, table: RunTable) -> bool:
    """Whether what is predicted for the held-out dataset depends on its outcomes."""
    return not np.array_equal(predicted(fit, table), predicted(fit, other_outcomes(table)))


def inputs_leak(learn: Callable[[RunTable], np.ndarray], table: RunTable) -> bool:
    """Whether what is learned for the other datasets depends on the held-out one's inputs."""
    past, changed = table.without(HELD_OUT), other_inputs(table).without(HELD_OUT)
    return not np.array_equal(learn(past), learn(changed))


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(by_size, datasets=5)


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "autogluon"])
def test_no_predictor_sees_outcomes(name: str, table: RunTable) -> None:
    assert not outcomes_leak(PREDICTORS[name], table)


def test_the_calibration_sees_no_outcomes(table: RunTable) -> None:
    def ratios(given: RunTable) -> np.ndarray:
        past = given.without(HELD_OUT)
        rank = fit_mixed(past)
        calibration = calibrate(past, left_out_places(fit_mixed, rank, past))
        asked = given.of(HELD_OUT)
        return calibration(rank(asked), np.full(len(asked.runs), 0.2))

    np.testing.assert_array_equal(ratios(table), ratios(other_outcomes(table)))


def of_the_others(space: Callable[[RunTable], DatasetSpace], place: str) -> Callable[[RunTable], np.ndarray]:
    return lambda past: np.stack([getattr(space(past), place)(past, name) for name in past.names])


@pytest.mark.parametrize("place", ["embedding", "descriptors"])
def test_scales_and_document_frequencies_are_those_of_the_others(place: str, table: RunTable) -> None:
    assert not inputs_leak(of_the_others(DatasetSpace.of, place), table)


# --- planted leaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["embedding", "descriptors"])
def test_a_space_over_all_datasets_is_caught(place: str, table: RunTable) -> None:
    def leaking(past: RunTable) -> DatasetSpace:
        everything = table.runs.drop_duplicates("dataset")
        return DatasetSpace.of(replace(past, runs=everything))

    assert inputs_leak(of_the_others(leaking, place), table)


def test_a_target_ranked_over_all_runs_is_caught(table: RunTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(given: RunTable) -> Fit:
        def fit(past: RunTable) -> Rank:
            over_all = ranked(given.runs.assign(dataset="all", metric="all"))
            with monkeypatch.context() as patched:
                patched.setitem(fit_mixed.__globals__, "target", lambda runs: over_all.loc[runs.index])
                return fit_mixed(past)

        return fit

    assert not np.array_equal(
        predicted(leaking(table), table), predicted(leaking(other_outcomes(table)), other_outcomes(table))
    )


def test_features_chosen_with_the_held_out_outcomes_are_caught(table: RunTable) -> None:
    def leaking(given: RunTable) -> Fit:
        def fit(past: RunTable) -> Rank:
            def score(features: tuple[str, ...]) -> float:
                asked = given.runs[given.runs.dataset == HELD_OUT]
                return float(np.corrcoef(fit_mixed(past, features)(given.of(HELD_OUT)), asked.ratio)[0, 1])

            return fit_mixed(past, max(((), ("descriptors",)), key=score))

        return fit

    changed = other_outcomes(table)
    assert not np.array_equal(predicted(leaking(table), table), predicted(leaking(changed), changed))


def test_a_predictor_that_remembers_everything_is_caught(table: RunTable) -> None:
    def leaking(given: RunTable) -> Fit:
        return lambda past: lambda asked: given.runs.ratio.loc[asked.runs.index].to_numpy()

    changed = other_outcomes(table)
    assert not np.array_equal(predicted(leaking(table), table), predicted(leaking(changed), changed))
