"""Files are whole or absent, and hashes tell files apart."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.base.errors import DiskError, InputError
from engine.base.files import (
    checksum,
    disk_errors,
    folder_bytes,
    folder_written_atomically,
    has_checksum,
    hash_of,
    hash_of_files,
    read_sealed,
    remove,
    write_sealed,
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
    numbers = torch.arange(9, dtype=torch.int16).numpy()
    joined = b"\x1f".join([b"a", numbers.tobytes(), b"1"])
    assert hash_of("a", numbers.data, 1) == hash_of("a", numbers.tobytes(), 1) == hash_of(joined)


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


# --- records with checksums --------------------------------------------------------------------------

RECORD = {"identity": "a", "seconds": {"teacher": 0.1 + 0.2}, "done": ["teacher", "θ"], "nothing": None}


def test_a_sealed_record_comes_back(tmp_path: Path) -> None:
    write_sealed(tmp_path / "run.json", RECORD)
    assert read_sealed(tmp_path / "run.json") == RECORD
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "absent.json")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "no"), PermissionError(errno.EACCES, "no"), MemoryError()])
def test_a_record_that_cannot_be_read_now_is_not_damaged(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = tmp_path / "run.json"
    write_sealed(path, RECORD)
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(type(error)):
        read_sealed(path)
    failing = isinstance(error, OSError) and error.errno == errno.EIO
    with pytest.raises(DiskError if failing else type(error)):
        has_checksum(path, "")


def test_a_record_with_many_numbers_as_keys_is_whole(tmp_path: Path) -> None:
    write_sealed(tmp_path / "run.json", {"ended": {number: number / 3 for number in range(25)}})
    assert read_sealed(tmp_path / "run.json") == {"ended": {str(number): number / 3 for number in range(25)}}


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"3", b"null", b"[" * 100_000, b'{"identity": "a"}', b"\xff"])
def test_what_is_no_sealed_record_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert read_sealed(tmp_path / "run.json") is None


def test_no_flipped_bit_gives_another_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_sealed(path, RECORD)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (1, 4, 64):
            path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            assert read_sealed(path) in (None, RECORD)


def test_checksums_tell_files_apart(tmp_path: Path) -> None:
    path, found = tmp_path / "file", set()
    for content in (b"", b"\x00", b"\x00\x00", b"a", bytes(3_000_000), bytes(2_999_999) + b"\x01"):
        path.write_bytes(content)
        found.add(checksum(path))
    assert len(found) == 6


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("folder", "file", "link", "absent"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


# --- full disks --------------------------------------------------------------------------------------

FULL = Path("/dev/full")  # where every write fails as on a full disk
LARGE = {"weights": torch.zeros(100_000)}


def by_torch(path: Path) -> None:
    with path.open("wb") as file:
        torch.save(LARGE, file)


WRITERS: dict[str, Callable[[Path], Any]] = {"text": lambda path: path.write_text("a" * 100_000), "torch": by_torch}


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_named_whoever_writes(writer: str, tmp_path: Path) -> None:
    words = "is full: [0-9,.]+ [kMG]B are free there. With more room the same command goes on."
    deep = tmp_path / "deep"
    deep.mkdir()
    with pytest.raises(DiskError, match=f"the disk of {deep} {words}"), written_atomically(deep / "file") as aside:
        aside.symlink_to(FULL)
        WRITERS[writer](aside)
    assert [*(tmp_path / "deep").iterdir()] == []


@pytest.mark.skipif(os.name != "posix", reason="the system has no such limits")
@pytest.mark.parametrize("writer", ["text", "torch", "safetensors"])
def test_a_file_that_may_not_grow_is_named(writer: str, tmp_path: Path) -> None:
    """As a quota ends it: by a limit of the process, which every library meets."""
    import resource
    import signal

    writers = WRITERS | {"safetensors": lambda path: save_file(LARGE, str(path))}
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        words, path = f"the disk of {tmp_path} takes no file of this size", tmp_path / "file"
        with pytest.raises(DiskError, match=words), written_atomically(path) as aside:
            writers[writer](aside)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(errno.ENOSPC, "no"), "is full: "),
        (OSError(errno.EDQUOT, "no"), "has no more room for this user: "),
        (OSError(errno.EROFS, "no"), r"can only be read \(Read-only file system\)"),
        (OSError(errno.EIO, "no"), r"fails \(Input/output error\)"),
        (sqlite3.OperationalError("database or disk is full"), "is full: "),
    ],
)
def test_what_a_disk_refuses_is_said(error: Exception, words: str, tmp_path: Path) -> None:
    words, folder = f"^the disk of {tmp_path} {words}", tmp_path / "not" / "there"
    with pytest.raises(DiskError, match=words) as caught, disk_errors(folder):
        raise error
    assert caught.value.__cause__ is error


def test_what_is_needed_is_said(tmp_path: Path) -> None:
    words = r"are free there, and 2\.5 MB are needed\. With more room the same command"
    with pytest.raises(DiskError, match=words), disk_errors(tmp_path, needed=2_500_000):
        raise OSError(errno.ENOSPC, "no")


@pytest.mark.parametrize("error", [PermissionError(13, "no"), ValueError("no"), InputError.of("--out", "is full")])
def test_other_errors_stay(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read, of Linux")
def test_the_disk_that_fails_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "kept").symlink_to("/proc/self/mem")
    with pytest.raises(DiskError, match=f"the disk of {tmp_path} fails"):
        checksum(tmp_path / "kept")
