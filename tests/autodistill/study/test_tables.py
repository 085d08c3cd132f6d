"""The tables of a study: what they hold is what the runs say, and past runs are read from them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.descriptors import describe
from autodistill.datasets.words import count_words
from autodistill.history.folder import datasets_beside
from autodistill.history.read import read_runs
from autodistill.history.store import Store
from autodistill.ranking.knowledge import load_knowledge
from autodistill.study.collect import collect
from autodistill.study.design import Job
from autodistill.study.executors import Place
from autodistill.study.planning import Planned, plan_study, tasks_of
from autodistill.study.spec import Source, Study
from autodistill.study.tables import curve, known_runs, write_tables
from engine.base.progress import SilentReporter
from engine.data.task import texts_of
from tests.autodistill.study.conftest import export, options, table
from tests.records import made_record


def test_a_row_is_a_run(study: Study, done: Path) -> None:
    runs = table(study, done)
    results = {result.identity: result for result in Store(str(done / "store.db")).runs()}
    assert sorted(runs.identity) == sorted(results)
    for row in runs.to_dict("records"):
        result = results[row["identity"]]
        assert row["score"] == pytest.approx(result.student_score, abs=1e-5)
        assert row["teacher_score"] == pytest.approx(result.teacher_score, abs=1e-5)
        assert row["bilstm_score"] == pytest.approx(result.on_split("bilstm")[result.metric], abs=1e-5)
        assert (row["n_train"], row["seed"]) == (result.train_examples, result.seed)


def test_past_runs_are_read_from_it(study: Study, done: Path) -> None:
    runs = table(study, done)
    found = read_runs(done / "tables" / "study.csv").frame
    assert len(found) == len(runs)
    assert sorted(found.source.unique()) == ["study, core", "study, repeated"]


def test_sizes_of_real_models_are_written_in_full(tmp_path: Path) -> None:
    """With six digits alone they would be no whole numbers, and nothing could read the table."""
    store, sizes = Store(str(tmp_path / "store.db")), {"parameters": 3_190_274, "teacher_parameters": 22_713_216}
    made = made_record("a", pipeline={"intermediate": {"kind": "none"}, "training": {"learning_rate": 5e-7}}, **sizes)
    store.add_run(made, tmp_path)
    job = Job("a", "core", Source(data="demo"), None, "", "", made.pipeline, 0)
    write_tables(Planned(jobs=[job]), [], store, tmp_path / "tables")
    (row,) = read_runs(tmp_path / "tables" / "study.csv").frame.to_dict("records")
    assert (row["student_parameters"], row["teacher_parameters"]) == (3_190_274, 22_713_216)
    assert row["training.learning_rate"] == 5e-7


def test_a_study_without_runs_has_tables_without_rows(study: Study, tmp_path: Path) -> None:
    export(study, Store(str(tmp_path / "store.db")), tmp_path / "tables")
    assert known_runs(tmp_path / "tables") == {}
    assert len(read_runs(tmp_path / "tables" / "study.csv")) == 0
    assert list(pd.read_parquet(tmp_path / "tables" / "curves.parquet")) == ["identity", "epoch", "seconds", "score"]


def test_a_row_of_the_curves_is_an_epoch(study: Study, done: Path) -> None:
    table(study, done)
    curves = pd.read_parquet(done / "tables" / "curves.parquet")
    results = {result.identity: result for result in Store(str(done / "store.db")).runs()}
    assert len(curves) == sum(len(result.history) for result in results.values())
    for identity, own in curves.groupby("identity"):
        result = results[str(identity)]
        scores = [entry["scores"][result.metric] for entry in result.history]
        assert own.score.tolist() == pytest.approx(scores, abs=1e-5)
        assert own.seconds.tolist() == pytest.approx(result.epoch_seconds, abs=1e-3)
        assert own["loss.prediction"].tolist() == pytest.approx(
            [entry["loss"]["prediction"] for entry in result.history], abs=1e-5
        )


def test_an_older_run_has_a_curve_without_seconds() -> None:
    history = [{"epoch": 1, "loss": {"prediction": 0.5}, "scores": {"accuracy": 0.7}}]
    assert curve(made_record("a", history=history)) == [
        {"identity": "a", "epoch": 1, "seconds": None, "score": 0.7, "loss.prediction": 0.5}
    ]


def test_datasets_are_described_and_hold_no_text(study: Study, done: Path) -> None:
    table(study, done)
    found = pd.read_csv(done / "tables" / "study_datasets.csv")
    tasks = {task.fingerprint: task for task in tasks_of(study, plan_study(study, "float32").samples)}
    assert sorted(found.fingerprint) == sorted(tasks)
    texts = [row["text"] for task in tasks.values() for row in task.train]
    written = "".join(path.read_text("utf-8") for path in (done / "tables").glob("*.csv"))
    assert not any(text in written for text in texts)
    assert json.loads(found.to_json(orient="records"))[0]["n_train"] == 40


def test_whoever_reads_the_runs_knows_their_datasets(study: Study, done: Path) -> None:
    table(study, done)
    tasks = {task.source: task for task in tasks_of(study, plan_study(study, "float32").samples)}
    found = {each.descriptors.source: each for each in datasets_beside(done / "tables")}
    for source, task in tasks.items():
        about = describe(task).model_dump().items()
        near = {name: pytest.approx(said, abs=1e-5) if isinstance(said, float) else said for name, said in about}
        assert found[source].descriptors.model_dump() == near
        counts, own = count_words(texts_of(task)), found[source].words
        assert (own.hashes.tolist(), own.counts.tolist(), own.total) == (
            counts.hashes.tolist(), counts.counts.tolist(), counts.total
        )  # fmt: skip
    known, _ = load_knowledge([str(done / "tables")], Store(str(done / "empty.db")))
    assert {*known.runs.dataset} <= {*known.datasets}


def test_runs_of_another_precision_and_of_other_datasets_stay(study: Study, done: Path, tmp_path: Path) -> None:
    """An export in whose plan they are not takes nothing away."""
    store, folder = Store(str(done / "store.db")), tmp_path / "tables"
    export(study, store, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    smaller = study.model_copy(update={"datasets": study.datasets[:1]})
    other = plan_study(smaller, "bf16")
    assert not {job.identity for job in other.jobs} & known_runs(folder).keys()
    write_tables(other, tasks_of(smaller, other.samples), store, folder)
    for name in ("study.csv", "curves.parquet"):
        assert (folder / name).read_bytes() == before[name]
    assert sorted((folder / "study_datasets.csv").read_text().splitlines()) == sorted(
        before["study_datasets.csv"].decode().splitlines()
    )
    with np.load(folder / "study_words.npz") as words, np.load(BytesIO(before["study_words.npz"])) as earlier:
        assert {*words} == {*earlier}


def test_no_table_says_where_a_model_lies(study: Study, done: Path, tmp_path: Path) -> None:
    store, (first, *_) = Store(str(tmp_path / "store.db")), Store(str(done / "store.db")).runs()
    (tmp_path / "big-encoder").mkdir()
    store.add_run(first.model_copy(update={"teacher": str(tmp_path / "big-encoder")}), done)
    export(study, store, tmp_path / "tables")
    assert pd.read_csv(tmp_path / "tables" / "study.csv").teacher.tolist() == ["big-encoder"]
    assert str(tmp_path) not in (tmp_path / "tables" / "study.csv").read_text("utf-8")


def test_what_was_exported_before_stays_and_is_not_made_again(study: Study, done: Path, tmp_path: Path) -> None:
    """A study may be carried on by its tables alone, without the store that its first runs came from."""
    planned, store = plan_study(study, "float32"), Store(str(done / "store.db"))
    half, rest = Store(str(tmp_path / "half.db")), Store(str(tmp_path / "rest.db"))
    for place, result in enumerate(store.runs()):
        (half if place % 2 else rest).add_run(result, done)
    export(study, half, tmp_path / "tables")
    assert known_runs(tmp_path / "tables") == {result.identity: "ok" for result in half.runs()}
    export(study, rest, tmp_path / "tables")
    export(study, store, tmp_path / "whole")
    for name in ("study.csv", "study_datasets.csv"):
        assert (tmp_path / "tables" / name).read_text() == (tmp_path / "whole" / name).read_text()
    curves = [pd.read_parquet(tmp_path / folder / "curves.parquet") for folder in ("tables", "whole")]
    pd.testing.assert_frame_equal(*curves)
    known = known_runs(tmp_path / "tables")
    empty, place = Store(str(tmp_path / "empty.db")), Place(lambda: pytest.fail("an executor was made"), 1)
    more = empty, options(tmp_path), place, tmp_path / "runs", SilentReporter(), known
    assert collect(study, planned.jobs, *more) == {}
    assert known_runs(tmp_path / "nowhere") == {}
