"""What is checked before anything is read: seeds, and places that are written to at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.base.checks import check_place, check_seed
from engine.base.errors import InputError
from engine.base.spec import SEEDS


@pytest.mark.parametrize("seed", [0, 7, SEEDS - 1])
def test_seeds_that_a_generator_takes(seed: int) -> None:
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, SEEDS])
def test_seeds_that_none_takes(seed: int) -> None:
    with pytest.raises(InputError, match=f"seed: out of range; got {seed}; allowed: 0 to {SEEDS - 1}"):
        check_seed(seed)


@pytest.mark.parametrize("is_folder", [True, False])
@pytest.mark.parametrize("path", ["new", "new/deep/down", "there/new", "ä" * 100])
def test_nothing_is_left_where_something_can_be_written(path: str, is_folder: bool, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    check_place("--out", tmp_path / path, is_folder)
    assert [each.name for each in tmp_path.rglob("*")] == ["there"]


def test_what_is_there_may_be_written_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", "utf-8")
    check_place("--out", tmp_path / "file", is_folder=False)
    check_place("--out", tmp_path, is_folder=True)
    assert (tmp_path / "file").read_text("utf-8") == "kept"


def a_file_in_place_of_a_folder(home: Path) -> Path:
    (home / "file").touch()
    return home / "file"


def a_file_on_the_way(home: Path) -> Path:
    return a_file_in_place_of_a_folder(home) / "out"


def a_link_to_itself(home: Path) -> Path:
    (home / "link").symlink_to(home / "link")
    return home / "link" / "out"


UNUSABLE = {
    "a folder is needed": a_file_in_place_of_a_folder,
    "Not a directory": a_file_on_the_way,
    "Too many levels of symbolic links": a_link_to_itself,
    "File name too long": lambda home: home / ("n" * 300),
    "null": lambda home: home / "nu\0ll",
}


@pytest.mark.parametrize("why", UNUSABLE)
def test_places_that_cannot_be_written_say_why(why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check_place("--out", UNUSABLE[why](tmp_path))
    assert why in str(caught.value)
    assert str(caught.value).startswith("--out: a folder")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--out: a file is needed"):
        check_place("--out", tmp_path, is_folder=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_only_others_may_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        check_place("--out", tmp_path / "new")
