"""`autodistill cache`: what is listed, and that nothing goes unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autodistill.commands import cache as command
from tests.command_line import Answer, assert_one_clear_message
from tests.engine.base.test_cache_entries import HOUR, put


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    put(root, "teachers", "bert", size=2_000_000, ago=50 * HOUR)
    put(root, "fits", "one", ago=2 * HOUR)
    put(root, "fits", "one again", ago=1 * HOUR)
    return root


def test_a_row_for_each_kind_dataset_and_model(root: Path) -> None:
    shown = Answer("cache", "list", "--cache-dir", str(root)).out
    assert "films, bert" in shown
    assert "2 MB" in shown
    assert "2 days" in shown
    records = json.loads(Answer("cache", "list", "--cache-dir", str(root), "--json").out)
    assert [(each["kind"], each["count"]) for each in records] == [("fits", 1), ("fits", 1), ("teachers", 1)]
    assert records[2]["days_unused"] == pytest.approx(50 / 24, abs=0.1)


@pytest.mark.parametrize(
    ("options", "left"),
    [(("prune", "--older", "1d"), 2), (("prune", "--keep-size", "1MB"), 2), (("prune", "--keep-size", "5GB"), 3),
     (("prune", "--older", "90m"), 1), (("clear",), 0)],
)  # fmt: skip
def test_what_goes(root: Path, options: tuple[str, ...], left: int) -> None:
    answer = Answer("cache", *options, "--yes", "--cache-dir", str(root), "--json")
    assert json.loads(answer.out)["removed"] == 3 - left
    assert (
        sum(each["count"] for each in json.loads(Answer("cache", "list", "--cache-dir", str(root), "--json").out))
        == left
    )


@pytest.mark.parametrize(("said", "left"), [("y", 0), ("n", 3), ("", 3)])
def test_a_person_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch, said: str, left: int) -> None:
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    answer = Answer("cache", "clear", "--cache-dir", str(root), stdin=f"{said}\n")
    assert "3 kept things, 2 MB" in answer.err
    assert len(command.entries(root)) == left


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("clear",), "nobody can be asked here"),
        (("prune", "--yes"), "one of these says what is removed"),
        (("prune", "--older", "soon"), "a time above 0 is needed"),
        (("prune", "--keep-size", "5"), "a size is needed"),
    ],
)
def test_wrong_input_removes_nothing(root: Path, options: tuple[str, ...], words: str) -> None:
    assert_one_clear_message(Answer("cache", *options, "--cache-dir", str(root)), words)
    assert len(command.entries(root)) == 3


def test_an_empty_cache_says_so(tmp_path: Path) -> None:
    assert Answer("cache", "list", "--cache-dir", str(tmp_path / "new")).out.startswith("0 bytes in")
    assert Answer("cache", "clear", "--cache-dir", str(tmp_path / "new")).out.startswith("removed: 0 kept things")
