"""The record of runs and datasets: append-only, shared by processes, and polite about passwords."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import sqlalchemy as sql
from sqlalchemy import URL

from autodistill.datasets.descriptors import Descriptors, describe
from autodistill.datasets.words import WordCounts, count_words
from autodistill.history.store import DATASETS, LAYOUT, RUNS, Store, store_url
from engine.base.errors import InputError
from engine.data.task import texts_of
from engine.pipeline.pipeline import Pipeline
from engine.run import layouts as records
from engine.run.result import RunResult
from tests import postgresql
from tests.conftest import ROOT
from tests.records import made_record
from tests.toys import toy_task


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[URL]:
    if reason := postgresql.missing():
        pytest.skip(reason)
    with postgresql.server() as address:
        yield address


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return postgresql.new_database(request.getfixturevalue("server"))


@pytest.fixture(name="store")
def _store(url: str) -> Store:
    return Store(url)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What another program sees in the file."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


# --- runs --------------------------------------------------------------------------------------


def test_a_new_store_is_empty(store: Store) -> None:
    assert (store.runs(), store.datasets()) == ([], [])


def test_a_run_is_added_once_and_never_changed(store: Store, tmp_path: Path) -> None:
    assert store.add_run(made_record("a"), tmp_path)
    assert not store.add_run(made_record("a", student_score=0.1), tmp_path)
    assert store.add_run(made_record("b"), tmp_path)
    assert store.runs() == [made_record("a"), made_record("b")]


def test_a_record_comes_back_as_it_went(store: Store, tmp_path: Path) -> None:
    record = made_record(
        task="评论",
        pipeline={"intermediate": {"kind": "mi_alpha", "alpha": 0.5, "critic": {"kind": "mlp"}}},
        scores={"student": {"validation": {"accuracy": 1 / 3}}},
        history=[{"epoch": 1, "loss": 0.25}],
        warnings=["a 'quoted' \"one\"\n"],
        stage_seconds={"student": 1e-9},
    )
    store.add_run(record, tmp_path)
    assert store.runs() == [record]


def test_a_run_that_was_stopped_and_later_finished_is_there_twice(store: Store, tmp_path: Path) -> None:
    assert store.add_run(made_record(status="pruned"), tmp_path)
    assert store.add_run(made_record(), tmp_path)
    assert [run.status for run in store.runs()] == ["pruned", "ok"]


def test_of_a_run_that_pauses_the_furthest_record_stays(store: Store, tmp_path: Path) -> None:
    epochs = [{"epoch": n, "loss": {}, "scores": {"accuracy": 0.1 * n}} for n in (1, 2, 3)]
    paused = [made_record(status="pruned", history=epochs[:count]) for count in (1, 3, 2)]
    assert [store.add_run(each, tmp_path) for each in paused] == [True, True, False]
    store.add_run(made_record("b"), tmp_path)
    assert store.runs(identity="a") == [paused[1]]


def test_a_store_outlives_the_process_and_says_where_runs_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "store.db"
    Store(str(path)).add_run(made_record("a"), Path("runs/a"))
    assert [run.identity for run in Store(str(path)).runs()] == ["a"]
    assert rows(path, "select identity, status, task, folder from runs") == [
        ("a", "ok", "toy", str(tmp_path / "runs" / "a"))
    ]


# --- datasets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pair", "regression", "tagging", "question_answering"])
def test_datasets_come_back_as_they_went(store: Store, name: str) -> None:
    task = toy_task(name, rows=20, held_out=5)
    descriptors, words = describe(task, "Say which."), count_words(texts_of(task))
    assert store.add_dataset(descriptors, words)
    assert not store.add_dataset(descriptors.model_copy(update={"description": "Other."}), words)
    ((known, counts),) = store.datasets()
    assert known == descriptors
    assert_same(counts, words)


def assert_same(one: WordCounts, other: WordCounts) -> None:
    np.testing.assert_array_equal(one.hashes, other.hashes)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (one.hashes.dtype, one.counts.dtype) == (other.hashes.dtype, other.counts.dtype)
    assert one.total == other.total


def test_a_word_that_occurs_very_often_is_counted_as_often(store: Store) -> None:
    words = WordCounts(np.array([7], dtype=np.uint32), np.array([4_000_000_000]), 5_000_000_000)
    store.add_dataset(describe(toy_task("single", rows=5, held_out=5)), words)
    assert_same(store.datasets()[0][1], words)


def test_two_versions_of_a_dataset_are_both_kept(store: Store) -> None:
    for rows_of_it in (10, 20):
        task = toy_task("single", rows=rows_of_it, held_out=5)
        assert store.add_dataset(describe(task), count_words(texts_of(task)))
    assert [descriptors.n_train for descriptors, _ in store.datasets()] == [10, 20]


def test_a_dataset_without_words(store: Store) -> None:
    store.add_dataset(describe(toy_task("single", rows=5, held_out=5)), count_words([]))
    assert len(store.datasets()[0][1].hashes) == 0


# --- several at once ---------------------------------------------------------------------------

ADD = """
import sys
from pathlib import Path
from autodistill.history.store import Store
from engine.run.result import RunResult
store, name, record = Store(sys.argv[1]), sys.argv[2], RunResult.model_validate_json(sys.argv[3])
for place in range(20):
    store.add_run(record.model_copy(update={"identity": f"{name}-{place}"}), Path("."))
    store.add_run(record.model_copy(update={"identity": f"both-{place}"}), Path("."))
