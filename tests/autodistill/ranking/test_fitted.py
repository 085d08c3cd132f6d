"""Fitted predictors that are kept: when one is used again, and that nothing else is ever loaded."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.known import Dataset
from autodistill.evaluation.leave_one_out import leave_one_out, means
from autodistill.ranking import fitted as module
from autodistill.ranking.fitted import PREDICTORS, Agreement, Fitted, Kept, agreement_of, fit_predictor
from autodistill.ranking.past import Rank, RunTable
from engine.base import cache
from engine.base.cache import keeping, maker
from engine.base.files import hash_of_files, remove
from engine.base.progress import SilentReporter
from tests.autodistill.made_up import by_size, made_up
from tests.ear import Ear


@pytest.fixture(name="table", scope="module")
def _table() -> RunTable:
    return made_up(by_size, datasets=4)


@pytest.fixture(name="fits")
def _fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the predictors that were fitted, one entry a recommendation."""
    found: list[str] = []

    def watched(name: str) -> Callable[[RunTable], Rank]:
        honest = PREDICTORS[name]

        def fit(table: RunTable) -> Rank:
            if len(table.names) == 4:
                found.append(name)
            return honest(table)

        return fit

    monkeypatch.setattr(module, "PREDICTORS", {name: watched(name) for name in ("ridge", "mean_rank")})
    return found


def fitted(folder: Path, table: RunTable, name: str = "ridge") -> Fitted:
    return fit_predictor(name, table, folder, SilentReporter())


def kept_answers(folder: Path) -> list[Path]:
    """Everything that is kept of fits, pickles that an older version has left aside."""
    return sorted((folder / "fits").glob("*/answer.json"))


def test_it_is_fitted_once_and_says_when(tmp_path: Path, table: RunTable, fits: list[str]) -> None:
    reporter = Ear()
    first, asked = fit_predictor("ridge", table, tmp_path, reporter), table.of("set0")
    standings = first.rank(asked)
    again = fit_predictor("ridge", table, tmp_path, reporter)
    np.testing.assert_array_equal(again.rank(asked), standings)
    assert fits == ["ridge"]
    assert reporter.messages == ["fitting the predictor ridge on 48 runs of 4 datasets"]
    np.testing.assert_array_equal(again.rank(asked), standings)
    np.testing.assert_array_equal(again.calibration(standings, asked), first.calibration(standings, asked))


@pytest.mark.parametrize("name", ["mixed", "ridge"])
def test_its_worth_is_that_of_leaving_one_out(name: str, tmp_path: Path) -> None:
    """Fitted anew in each fold, pooled and within the commonest pair of models: not what knows all datasets."""
    whole = made_up(by_size, datasets=5, noise=1.0)
    small = whole.runs.iloc[::2].assign(student="tiny", ratio=whole.runs.ratio - 0.5)
    table = replace(whole, runs=pd.concat([whole.runs, small], ignore_index=True))
    found, pair = fitted(tmp_path, table, name), ("large", "small")
    assert found.pair == pair
    for each, value in ((name, found.agreement), ("mean_rank", found.mean_rank_agreement)):
        expected = means(leave_one_out(PREDICTORS[each], table, pair))
        figures = [np.mean([*each.values()]) for each in (value.pooled, value.within_pair)]
        assert figures == pytest.approx([expected["spearman"], expected["within_pair_spearman"]])


def test_the_figure_that_is_printed_answers_the_question(tmp_path: Path, table: RunTable) -> None:
    """With the number of datasets that it is of, which may be fewer than there are."""
    own, simple = Agreement({"a": 0.6, "b": 0.8}, {"a": 0.1}), Agreement({"a": 0.5, "b": 0.7})
    found = replace(fitted(tmp_path, table), agreement=own, mean_rank_agreement=simple)
    assert found.trust(1) == ("small ← large", 0.1, None, 1)
    assert found.trust(2) == ("", pytest.approx(0.7), pytest.approx(0.6), 2)


def test_the_mean_rank_is_not_compared_with_itself(tmp_path: Path, table: RunTable) -> None:
    trust = fitted(tmp_path, table, "mean_rank").trust(1)
    assert trust.agreement is not None
    assert (trust.mean_rank, trust.datasets) == (None, 4)


CHANGES: dict[str, Callable[[RunTable], RunTable]] = {
    "a score": lambda table: replace(table, runs=table.runs.assign(ratio=table.runs.ratio + 1e-12)),
    "a run": lambda table: replace(table, runs=table.runs.iloc[1:]),
    "a column": lambda table: replace(table, runs=table.runs.assign(**{"mapping.temperature": 1.0})),
    "a dataset": lambda table: replace(table, datasets={**table.datasets, "set0": larger(table)}),
    "vectors": lambda table: replace(table, vectors=replace(table.vectors, name="others")),
}


