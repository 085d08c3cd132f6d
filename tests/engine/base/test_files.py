"""Files are whole or absent, and hashes tell files apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base.files import (
    folder_bytes,
    folder_written_atomically,
    hash_of,
    hash_of_files,
    write_text,
    written_atomically,
)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with written_atomically(path) as aside:
        aside.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [*path.parent.iterdir()] == [path]


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), written_atomically(path) as aside:
        aside.write_bytes(b"half of the n")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_what_is_written_may_be_read_like_any_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "Zürich")
    assert (tmp_path / "file").read_bytes() == "Zürich".encode()
    with folder_written_atomically(tmp_path / "folder"):
        pass
    (tmp_path / "plain").touch()
    (tmp_path / "plain folder").mkdir()
    for written, plain in (("file", "plain"), ("folder", "plain folder")):
        assert (tmp_path / written).stat().st_mode == (tmp_path / plain).stat().st_mode


@pytest.mark.parametrize("write", [written_atomically, folder_written_atomically])
def test_the_next_writer_takes_over_what_a_kill_left(write, tmp_path: Path) -> None:
    """A kill is a writer that never comes back: its `finally` does not run."""
    writer = write(tmp_path / "thing")
    aside = writer.__enter__()
    left = aside / "half" if aside.is_dir() else aside
    left.write_text("half")
    assert not (tmp_path / "thing").exists()
    with write(tmp_path / "thing") as again:
        (again / "whole" if again.is_dir() else again).write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    whole = tmp_path / "thing"
    assert [path.name for path in whole.iterdir()] == ["whole"] if whole.is_dir() else whole.read_text() == "whole"


def test_a_folder_replaces_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with folder_written_atomically(path) as aside:
        (aside / "inner").mkdir()
        (aside / "inner" / "new").write_text("new")
        assert (path / "old").exists()
    assert [*path.rglob("*")] == [path / "inner", path / "inner" / "new"]
    assert [*tmp_path.iterdir()] == [path]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(KeyError), folder_written_atomically(path) as aside:
        (aside / "new").write_text("new")
        raise KeyError
    assert [*path.iterdir()] == [path / "old"]
    assert [*tmp_path.iterdir()] == [path]


def test_hashes_tell_parts_apart() -> None:
    assert hash_of("a", "b") == hash_of("a", "b")
    assert len({hash_of("a", "b"), hash_of("ab"), hash_of("b", "a"), hash_of("a"), hash_of("a", "b", "")}) == 5


def test_hash_of_files_sees_names_contents_and_borders(tmp_path: Path) -> None:
    def of(**contents: str) -> str:
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_text(content)
        return hash_of_files([*folder.iterdir()])

    assert of(a="x", b="y") == of(b="y", a="x")
    assert len({of(a="x", b="y"), of(a="xy", b=""), of(a="y", b="x"), of(a="x", c="y"), of(a="x")}) == 5


def test_folder_bytes(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_bytes(bytes(10))
    (tmp_path / "b").write_bytes(bytes(5))
    assert folder_bytes(tmp_path) == 15
    assert folder_bytes(tmp_path / "nowhere") == 0
