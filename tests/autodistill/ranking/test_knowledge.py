"""What is known before anything is run: past runs of every source, and datasets."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autodistill.datasets.descriptors import describe
from autodistill.datasets.known import Dataset, shipped_datasets
from autodistill.datasets.words import count_words
from autodistill.history.store import Store
from autodistill.ranking.circumstances import conditions
from autodistill.ranking.distances import nearest
from autodistill.ranking.knowledge import _own, load_knowledge, with_dataset
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.data.task import texts_of
from engine.run.result import RunResult
from tests.ear import Ear
from tests.records import made_record, made_row
from tests.toys import toy_task


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "mine.db"))


def described(name: str = "mine", rows: int = 10, **more: Any) -> Dataset:
    task = toy_task("single", rows=rows, held_out=5)
    return Dataset(describe(task).model_copy(update={"dataset": name, **more}), count_words(texts_of(task)))


def added(store: Store, dataset: Dataset) -> None:
    assert store.add_dataset(dataset.descriptors, dataset.words)


def table_of_runs(folder: Path, *rows: dict[str, Any]) -> str:
    pd.DataFrame(rows).to_csv(folder / "runs.csv", index=False)
    return str(folder / "runs.csv")


USUAL = ("published", "store")
SHIPPED = shipped_datasets()


def test_published_figures_and_the_user_s_runs_are_one_table(store: Store, tmp_path: Path) -> None:
    alone, _ = load_knowledge(USUAL, store)
    for identity, status in (("a", "ok"), ("b", "failed"), ("c", "pruned"), ("d", "ok")):
        store.add_run(made_record(identity, task="mine", status=status), tmp_path)
    both, notes = load_knowledge(USUAL, store)
    assert len(alone.runs) == 504
    assert len(both.runs) == 506
    assert both.runs[both.runs.dataset == "mine@f"].source.tolist() == ["run a", "run d"]
    assert set(both.names) == {*alone.names, "mine@f"}
    assert notes == ("1 run left out that failed", "1 run left out that stopped early")


def test_only_the_sources_that_are_named_count(store: Store, tmp_path: Path) -> None:
    store.add_run(made_record(task="mine"), tmp_path)
    table, notes = load_knowledge(["store"], store)
    assert (table.names, notes) == (["mine@f"], ())
    path = table_of_runs(tmp_path, made_row(dataset="theirs"))
    assert load_knowledge([path, "store"], store)[0].runs.dataset.tolist() == ["theirs", "mine@f"]


def test_a_run_of_a_known_dataset_is_of_that_dataset(store: Store, tmp_path: Path) -> None:
    """However the user called it: its rows must be left out together."""
    store.add_run(made_record(task="films", dataset_hub="nyu-mll/glue/sst2"), tmp_path)
    store.add_run(made_record("b", task="films", dataset_fingerprint=SHIPPED["sst2"].descriptors.fingerprint), tmp_path)
    path = table_of_runs(tmp_path, made_row(dataset="SST-2"))
    assert load_knowledge(["store", path], store)[0].names == ["sst2"]


def test_a_file_that_is_called_like_a_known_dataset_inherits_nothing(store: Store, tmp_path: Path) -> None:
    store.add_run(made_record(task="cola"), tmp_path)
    added(store, described("cola", rows=10))
    table, _ = load_knowledge(USUAL, store)
    assert (table.runs[table.runs.dataset == "cola"].source != "run a").all()
    assert table.datasets["cola"] == SHIPPED["cola"]


def test_two_files_of_one_name_do_not_merge_and_one_of_two_names_does(store: Store, tmp_path: Path) -> None:
    for identity, task, rows in (("a", "reviews", "f"), ("b", "reviews", "g"), ("c", "films", "f")):
        store.add_run(made_record(identity, task=task, dataset_fingerprint=rows), tmp_path)
    names = load_knowledge(["store"], store)[0].runs.dataset.tolist()
    assert names == ["reviews@f", "reviews@g", "reviews@f"]
    mine = described("mine", fingerprint="f")
    added(store, mine)
    table, _ = load_knowledge(["store"], store)
    assert table.runs.dataset.tolist() == ["mine@f", "reviews@g", "mine@f"]
    assert table.datasets["mine@f"].descriptors == mine.descriptors


def test_records_of_before_are_read_by_their_fingerprint(store: Store, tmp_path: Path) -> None:
    """They say nothing of the hub."""
    old = made_record(task="sst2", dataset_fingerprint="0" * 16).model_dump(exclude={"dataset_hub"})
    store.add_run(RunResult.parse(json.dumps(old)), tmp_path)
    assert load_knowledge(["store"], store)[0].names == ["sst2@00000000"]


def test_without_a_store_the_user_s_own_is_opened(tmp_path: Path) -> None:
    Store().add_run(made_record(task="mine"), tmp_path)
    assert load_knowledge(["store"], Store())[0].names == ["mine@f"]


def test_datasets_of_the_store_are_known_whatever_runs_are_learned_from(store: Store) -> None:
    mine = described()
    added(store, mine)
    table, _ = load_knowledge(["published"], store)
    assert set(table.datasets) == {*SHIPPED, mine.name}
    assert table.datasets[mine.name].descriptors == mine.descriptors


def test_a_sample_of_a_shipped_dataset_leaves_its_facts_as_they_are(store: Store) -> None:
    """Every ratio is calibrated with the gap between Bi-LSTM and teacher of the published runs."""
    before, _ = load_knowledge(["published"], store)
    sample = {"n_train": 100, "bilstm_score": 0.66, "metric": "accuracy"}
    added(store, described("mrpc", hub=SHIPPED["mrpc"].descriptors.hub, **sample))
    after, _ = load_knowledge(["published"], store)
    assert after.datasets == before.datasets
    np.testing.assert_array_equal(conditions(after).bilstm, conditions(before).bilstm)
    asked = with_dataset(after, described("mrpc", hub=SHIPPED["mrpc"].descriptors.hub, **sample))
    assert asked.datasets == before.datasets


def test_own_runs_on_a_sample_of_a_shipped_dataset_keep_its_bi_lstm_score(store: Store, tmp_path: Path) -> None:
    known = SHIPPED["mrpc"].descriptors
    added(store, described("mrpc", hub=known.hub, fingerprint="f", bilstm_score=0.66, metric="accuracy"))
    store.add_run(made_record(task="mrpc", dataset_hub=known.hub, teacher_score=0.8), tmp_path)
    table, _ = load_knowledge(USUAL, store)
    (own,) = conditions(table).bilstm[table.runs.source == "run a"]
    assert own == pytest.approx(1 - 0.66 / 0.8)
    assert set(table.names) == set(SHIPPED)


def test_of_one_s_own_datasets_the_description_of_the_most_rows_counts(store: Store, tmp_path: Path) -> None:
    for task, rows in {"a": 20, "b": 10, "c": 20}.items():
        added(store, described(f"reviews{task}", rows=rows, fingerprint=task * 16, source="5" * 16))
        made = made_record(task, task="reviews", dataset_fingerprint=task * 16, dataset_source="5" * 16)
        store.add_run(made, tmp_path)
    table, _ = load_knowledge(["store"], store)
    assert table.names == [name for name in table.datasets if name not in SHIPPED] == ["reviewsc@55555555"]
    assert table.datasets["reviewsc@55555555"].descriptors.n_train == 20
    assert nearest(table, table.names[0]) == {}, "a dataset is not its own neighbour"


OLD, SOURCE = {"dataset_fingerprint": "1" * 16}, {"dataset_source": "5" * 16}


@pytest.mark.parametrize("known_from", ["a run", "a stored dataset", "the dataset that is asked about"])
def test_runs_of_before_are_of_the_dataset_that_a_later_record_names(
    store: Store, tmp_path: Path, known_from: str
) -> None:
    """They have the fingerprint alone."""
    store.add_run(made_record("old", task="films", **OLD), tmp_path)
    added(store, described("films", fingerprint="1" * 16))
    added(store, described("reviews", fingerprint="2" * 16, source="5" * 16))
    store.add_run(made_record("sample", task="reviews", dataset_fingerprint="2" * 16, **SOURCE), tmp_path)
    assert len(load_knowledge(["store"], store)[0].names) == 2
    asked = described("reviews", fingerprint="1" * 16, source="5" * 16)
    if known_from == "a run":
        store.add_run(made_record("new", task="reviews", **OLD, **SOURCE), tmp_path)
    elif known_from == "a stored dataset":
        store = Store(str(tmp_path / "other.db"))
        store.add_run(made_record("old", task="films", **OLD), tmp_path)
        added(store, asked)
    table, _ = load_knowledge(["store"], store)
    table = with_dataset(table, asked) if known_from == "the dataset that is asked about" else table
    assert table.names == ["reviews@55555555"]
    assert [name for name in table.datasets if name not in SHIPPED] == ["reviews@55555555"]


def test_a_dataset_without_rows_of_its_own_takes_no_table_s_runs(store: Store, tmp_path: Path) -> None:
    path = table_of_runs(tmp_path, made_row(dataset="films"))
    table, _ = load_knowledge([path], store)
    assert with_dataset(table, described("films", fingerprint="1" * 16)).names == ["films"]


def test_a_record_of_before_has_the_source_that_others_of_its_task_have(store: Store, tmp_path: Path) -> None:
    store.add_run(made_record("old", dataset_fingerprint="f"), tmp_path)
    store.add_run(made_record("new", dataset_fingerprint="f", dataset_source="s1"), tmp_path)
    store.add_run(made_record("known", dataset_fingerprint="f", dataset_source="s2"), tmp_path)
    store.add_run(made_record("alone", dataset_fingerprint="g"), tmp_path)
    runs, _ = _own(store, pytest.fail)
    sources = {run.identity: run.dataset_source for run in runs}
    assert sources == {"old": sources["old"], "new": "s1", "known": "s2", "alone": ""}
    assert sources["old"] in ("s1", "s2")


def test_records_that_cannot_be_read_are_told(store: Store, tmp_path: Path) -> None:
    added(store, described("films"))
    store.add_run(made_record("mine", task="films"), tmp_path)
    with sqlite3.connect(tmp_path / "mine.db") as connection:
        connection.execute("update runs set record = '[]'")
        connection.execute("update datasets set descriptors = '[]'")
    connection.close()
    told: list[str] = []
    assert _own(store, told.append) == ([], [])
    assert len(told) == 2
    _, notes = load_knowledge(["published"], store)
    assert set(told) <= set(notes)


def test_the_vectors_are_those_that_are_named(store: Store, tmp_path: Path) -> None:
    assert load_knowledge(["published"], store)[0].vectors.name.startswith("glove.bin (")
    (tmp_path / "glove.txt").write_text("film 1 2 3\n", "utf-8")
    options = RunOptions(cache_dir=str(tmp_path / "cache"))
    table, _ = load_knowledge(["published"], store, str(tmp_path / "glove.txt"), options)
    assert table.vectors.matrix.tolist() == [[1, 2, 3]]
    (kept,) = tmp_path.glob("cache/vectors/*/matrix.npy")
    kept.write_bytes(b"damaged")
    reporter = Ear()
    again, _ = load_knowledge(["published"], store, str(tmp_path / "glove.txt"), options, reporter)
    assert again.vectors.matrix.tolist() == [[1, 2, 3]]
    assert any("damaged" in text for text in reporter.messages)


@pytest.mark.parametrize("status", [None, "failed"])
def test_no_runs_are_nothing_to_learn_from(store: Store, tmp_path: Path, status: str | None) -> None:
    if status:
        store.add_run(made_record(status=status), tmp_path)
    with pytest.raises(InputError, match="--meta-data: no runs to learn from; got store, store") as caught:
        load_knowledge(["store", "store"], store)
    assert "autodistill run" in str(caught.value)


def test_a_source_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="no such file or folder; got 'publshed'; allowed: published, study, store"):
        load_knowledge(["publshed"], store)