def larger(table: RunTable) -> Dataset:
    known = table.datasets["set0"]
    return Dataset(known.descriptors.model_copy(update={"labels": 9}), known.words)


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_fitted_again_when_something_changed(
    change: str, tmp_path: Path, table: RunTable, fits: list[str]
) -> None:
    fitted(tmp_path, table)
    fitted(tmp_path, CHANGES[change](table))
    assert fits == ["ridge", "ridge"]


def test_another_predictor_is_another_fit(tmp_path: Path, table: RunTable, fits: list[str]) -> None:
    fitted(tmp_path, table)
    fitted(tmp_path, table, "mean_rank")
    assert fits == ["ridge", "mean_rank"]


CHANGED = {
    "hash_of_files": lambda files: (
        "other" if "ranking" in {file.parent.name for file in files} else hash_of_files(files)
    ),
    "version": lambda library: "99.0" if library == "scipy" else version(library),
}
"""Other code of the predictors, another version of a library that only they use; the engine is what it was."""


@pytest.fixture
def forgetful() -> Iterator[None]:
    """What made the kept files is found out anew, before and behind a test."""
    maker.cache_clear()
    yield
    maker.cache_clear()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("part", CHANGED)
def test_other_code_or_another_library_fits_again(
    part: str, tmp_path: Path, table: RunTable, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(tmp_path, table)
    known = cache.kept(tmp_path, "teachers")
    maker.cache_clear()
    monkeypatch.setattr(cache, part, CHANGED[part])
    fitted(tmp_path, table)
    assert cache.kept(tmp_path, "teachers") == known, "the engine's own caches do not change with it"
    assert fits == ["ridge", "ridge"]


def test_the_order_of_columns_and_other_datasets_do_not_matter(
    tmp_path: Path, table: RunTable, fits: list[str]
) -> None:
    fitted(tmp_path, table)
    others = {**table.datasets, "never run": larger(table)}
    fitted(tmp_path, replace(table, runs=table.runs[sorted(table.runs)], datasets=others))
    assert fits == ["ridge"]


def planted(kept: Path, content: bytes) -> None:
    """Another answer, with checksums that fit."""
    remove(kept.parent)
    with keeping(kept.parent) as aside:
        (aside / kept.name).write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut short": lambda kept: kept.write_bytes(kept.read_bytes()[:-10]),
    "another digit": lambda kept: kept.write_bytes(kept.read_bytes().translate(bytes.maketrans(b"1234", b"5678"))),
    "empty": lambda kept: kept.write_bytes(b""),
    "a list": lambda kept: kept.write_bytes(b"[1, 2]  "),
    "nested": lambda kept: kept.write_bytes(b"[" * 100_000),
    "planted, no JSON": lambda kept: planted(kept, b"\xff"),
    "planted, deep": lambda kept: planted(kept, b"[" * 100_000),
    "planted, no numbers": lambda kept: planted(kept, b'{"a": [true]}'),
    "planted, too few": lambda kept: planted(kept, b"[0.5]"),
    "no checksums": lambda kept: kept.with_name("checksums").unlink(),
    "other checksums": lambda kept: kept.with_name("checksums").write_text("00000000 1 answer.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_answer_is_made_anew(damage: str, tmp_path: Path, table: RunTable, fits: list[str]) -> None:
    asked, reporter = table.of("set0"), Ear()
    first = fitted(tmp_path, table).rank(asked)
    for kept in kept_answers(tmp_path):
        DAMAGE[damage](kept)
    np.testing.assert_array_equal(fit_predictor("ridge", table, tmp_path, reporter).rank(asked), first)
    assert fits == ["ridge", "ridge"]
    assert "The kept fit of a predictor was damaged and is made anew." in reporter.messages
    fitted(tmp_path, table).rank(asked)
    assert fits == ["ridge", "ridge"], "the damaged file was not replaced"


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("name", ["average", "mixed", "ridge", "lightgbm", "mean_rank", "portfolio", "nearest"])
def test_runs_of_a_single_dataset_are_enough(name: str, count: int, tmp_path: Path, table: RunTable) -> None:
    """The store after its first runs: nothing can be left out, and a recommendation is made all the same."""
    only = replace(table, runs=table.runs[table.runs.dataset == "set0"].head(count))
    found = fitted(tmp_path, only, name)
    asked = table.of("set1")
    low, middle, high = found.calibration(found.rank(asked), asked).T
    assert np.isfinite(middle).all()
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("name", ["average", "ridge", "lightgbm"])
def test_a_dataset_with_a_single_run_is_enough_for_a_fold(name: str, tmp_path: Path, table: RunTable) -> None:
    """Without the other dataset, one run is all there is to learn from."""
    first = table.runs[table.runs.dataset == "set0"].head(1)
    few = replace(table, runs=pd.concat([first, table.runs[table.runs.dataset == "set1"]]))
    found = fitted(tmp_path, few, name)
    assert np.isfinite(found.rank(table.of("set2"))).all()


def test_nothing_that_is_kept_is_code(tmp_path: Path, table: RunTable) -> None:
    """Numbers alone: a pickle would run what whoever wrote it had in mind."""
    for name in ("mixed", "ridge", "lightgbm", "nearest"):
        fitted(tmp_path, table, name).rank(table.of("set0"))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".lock", ".about")]
    assert {path.name for path in files} == {"answer.json", "checksums"}
    for path in kept_answers(tmp_path):
        json.loads(path.read_text("utf-8"))


