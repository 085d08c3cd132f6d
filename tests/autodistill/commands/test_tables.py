"""How tables are laid out: nothing is broken, and every cell is shown once."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from autodistill.commands import console
from autodistill.commands.show import Shown
from autodistill.commands.tables import glued, wrapped

INTERVAL = "0.9000 (0.880 to 0.930)"


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, *rows: list[str]
) -> list[str]:
    """The lines of a table whose first row are its heads, blank ones left out."""
    monkeypatch.setenv("COLUMNS", str(width))
    console.show(Shown({}, [(rows[0], list(rows[1:]), "")]), as_json=False)
    return [line for line in capsys.readouterr().out.splitlines() if line.strip(" ─")]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        (INTERVAL, 23, [INTERVAL]),
        (INTERVAL, 22, ["0.9000", "(0.880 to 0.930)"]),
        ("+0.117 (-0.001 to +0.330)", 20, ["+0.117", "(-0.001 to +0.330)"]),
        ("0 s (21 min)", 8, ["0 s", "(21 min)"]),
        ("14.3 M parameters", 12, ["14.3 M", "parameters"]),
        ("80 % interval", 8, ["80 %", "interval"]),
        ("10, stopped", 7, ["10,", "stopped"]),
        ("pick 1 to the end", 6, ["pick 1", "to the", "end"]),
        ("one\ntwo three", 20, ["one", "two three"]),
    ],
)
def test_figures_hang_together(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(glued(text), width).splitlines() == lines


def test_a_table_that_fits_is_one_with_nothing_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["", "teacher", "student"], ["f1 of spam", INTERVAL, INTERVAL], ["size", "438 MB", "57.4 MB"]
    lines = printed(capsys, monkeypatch, 80, *rows)
    assert [line.split("   ")[0].strip() for line in lines[1:]] == ["f1 of spam", "size"]
    assert all(line == line.rstrip() for line in lines)
    assert lines[1].count(INTERVAL) == 2


def test_a_table_with_too_many_columns_is_divided_and_its_first_column_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = [f"measurement_{number}" for number in range(8)]
    lines = printed(capsys, monkeypatch, 80, ["dataset", *heads], ["reviews@4cb19aac", *(["0.123"] * 8)])
    assert [line.split()[0] for line in lines] == ["dataset", "reviews@4cb19aac"] * 3
    assert [word for line in lines[::2] for word in line.split()[1:]] == heads
    assert sum(line.count("0.123") for line in lines) == 8
    assert max(map(len, lines)) <= 80


def test_a_path_that_is_longer_than_a_line_stays_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its table in one piece, for no division would help."""
    path = f"/home/{'z' * 100}"
    lines = printed(capsys, monkeypatch, 80, ["part", "name", "found"], ["caches", "all", path], ["hub", "on", "no"])
    assert [line.split() for line in lines] == [["part", "name", "found"], ["caches", "all", path], ["hub", "on", "no"]]


def test_scripts_without_spaces_break_anywhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "看" * 100
    lines = printed(capsys, monkeypatch, 80, ["", "text"], ["1", text])
    assert max(map(cell_len, lines)) <= 80
    assert "".join(line.split()[-1] for line in lines[1:]) == text
