"""A study on the command line: it is run, looked at, exported, and one of its runs is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import tomli_w

from tests.autodistill.study.conftest import write_data
from tests.command_line import Answer, assert_one_clear_message

STUDY = {
    "name": "toy",
    "teachers": ["scratch:layers=2,hidden=16,heads=2"],
    "students": ["scratch:layers=1,hidden=16,heads=2"],
    "design": {"core": 2, "repeated": 0.0},
    "training": {"epochs": 1, "max_length": 16},
    "fine_tuning": {"epochs": 1, "early_stopping": 0},
    "student_alone": False,
}
PLAIN = ("--precision", "float32", "--device", "cpu")


@pytest.fixture(name="there", scope="session")
def _there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study_command")
    write_data(folder, "single")
    (folder / "study.toml").write_text(tomli_w.dumps(STUDY | {"datasets": ["single"]}), encoding="utf-8")
    return folder


@pytest.fixture(name="study")
def _study(there: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its file; the first test that asks runs it, the others find it finished."""
    monkeypatch.chdir(there)
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(there / "cache"))
    monkeypatch.setenv("AUTODISTILLER_STORE", str(there / "store.db"))
    answer = Answer("study", "run", "study.toml", "--processes", "1", *PLAIN)
    assert answer.code == 0, answer.err
    assert "2 runs on 1 tasks: 2 are there, 0 failed, 0 are left" in answer.out
    return "study.toml"


def test_how_far_it_is(study: str) -> None:
    answer = Answer("study", "status", study, *PLAIN, "--json")
    record = json.loads(answer.out)
    known = {"runs": 2, "ok": 2, "failed": 0, "running": 0, "left": 0, "not_made": 0, "datasets": 1}
    assert {name: record[name] for name in known} == known
    assert record["seconds_left"] is None
    assert record["reasons"] == {}


def test_its_tables(study: str, tmp_path: Path) -> None:
    answer = Answer("study", "export", study, *PLAIN, "--out", str(tmp_path / "tables"), "--json")
    written = {"study.csv": 2, "curves.parquet": 2, "study_datasets.csv": 1, "study_words.npz": 1}
    assert json.loads(answer.out) == written
    assert len(pd.read_csv(tmp_path / "tables" / "study.csv")) == 2


def test_what_the_tables_hold_is_not_made_in_another_precision(study: str, there: Path, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    Answer("study", "export", study, *PLAIN, "--out", str(tables))
    (there / "goes_on.toml").write_text(tomli_w.dumps(STUDY | {"datasets": ["single"], "tables": str(tables)}))
    for precision in ("bf16", "float32"):
        asked = ("goes_on.toml", "--device", "cpu", "--precision", precision, "--store", str(tmp_path / "other.db"))
        answer = Answer("study", "run", *asked)
        assert answer.code == 0, answer.err
        assert "2 runs on 1 tasks: 2 are there, 0 failed, 0 are left" in answer.out
    answer = Answer("study", "status", "study.toml", "--device", "cpu", "--precision", "bf16", "--json")
    assert json.loads(answer.out)["left"] == 2  # no tables: the store's own are of float32


def test_one_run_is_made_again(study: str, tmp_path: Path) -> None:
    Answer("study", "export", study, *PLAIN, "--out", str(tmp_path))
    row = pd.read_csv(tmp_path / "study.csv").iloc[1]
    again = ("--store", str(tmp_path / "again.db"), "--cache-dir", str(tmp_path / "cache"), "--processes", "1")
    answer = Answer("study", "run", study, *PLAIN, "--only", row.identity, *again)
    assert answer.code == 0, answer.err
    assert f"{row.identity}: {row.metric} {row.score:.6g} on test" in answer.out
    assert "1 are there" in answer.out


def test_what_is_wrong_is_said(study: str) -> None:
    assert_one_clear_message(Answer("study", "run", study, *PLAIN, "--only", "abc"), "the study has no such run here")
    many = Answer("study", "run", study, "--processes", "500")
    assert_one_clear_message(many, "more threads than cores make all of them slower")
    assert_one_clear_message(Answer("study", "status", "gone.toml"), "no such file")
