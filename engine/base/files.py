"""Files that are never seen half-written, records that know when they were damaged, hashes, and what disks refuse."""

import errno
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.base.errors import AutoDistillerError, DiskError, in_bytes

RESULT_FILE = "result.json"  # the record beside a student
ANSWERS_FILE = "answers.json"  # what teacher and student answered on the set that is reported
WORK = ".work"  # in the folder of a run: what only an unfinished one needs
CHUNK = 1 << 20  # bytes that are read at once
SEAL = "checksum"  # key of a sealed record
REFUSALS = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "has no more room for this user",
    errno.EFBIG: "takes no file of this size",
    errno.EROFS: "can only be read",
    errno.EIO: "fails",
}
"""What a disk refuses → in words."""
SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Those that more room ends."""
PASSING = (
    *(errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENOTCONN),
)
"""What reading a file may raise that tells of the machine or its network, not of what stands in the file."""
SQLITE = {"database or disk is full": errno.ENOSPC, "disk I/O error": errno.EIO}
"""How SQLite says them; other libraries use the system's words."""


@contextmanager
def disk_errors(folder: Path | None = None, needed: int | None = None) -> Iterator[None]:
    """Says what the disk refuses, whichever library raised it.

    Args:
        folder: On the disk that is named, unless the error itself names a file; None where it is not known.
        needed: Bytes, where they are known.

    Raises:
        DiskError: A disk is full, can only be read, or fails.
    """
    try:
        yield
    except AutoDistillerError:
        raise
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        number, file = refusal
        raise DiskError(_in_words(number, Path(file).absolute().parent if file else folder, needed)) from error


def _refusal(error: BaseException | None) -> tuple[int, str | None] | None:
    """The number of what a disk refused, and the file where the error names one; torch hides both in its context."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REFUSALS:
            return error.errno, error.filename if isinstance(error.filename, str) else None
        words = {**{os.strerror(number): number for number in REFUSALS}, **SQLITE}
        if found := next((number for text, number in words.items() if text in str(error)), None):
            return found, None
        error = error.__cause__ or error.__context__
    return None


def _in_words(number: int, folder: Path | None, needed: int | None) -> str:
    if folder is None:
        return f"a disk {REFUSALS[number]} ({os.strerror(number)})"
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    what = f"the disk of {there} {REFUSALS[number]}"
    if number not in SPACE:
        return f"{what} ({os.strerror(number)})"
    wanted = "" if needed is None else f", and {in_bytes(needed)} are needed"
    free = in_bytes(shutil.disk_usage(there).free)
    return f"{what}: {free} are free there{wanted}. With more room the same command goes on."


@contextmanager
def taken_for_damage(*kinds: type[Exception]) -> Iterator[None]:
    """Suppresses what reading a damaged file raises: errors of these kinds, and of the system.

    But not those that pass (`PASSING`, no memory): what is kept outlasts them, and must not be made anew for them.
    """
    damage: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except MemoryError:
        raise
    except damage as error:
        if isinstance(error, OSError) and error.errno in PASSING:
            raise


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Gives a path to write a file to, and moves it to `path` once it is whole and on disk.

    A process killed inside leaves `path` as it was, and a file aside that the next writer takes over; two
    writers at once need a lock.

    Raises:
        DiskError: The disk is full, can only be read, or fails.
    """
    aside = path.with_name(f".{path.name}.part")
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
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
def folder_written_atomically(path: Path, stays: Callable[[Path], bool] = lambda path: False) -> Iterator[Path]:
    """The same for a folder, which is empty at first; an older one at `path` is replaced, unless it `stays`."""
    aside = path.with_name(f".{path.name}.part")
    with disk_errors(path.parent):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            yield aside
            for file in filter(Path.is_file, aside.rglob("*")):
                _sync(file)
            if stays(path):
                return
            remove(path)
            aside.replace(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_sealed(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as JSON with its checksum, whole or not at all."""
    write_text(path, json.dumps({**record, SEAL: _seal(record)}, indent=2, ensure_ascii=False) + "\n")


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The record of `write_sealed`; None where it was damaged, or is no file.

    Raises:
        FileNotFoundError: There is none.
    """
    if os.path.lexists(path) and not path.is_file():
        return None
    path.stat()
    with taken_for_damage(ValueError, TypeError, AttributeError, RecursionError):
        record = json.loads(path.read_text("utf-8"))
        return unsealed(record) if SEAL in record else None
    return None


def unsealed(record: Any) -> Any:
    """A record without its checksum; what has none is left as it is.

    Raises:
        ValueError: It is the checksum of another record.
    """
    if not isinstance(record, dict) or SEAL not in record:
        return record
    rest = {key: value for key, value in record.items() if key != SEAL}
    if record[SEAL] != _seal(rest):
        raise ValueError("its checksum is that of another record: it was damaged, or changed by hand")
    return rest


def _seal(record: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(record))  # where all keys are texts, which sort otherwise than numbers
    return f"{zlib.crc32(json.dumps(as_read, sort_keys=True).encode()):08x}"


def checksum(path: Path) -> str:
    """CRC-32 and size of a file: it tells damage, not an attacker; a `DiskError` where its disk fails."""
    total, size = 0, 0
    with disk_errors(path.parent), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total, size = zlib.crc32(chunk, total), size + len(chunk)
    return f"{total:08x} {size}"


def has_checksum(path: Path, expected: str) -> bool:
    """Whether a file is there, no pipe in its place, and has this checksum."""
    with taken_for_damage():
        return path.is_file() and checksum(path) == expected
    return False


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
    """A short hash of bytes, as such or as views of arrays, or of the texts of other `parts`.

    Example:
        >>> hash_of("sst2", 0)
        '76e5d4f8e620a698'
    """
    total = hashlib.sha256()
    for number, part in enumerate(parts):
        total.update(b"\x1f" * (number > 0))
        total.update(part if isinstance(part, bytes | memoryview) else str(part).encode())
    return total.hexdigest()[:16]


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
