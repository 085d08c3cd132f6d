"""All runs as a table: which are in it, in what order, and which are left out by a condition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import autodistill
from autodistill.history.store import Store
from autodistill.report.listing import runs
from engine.base.errors import InputError
from tests.records import made_record

STUDENTS = {"small": (0.8, 2.0), "large": (0.9, 8.0), "slow": (0.85, 9.0)}
"""Name → score and latency."""


def put(folder: Path, **about: Any) -> None:
    """Writes a record as a run leaves it."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(made_record(**about).to_json(), "utf-8")


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for name, (score, latency) in STUDENTS.items():
        known = {"scores": {"student": {"test": {"accuracy": score}}}, "split": "test"}
        about = {"student": name, "student_score": score, "latency_ms": latency, "distillation_ratio": score / 0.9}
        put(folder / "deep" / name, identity=name, **known, **about)
    put(folder / "failed", identity="f", status="failed", reason="no", student_score=None, student="small")
    return folder


def test_every_run_below_a_folder_is_there_the_best_first(folder: Path) -> None:
    found = autodistill.runs(folder)
    assert found.student.tolist() == ["large", "slow", "small", "small"]
    assert found.status.tolist() == ["ok", "ok", "ok", "failed"]
    assert found.folder[0] == str(folder / "deep" / "large")
    assert found.ratio[0] == pytest.approx(1.0)
    assert found.front.tolist() == [True, False, True, False], "nothing as fast is better"


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("student=small", {"small"}),
        ("student=S*", {"small", "slow"}),
        ("student!=s*", {"large"}),
        ("score>0.8", {"large", "slow"}),
        (" score <= 0.85 ", {"small", "slow"}),
        ("latency_ms=8", {"large"}),
        ("status=failed", {"small"}),
        ("reason=", {"small", "large", "slow"}),
        (("score>0.8", "latency_ms<9"), {"large"}),
        ("student=scratch:layers=4", set()),
        ("intermediate=none", {"small", "large", "slow"}),
    ],
)
def test_conditions(folder: Path, where: str | tuple[str, ...], left: set[str]) -> None:
    assert set(runs(folder, where=where).student) == left


def test_the_order_that_is_asked_for(folder: Path) -> None:
    assert runs(folder, sort="latency_ms").student.tolist()[:3] == ["small", "large", "slow"]
    assert runs(folder, sort="latency_ms", reverse=True).student.tolist()[:3] == ["slow", "large", "small"]
    assert runs(folder, sort="score").student.tolist()[:3] == ["large", "slow", "small"]
    assert runs(folder, sort="score").status.tolist()[3] == "failed", "what has none stands last"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"where": "dataste=toy"}, "unknown column; got 'dataste'.*Did you mean dataset"),
        ({"where": "score"}, "no condition"),
        ({"where": "score>high"}, "needs a number"),
        ({"sort": "socre"}, "Did you mean score"),
    ],
)
def test_what_cannot_be_asked_is_said(folder: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        runs(folder, **asked)


def test_odd_folders_are_one_line_each_and_the_others_are_there(folder: Path) -> None:
    for name, text in {"damaged": '{"x', "newer": json.dumps({"layout": 99}), "null": "null"}.items():
        (folder / name).mkdir()
        (folder / name / "result.json").write_text(text)
    (folder / "empty").mkdir()
    (folder / "begun" / ".work").mkdir(parents=True)
    heard: list[str] = []
    assert len(runs(folder, tell=heard.append)) == 4
    assert [line.partition(":")[0] for line in heard] == ["left out"] * 3 + ["not finished"]
    assert all("\n" not in line for line in heard)
    assert "newer version" in heard[1]


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    for source, words in {
        tmp_path: "neither a table of runs nor runs",
        tmp_path / "x": "no such file or folder",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            runs(source)
        assert "--meta-data" not in str(caught.value)
    with pytest.raises(InputError, match="no runs in the store"):
        runs()


def test_the_store_has_each_run_as_it_was_last(tmp_path: Path) -> None:
    store = Store()
    store.add_run(made_record(status="pruned"), tmp_path / "a")
    store.add_run(made_record(), tmp_path / "a")
    found = runs()
    assert found.status.tolist() == ["ok"]
    assert found.folder.tolist() == [str(tmp_path / "a")]


def test_a_table_is_read_like_runs() -> None:
    found = runs("published", where=["dataset=sst2", "teacher=*base*"])
    assert set(found.dataset) == {"sst2"}
    assert len(found) > 10
    assert not found.front.any(), "nothing is known of latencies"
