"""The record of runs and datasets: append-only, shared by processes, and polite about passwords."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autodistill.features.descriptors import describe
from autodistill.features.words import count_words, texts_of
from autodistill.store import Store, store_url
from engine.errors import InputError
from engine.result import RunResult
from tests.conftest import ROOT
from tests.toys import toy_task


def result(identity: str = "a", **more: object) -> RunResult:
    known = {
        "status": "ok",
        "identity": identity,
        "task": "toy",
        "task_kind": "classification",
        "dataset_fingerprint": "f",
        "labels": ["no", "yes"],
        "train_examples": 10,
        "teacher": "large",
        "student": "small",
        "pipeline": {"intermediate": {"kind": "none"}},
        "seed": 0,
        "metric": "accuracy",
        "student_score": 0.8,
        "teacher_score": 0.9,
    }
    return RunResult.model_validate(known | more)


def test_a_run_is_added_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "deep" / "store.db"))
    assert store.add_run(result(), tmp_path)
    assert not store.add_run(result(student_score=0.1), tmp_path)
    assert store.add_run(result("b"), tmp_path)
    assert Store(str(tmp_path / "deep" / "store.db")).runs() == [result(), result("b")]
    assert store.count_runs() == 2


def test_a_run_that_was_stopped_and_later_finished_is_there_twice(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store.db"))
    assert store.add_run(result(status="pruned"), tmp_path)
    assert store.add_run(result(), tmp_path)
    assert [run.status for run in store.runs()] == ["pruned", "ok"]


def test_datasets_come_back_as_they_went(tmp_path: Path) -> None:
    task = toy_task("pair", rows=20, held_out=5)
    descriptors, words = describe(task, "Say which."), count_words(texts_of(task))
    store = Store(str(tmp_path / "store.db"))
    assert store.add_dataset(descriptors, words)
    assert not store.add_dataset(descriptors, words)
    ((known, counts),) = store.datasets()
    assert known == descriptors
    np.testing.assert_array_equal(counts.hashes, words.hashes)
    np.testing.assert_array_equal(counts.counts, words.counts)
    assert counts.total == words.total


def test_processes_share_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from autodistill.store import Store\n"
        "from tests.autodistill.test_store import result\n"
        "store = Store(sys.argv[1])\n"
        "for place in range(20): store.add_run(result(f'{sys.argv[2]}-{place}'), Path('.'))\n"
    )
    path = str(tmp_path / "store.db")
    both = [subprocess.Popen([sys.executable, "-c", code, path, name], cwd=ROOT) for name in "xy"]
    assert [process.wait(120) for process in both] == [0, 0]
    assert Store(path).count_runs() == 40


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODISTILLER_STORE", "elsewhere.db")
    assert store_url() == "sqlite:///elsewhere.db"
    assert store_url("here.db") == "sqlite:///here.db"
    monkeypatch.delenv("AUTODISTILLER_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store_url() == f"sqlite:///{tmp_path}/autodistiller/store.db"


@pytest.mark.parametrize(
    "url", ["nonsense://", "postgresql://user:secret@127.0.0.1:1/none", "mysql+none://user:secret@host/db"]
)
def test_one_that_cannot_be_opened_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(InputError, match="the store cannot be opened") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no database at all\n" * 50, "utf-8")
    with pytest.raises(InputError, match="the store cannot be opened"):
        Store(str(tmp_path / "notes.txt"))