"""


def test_processes_share_it(url: str) -> None:
    arguments = [sys.executable, "-c", ADD, url]
    both = [subprocess.Popen([*arguments, name, made_record().model_dump_json()], cwd=ROOT) for name in "xy"]
    assert [process.wait(120) for process in both] == [0, 0]
    found = sorted(run.identity for run in Store(url).runs())
    assert found == sorted(f"{name}-{place}" for name in ("x", "y", "both") for place in range(20))


def test_it_may_be_made_by_several_at_once(tmp_path: Path) -> None:
    for attempt in range(5):
        open_together(str(tmp_path / f"{attempt}.db"))


def test_it_may_be_made_by_several_at_once_on_a_server(server: URL) -> None:
    for _ in range(5):
        open_together(postgresql.new_database(server))


def open_together(url: str, count: int = 8) -> None:
    together = Barrier(count)

    def opened(_: int) -> int:
        together.wait()
        return len(Store(url).runs())

    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(opened, range(count))) == [0] * count


# --- where it is -------------------------------------------------------------------------------


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODISTILLER_STORE", "elsewhere.db")
    assert str(store_url()) == "sqlite:///elsewhere.db"
    assert str(store_url("here.db")) == "sqlite:///here.db"
    monkeypatch.delenv("AUTODISTILLER_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert str(store_url()) == f"sqlite:///{tmp_path}/autodistiller/store.db"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(store_url()) == f"sqlite:///{tmp_path}/.local/share/autodistiller/store.db"
    assert str(store_url("~/mine.db")) == f"sqlite:///{tmp_path}/mine.db"


def test_without_a_home_it_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobodys() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobodys)
    for name in ("AUTODISTILLER_STORE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert str(store_url("/here.db")) == "sqlite:////here.db"
    with pytest.raises(InputError, match="--store: nothing is named here, and this user has no home"):
        store_url()


def test_it_is_made_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "not" / "yet" / "store.db"
    monkeypatch.setenv("AUTODISTILLER_STORE", str(path))
    Store().add_run(made_record(), tmp_path)
    assert path.is_file()
    assert len(Store(f"sqlite:///{path}").runs()) == 1


@pytest.mark.parametrize("name", ["a b.db", "a#b.db", "runs.of.today", "评论.db", "what?.db", "50%20.db"])
def test_a_file_of_any_name(tmp_path: Path, name: str) -> None:
    Store(str(tmp_path / name)).add_run(made_record(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(Store(str(tmp_path / name)).runs()) == 1


# --- what cannot be opened ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://user:secret@host/db",
        "postgresql://user:secret@127.0.0.1:1/none",
        "mysql+none://user:secret@host/db",
        "://user:secret@host",
        "postgresql://user:secret@host:port/db",
        "postgresql+psycopg://user@localhost:1/db?password=secret&sslpassword=secret",
    ],
)
def test_one_that_cannot_be_opened_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(InputError, match="--store: the store cannot be opened") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and no database at all\n" * 50, "utf-8")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"the store cannot be opened; .*notes\.txt"):
        Store(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("path", ["", "file/store.db"], ids=["a folder", "below a file"])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(InputError, match="the store cannot be opened"):
        Store(f"sqlite:///{tmp_path}/{path}")


def test_tables_of_another_program_are_refused_before_a_run_and_after(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "s.db")
    columns = "id integer primary key, identity, status, recorded_at, task, dataset_fingerprint, folder, record"
    connection.execute(f"create table runs ({columns}, owner text not null)")
    connection.close()
    store = Store(str(tmp_path / "s.db"))
    for use in (store.check_writing, lambda: store.add_run(made_record(), tmp_path)):
        with pytest.raises(InputError, match="--store: the store cannot be written to; .*NOT NULL constraint failed"):
            use()


def test_tables_that_lack_a_column_are_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("create table runs (id integer primary key, place text)")
    connection.close()
    with pytest.raises(InputError, match="--store: the store cannot be opened; .*no such column"):
        Store(str(tmp_path / "s.db"))


def test_a_file_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store("s.db").add_run(made_record(), tmp_path)
    store = Store(f"sqlite:///file:{tmp_path}/s.db?mode=ro&uri=true")
    assert store.runs() == [made_record()]
    with pytest.raises(InputError, match="the store cannot be written to; .*readonly"):
        store.check_writing()
    assert [path.name for path in tmp_path.iterdir()] == ["s.db"]


def test_the_check_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.check_writing()
    store.check_writing()
    assert (store.runs(), store.datasets()) == ([], [])
    assert store.add_run(made_record(), tmp_path)


@pytest.mark.parametrize("broken", ['{"layout": 99, "status": "ok"}', "{", "[]", '"text"', "[" * 100_000])
def test_a_record_that_cannot_be_read_is_left_out_and_said(broken: str, url: str) -> None:
    store, run, _ = filled(url)
    with store._engine.begin() as connection:
        connection.execute(RUNS.update().values(record=broken))
        connection.execute(DATASETS.update().values(descriptors=broken))
    later = run.model_copy(update={"identity": "later"})
    assert store.add_run(later, Path("run"))
    heard: list[str] = []
    assert store.runs(heard.append) == [later]
    assert store.datasets(heard.append) == []
    assert [text.split(":")[0] for text in heard] == [
        f"{what} 1 of the store is left out" for what in ("run", "dataset")
    ]
    assert store.add_run(run, Path("run")) is False


# --- layouts -----------------------------------------------------------------------------------


def as_the_first_version(store: Store) -> None:
    """Takes a store's records back to the names that the first version had."""
    with store._engine.begin() as connection:
        for table, column, names in (
            (RUNS, "record", {"student_alone_score": "baseline_score", "layout": None}),
            (DATASETS, "descriptors", {"bilstm_score": "baseline_score"}),
        ):
            text = connection.scalar(sql.select(table.c[column]))
            old = {names.get(key, key): value for key, value in json.loads(text).items()}
            old.pop(None, None)
            if "pipeline" in old:
                old["pipeline"]["teacher"] = {"policy": old["pipeline"].pop("team")["kind"]}
            connection.execute(table.update().values({column: json.dumps(old)}))
        LAYOUT.drop(connection)


