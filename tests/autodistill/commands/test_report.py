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
