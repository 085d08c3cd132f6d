"""What a report reads: names without fingerprints where that is clear, and the learning curves of its runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autodistill.history.store import Store
from autodistill.recommend.request import Request
from autodistill.report.material import gather, with_runs
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from tests.autodistill.report.study import epochs, frame_of, rows, written


def test_epochs_know_their_run_and_those_of_others_are_left_out() -> None:
    runs = frame_of(rows())
    stranger = epochs([{**rows()[0], "identity": "ffff"}])
    found = with_runs(pd.concat([epochs(rows()), stranger]), runs)
    assert len(found) == len(epochs(rows()))
    first = found[found.identity == f"{3:016x}"].iloc[0]
    assert (first.student, first.intermediate) == (rows()[3]["student"], rows()[3]["intermediate"])
    assert with_runs(pd.DataFrame(), runs).empty


def asked(tmp_path: Path, *sources: str) -> Request:
    options = RunOptions(cache_dir=str(tmp_path / "cache"))
    return Request(meta_data=sources, predictor="mean_rank", options=options, store=str(tmp_path / "store.db"))


def test_curves_lie_beside_a_table_or_in_its_folder(tmp_path: Path) -> None:
    folder = written(tmp_path / "study", rows(datasets=2))
    for source in (folder, folder / "study.csv"):
        found = gather(asked(tmp_path, str(source)), SilentReporter())
        assert len(found.runs) == len(rows(datasets=2))
        assert found.curves.identity.nunique() == len(found.runs)
        assert not isinstance(found.importance, str)
        assert not isinstance(found.evaluation, str)
        evaluation, held_out = found.evaluation
        assert [each.dataset for each in held_out] == [*evaluation.datasets] == ["set0", "set1"]


def test_one_dataset_cannot_be_left_out_and_few_runs_have_no_shares(tmp_path: Path) -> None:
    few = [row for row in rows(datasets=1) if row["n_train"] == 100 and row["teacher"] == "good"][:20]
    folder = written(tmp_path / "study", few)
    (folder / "curves.parquet").unlink()
    found = gather(asked(tmp_path, str(folder)), SilentReporter())
    assert "at least two" in str(found.evaluation)
    assert "20 runs, and 30 are needed" in str(found.importance)
    assert found.curves.empty


@pytest.mark.parametrize("damage", ["no parquet", "no score"])
def test_damaged_curves_are_named(tmp_path: Path, damage: str) -> None:
    folder = written(tmp_path / "study", rows(datasets=2))
    if damage == "no score":
        epochs(rows()).drop(columns="score").to_parquet(folder / "curves.parquet")
    else:
        (folder / "curves.parquet").write_text("epoch,score\n1,0.5\n")
    with pytest.raises(InputError, match=r"curves\.parquet: no table of learning curves"):
        gather(asked(tmp_path, str(folder)), SilentReporter())


def test_an_empty_store_has_no_curves(tmp_path: Path) -> None:
    Store(str(tmp_path / "store.db")).check_writing()
    folder = written(tmp_path / "study", rows(datasets=2))
    (folder / "curves.parquet").unlink()
    assert gather(asked(tmp_path, str(folder), "store"), SilentReporter()).curves.empty