def filled(url: str) -> tuple[Store, RunResult, Descriptors]:
    """A store with a run and a dataset."""
    store = Store(url)
    run = made_record(student_alone_score=0.7).model_copy(update={"pipeline": Pipeline().model_dump(mode="json")})
    known = describe(toy_task("single")).model_copy(update={"bilstm_score": 0.6})
    assert store.add_run(run, Path("run"))
    assert store.add_dataset(known, count_words(["some words"]))
    return store, run, known


def test_an_older_store_is_brought_into_todays_layout(url: str) -> None:
    store, run, known = filled(url)
    as_the_first_version(store)
    again = Store(url)
    assert again.runs() == [run]
    assert [descriptors for descriptors, _ in again.datasets()] == [known]
    with again._engine.connect() as connection:
        assert "baseline" not in connection.scalar(sql.select(RUNS.c.record))
        assert connection.scalars(sql.select(LAYOUT.c.version)).all() == [records.LAYOUT]
    assert Store(url).runs() == [run]


def test_a_store_of_a_newer_version_is_refused(url: str) -> None:
    store, _, _ = filled(url)
    with store._engine.begin() as connection:
        connection.execute(LAYOUT.update().values(version=records.LAYOUT + 1))
    with pytest.raises(InputError, match=f"a newer version; got layout {records.LAYOUT + 1}"):
        Store(url)


def test_a_damaged_old_store_stays_as_it_is(url: str) -> None:
    store, _, _ = filled(url)
    as_the_first_version(store)
    with store._engine.begin() as connection:
        before = connection.scalar(sql.select(RUNS.c.record))
        connection.execute(DATASETS.update().values(descriptors="{"))
    with pytest.raises(InputError, match="--store: the store cannot be opened"):
        Store(url)
    with store._engine.connect() as connection:
        assert connection.scalar(sql.select(RUNS.c.record)) == before


@pytest.mark.parametrize("cell", [0, 1.5, b"\x00\xff"])
def test_what_is_no_text_is_left_out_and_said(cell: object, tmp_path: Path) -> None:
    """SQLite keeps whatever stands in a damaged page, also a number where a text should be."""
    store = Store(str(tmp_path / "s.db"))
    store.add_run(made_record("a"), tmp_path)
    store.add_dataset(describe(toy_task("single")), count_words(["a film"]))
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("update runs set record = ?", [cell])
        connection.execute("update datasets set words = ?", [cell])
    told: list[str] = []
    assert (store.runs(told.append), store.datasets(told.append)) == ([], [])
    assert [each.partition(":")[0] for each in told] == [
        f"{what} 1 of the store is left out" for what in ("run", "dataset")
    ]
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("delete from layout")
    with suppress(InputError):  # bytes cannot be brought up to date; a number can, and is left out again
        assert Store(str(tmp_path / "s.db")).runs(told.append) == []