class Harmful:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_planted_pickle_never_runs(tmp_path: Path, table: RunTable) -> None:
    """Whatever it is called, and whatever hash or checksums lie beside it."""
    first = fitted(tmp_path, table).rank(table.of("set0"))
    content = pickle.dumps(Harmful(tmp_path / "harm"))
    for folder in [path.parent for path in kept_answers(tmp_path)]:
        remove(folder)
        with keeping(folder) as aside:
            (aside / "answer.json").write_bytes(content)
        for kind in ("predictors", "ranks", "fits"):
            planted = tmp_path / kind / f"{folder.name}.pickle"
            planted.parent.mkdir(exist_ok=True)
            planted.write_bytes(content)
            planted.with_suffix(".sha256").write_text(sha256(content).hexdigest())
    np.testing.assert_array_equal(fitted(tmp_path, table).rank(table.of("set0")), first)
    assert not (tmp_path / "harm").exists()


def test_the_mixed_model_is_made_again_from_its_variances(
    tmp_path: Path, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(tmp_path, table, "mixed").rank(table.of("set0"))
    expected = PREDICTORS["mixed"](table)(table.of("set1"))
    monkeypatch.setattr(module, "PREDICTORS", PREDICTORS | {"mixed": lambda table: pytest.fail("it is fitted again")})
    np.testing.assert_array_equal(fitted(tmp_path, table, "mixed").rank(table.of("set1")), expected)


@pytest.mark.parametrize("name", ["mixed", "ridge"])
def test_what_it_knows_of_itself_is_kept_as_it_was(name: str, tmp_path: Path, table: RunTable) -> None:
    """The features that it chose, and past runs without their dataset; None where it says nothing of them."""
    honest: Any = PREDICTORS[name](table)
    for _ in range(2):  # made, and read
        rank: Any = fitted(tmp_path, table, name).rank
        assert rank.features == getattr(honest, "features", None)
        expected = getattr(honest, "left_out", None)
        assert (rank.left_out is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(rank.left_out, expected)


def test_each_question_is_another_one(tmp_path: Path, table: RunTable) -> None:
    """Who is asked, of which runs, what, and about what."""
    other = replace(table, runs=table.runs.iloc[1:])
    asked = [
        (name, past, what, about)
        for name in ("ridge", "mixed")
        for past in (table, other)
        for what in ("answers", "agreement")
        for about in ((), ("a",), ("a", "b"))
    ]
    for number, (name, past, what, about) in [*enumerate(asked)] * 2:
        kept = Kept(name, past, tmp_path, SilentReporter())
        assert kept.known(what, lambda number=number: number, int, *about) == number


class Progress(SilentReporter):
    """Remembers stages, and how far they came."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.said.append(("start", stage, total, done, unit, most))

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.said.append(("advance", stage, count))

    def finish(self, stage: str) -> None:
        self.said.append(("finish", stage))


def test_leaving_out_shows_its_progress(tmp_path: Path, table: RunTable) -> None:
    progress = Progress()
    agreement_of("ridge", table, ("large", "small"), tmp_path, progress)
    stage = "ridge, each dataset left out"
    steps = [("advance", stage, 1)] * 4
    assert progress.said == [("start", stage, 4, 0, "datasets", False), *steps, ("finish", stage)]


def test_two_datasets_agree_or_not(tmp_path: Path) -> None:
    found = agreement_of("ridge", made_up(by_size, datasets=2), ("large", "small"), tmp_path, SilentReporter())
    assert found.pooled.keys() == {"set0", "set1"}
    assert agreement_of("ridge", made_up(by_size, datasets=1), ("a", "b"), tmp_path, SilentReporter()) == Agreement()


def test_agreement_within_another_pair_is_another_one(tmp_path: Path) -> None:
    whole = made_up(by_size, datasets=4, noise=1.0)
    small = whole.runs.iloc[::2].assign(student="tiny")
    table = replace(whole, runs=pd.concat([whole.runs, small], ignore_index=True))
    one, two = (
        agreement_of("ridge", table, ("large", student), tmp_path, SilentReporter()) for student in ("small", "tiny")
    )
    assert one.pooled == two.pooled
    assert one.within_pair != two.within_pair
