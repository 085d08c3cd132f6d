"""`autodistill report`, from files to a page and its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autodistill import AutoDistiller
from tests.autodistill.report.study import rows, written
from tests.command_line import Answer, assert_one_clear_message


def test_a_page_and_its_figures_are_written(tmp_path: Path) -> None:
    study = written(tmp_path / "study", rows(datasets=2))
    page, figures = tmp_path / "new" / "page.html", tmp_path / "figures"
    asked = ("--meta-data", str(study), "--predictor", "mean_rank", "--cache-dir", str(tmp_path / "cache"))
    answer = Answer("report", *asked, "--out", str(page), "--figures", str(figures), "--json")
    assert answer.code == 0, answer.err
    record = json.loads(answer.out)
    assert record["page"] == str(page)
    assert record["left_out"] == {}
    assert sorted(record["figures"]) == sorted(map(str, figures.iterdir()))
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert page.read_text("utf-8").count("<img ") == len(record["figures"]) / 2
    again = Answer("report", *asked, "--out", str(page))
    assert again.code == 0
    assert f"page: {page}" in again.out


def test_python_gives_the_same_page(tmp_path: Path) -> None:
    study = written(tmp_path / "study", [row for row in rows(datasets=1) if row["n_train"] == 100])
    page = AutoDistiller(meta_data=[str(study)], predictor="mean_rank").report()
    assert {key for key, (_, shown) in page.sections.items() if isinstance(shown, str)} == {"left-out"}
    assert len(page.draw(tmp_path / "figures")) == page.html().count("<img ") * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--meta-data", "nowhere"), "no such file or folder"),
        (("--out", "."), "a file is needed"),
        (("--figures", "there.txt"), "a folder is needed"),
        (("--predictor", "oracle"), "unknown predictor"),
    ],
)
def test_wrong_input_is_one_message_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").write_text("")
    assert_one_clear_message(Answer("report", "--meta-data", "published", *options), words)
    assert {path.name for path in tmp_path.iterdir()} <= {"there.txt", "store.db"}


def test_a_page_about_one_run(at_home: Path, finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    answer = Answer("report", str(finished), "--out", str(page), "--figures", str(tmp_path / "figures"), "--json")
    assert answer.code == 0, answer.err
    assert [*json.loads(answer.out)["left_out"]] == ["Where teacher and student differ"]
    answer = Answer("report", str(finished), "--data", str(at_home / "cola"), "--out", str(page))
    assert answer.out == f"page: {page}\n"
    assert "They differ on" in page.read_text("utf-8")
    assert (tmp_path / "figures" / "scores.svg").is_file()


def test_what_is_wrong_with_a_run_is_one_message(at_home: Path, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "a film,good\nno film,bad\n" * 20)
    for options, words in {
        (str(finished), "--data", str(other)): "not the held-out rows and labels of this run",
        (str(tmp_path),): "holds no finished run",
        (str(finished), "--meta-data", "published"): "the page is about one run",
        ("--data", str(other)): "only for the page about one run",
    }.items():
        assert_one_clear_message(Answer("report", *options, "--out", str(tmp_path / "x.html")), words)
        assert not (tmp_path / "x.html").exists()
