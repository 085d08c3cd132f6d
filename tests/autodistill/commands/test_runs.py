"""`autodistill runs`, and `show` on a folder of runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from autodistill.commands import runs as command
from tests.autodistill.report.test_listing import put
from tests.command_line import Answer, assert_one_clear_message


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    for name, score in {"one": 0.7, "two": 0.9}.items():
        put(tmp_path / "runs" / name, identity=name, student=name, student_score=score, latency_ms=1.0)
    return tmp_path / "runs"


def test_a_table_a_file_and_a_figure(folder: Path, tmp_path: Path) -> None:
    files = tmp_path / "new" / "runs.csv", tmp_path / "new" / "runs.svg"
    answer = Answer("runs", str(folder), "--sort", "student", "--csv", str(files[0]), "--figure", str(files[1]))
    assert answer.code == 0, answer.err
    assert answer.out.index("one") < answer.out.index("two")
    assert "1 ms *" in answer.out
    with files[0].open(newline="") as file:
        assert [row["score"] for row in csv.DictReader(file)] == ["0.7", "0.9"]
    assert files[1].read_text("utf-8").count("<svg") == 1


def test_json_has_all_that_is_known(folder: Path) -> None:
    answer = Answer("runs", str(folder), "--where", "score>0.8", "--json")
    (run,) = json.loads(answer.out)
    assert (run["student"], run["score"], run["bilstm_score"]) == ("two", 0.9, None)


def test_show_on_a_folder_of_runs_is_the_same_table(folder: Path) -> None:
    assert Answer("show", str(folder)).out == Answer("runs", str(folder)).out
    assert "distillation ratio" in Answer("show", str(folder / "one")).out


def test_show_on_a_damaged_folder_beside_others(folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad" / "result.json").write_text("{")
    answer = Answer("show", str(folder))
    assert answer.code == 0
    assert answer.err.count("\n") == 1
    assert "left out" in answer.err


def test_a_screen_is_shown_the_first_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_SHOWN", 1)
    answer = Answer("runs", str(folder))
    assert "1 more run:" in answer.out
    assert str(folder / "two") in answer.out
    assert str(folder / "one") not in answer.out
    assert "no run fulfils this" in Answer("runs", str(folder), "--where", "score>1").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("nowhere",), "no such file or folder"),
        ((), "no runs in the store"),
        (("published", "--figure", "x.pdf"), "no form for a figure"),
        (("published", "--csv", "."), "a file is needed"),
        (("published", "--where", "x"), "no condition"),
    ],
)
def test_wrong_input_is_one_message(options: tuple[str, ...], words: str) -> None:
    assert_one_clear_message(Answer("runs", *options), words)
