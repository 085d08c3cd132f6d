"""Files that are never seen half-written, and hashes of files."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESULT_FILE = "result.json"  # the record beside a student
WORK = ".work"  # in the folder of a run: what only an unfinished one needs


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Gives a path to write a file to, and moves it to `path` once it is whole and on disk.

    A process killed inside leaves `path` as it was, and a file aside that the next writer takes over; two
    writers at once need a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        yield aside
        _sync(aside)
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file that is whole or absent."""
    with written_atomically(path) as aside:
        aside.write_text(text, encoding="utf-8")


@contextmanager
def folder_written_atomically(path: Path) -> Iterator[Path]:
    """The same for a folder, which is empty at first; an older one at `path` is replaced."""
    aside = path.with_name(f".{path.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in filter(Path.is_file, aside.rglob("*")):
            _sync(file)
        if path.exists():
            shutil.rmtree(path)
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` survive a power cut, where the system allows it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def hash_of(*parts: object) -> str:
    """A short hash of bytes, or of the texts of other `parts`.

    Example:
        >>> hash_of("sst2", 0)
        '76e5d4f8e620a698'
    """
    encoded = (part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return hashlib.sha256(b"\x1f".join(encoded)).hexdigest()[:16]


def hash_of_files(paths: list[Path]) -> str:
    """A short hash of the names and contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def folder_bytes(folder: Path) -> int:
    """Bytes that the files below a folder hold; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
