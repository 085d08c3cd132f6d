"""What is kept from one run to the next: it belongs to the layout of its files, the code that made it and the
libraries that computed it, and what another version made is made anew.

Decided here: a kept thing is a folder with the checksums of its files in it, which are compared whenever it is opened;
what was damaged is removed, said in one line, and made anew. Nothing that is kept is code. A checksum is no signature:
whoever may write into the cache decides what is read there, so it must be the user's own.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from engine.base.errors import InputError
from engine.base.files import (
    checksum,
    disk_errors,
    folder_written_atomically,
    hash_of,
    hash_of_files,
    remove,
    taken_for_damage,
)
from engine.base.progress import Reporter

Known = TypeVar("Known")
UNREADABLE = (InputError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What readers raise of files that are not what they should be."""
LAYOUT = 3  # of the files in the cache
LIBRARIES = ("accelerate", "datasets", "numpy", "tokenizers", "torch", "transformers")
CODE = Path(__file__).parents[1]
SUMS = "checksums"
KINDS = {
    "costs": "costs",
    "fits": "fit of a predictor",
    "given_models": "model that was given",
    "gold_scores": "scores",
    "language_models": "language model",
    "plans": "plan of a study",
    "signals": "signals",
    "teachers": "teacher",
    "token_vectors": "vectors of tokens",
    "translations": "translations",
    "vectors": "word vectors",
    "vocabularies": "vocabulary",
}
"""Folder in the cache → what is kept there."""


@cache
def maker(code: Path = CODE, libraries: tuple[str, ...] = LIBRARIES) -> str:
    """Hash of what makes the kept files: their layout, a package's code, the libraries."""
    return hash_of(LAYOUT, hash_of_files(list(code.rglob("*.py"))), *map(version, libraries))


def kept(root: Path, kind: str, *identity: object, about: str = "") -> Path:
    """Where in a cache something of a kind is kept that follows from its identity and its maker alone.

    The cache, and the folder of the kind in it, are made where there are none, for this user alone. A note beside the
    place says what it is about (dataset and model, for people), and by its date when it was last asked for.

    Raises:
        InputError: One of them is another user's, or others may write into it.
        DiskError: One of them cannot be made.
    """
    for folder in (root, root / kind):
        with disk_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(folder)
    place = root / kind / hash_of(maker(), *identity)
    with suppress(OSError):  # what is kept is of use without it
        about_file(place).write_text(about, "utf-8")
    return place


def about_file(place: Path) -> Path:
    """The note beside something that is kept."""
    return place.with_name(f".{place.name}.about")


def about_of(place: Path) -> tuple[str, float]:
    """What the note says, and when it was written, in seconds since 1970; of what an older version made nothing, 0."""
    try:
        return about_file(place).read_text("utf-8"), about_file(place).stat().st_mtime
    except (OSError, ValueError):
        return "", 0.0


def _check_owner(folder: Path) -> None:
    if not hasattr(os, "geteuid"):  # the system has no such owners
        return
    about, way = folder.stat(), "Name a folder of your own."
    if about.st_uid not in (os.geteuid(), 0):
        raise InputError.of("--cache-dir", "this folder belongs to another user", repr(str(folder)), (), way)
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what, way = "other users may write into this folder", f"{way[:-1]}, or forbid it: chmod -R go-w {folder}"
        raise InputError.of("--cache-dir", what, repr(str(folder)), (), way)


@contextmanager
def keeping(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to write to, and puts it at `folder` with its checksums once it is whole and on disk.

    What another process has kept there meanwhile stays, for it may be reading it.
    """
    with disk_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder), folder_written_atomically(folder, _is_whole) as aside:
        yield aside
        (aside / SUMS).write_text(_sums(aside), "utf-8")


def intact(folder: Path, reporter: Reporter) -> bool:
    """Whether something is kept there. What is not as it was written is removed, and the reporter is told."""
    if not os.path.lexists(folder):
        return False
    if _is_whole(folder):
        return True
    with _alone(folder):
        if _is_whole(folder):  # another process has made it anew
            return True
        remove(folder)
    say_damaged(folder, reporter)
    return False


def recalled(folder: Path, reporter: Reporter, read: Callable[[Path], Known]) -> Known | None:
    """What is kept there, as `read` makes it of the folder; None where nothing is, or it was not intact.

    What `read` cannot read is damaged, too, however well its checksums fit: it may have been put there.
    """
    if not intact(folder, reporter):
        return None
    with taken_for_damage(*UNREADABLE):
        return read(folder)
    with _alone(folder):
        remove(folder)
    say_damaged(folder, reporter)
    return None


def _alone(folder: Path) -> FileLock:
    """The lock under which a kept thing is put in its place or removed; reading it takes none."""
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def _is_whole(folder: Path) -> bool:
    with taken_for_damage(ValueError):
        return (folder / SUMS).is_file() and (folder / SUMS).read_text("utf-8") == _sums(folder)
    return False


def say_damaged(folder: Path, reporter: Reporter) -> None:
    """Tells that what was kept at a place of `kept` is made anew."""
    name = KINDS[folder.parent.name]
    was, are = ("were", "are") if name.endswith("s") else ("was", "is")
    reporter.message(f"The kept {name} {was} damaged and {are} made anew.")


def _sums(folder: Path) -> str:
    """A line for each file; those that a system leaves behind, such as `.DS_Store` and `.nfs…`, are none of ours."""
    ours = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = sorted(path for path in ours if path != folder / SUMS)
    return "".join(f"{checksum(file)} {file.relative_to(folder).as_posix()}\n" for file in files)
