"""What lies in the cache, and removing it: by kind, by what it is of, by when it was last asked for.

Decided here: only what `kept` and `packaged_encoder` have made is seen and removed, by its name. What a process is
making, has open or has mapped into memory stays. Empty locks stay, too: another process may be waiting at one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from engine.base.cache import KINDS, about_file, about_of
from engine.base.files import folder_bytes, remove
from engine.base.packaged import MODELS, NAME

OURS = re.compile(r"\.?([0-9a-f]{16})(\.work|\.part)?")
"""Folders of a kind: something kept, the work on it, and what is not whole yet."""


@dataclass(frozen=True)
class Entry:
    """Something that is kept.

    Args:
        kind: A name of `KINDS`, or `models`.
        folders: What it is, and what is left of the work on it.
        about: Dataset and model that it is of; empty where that is not known.
        bytes: On the disk.
        used: When it was last asked for, in seconds since 1970.
    """

    kind: str
    folders: tuple[Path, ...]
    about: str
    bytes: int
    used: float


def entries(root: Path) -> list[Entry]:
    """Everything that is kept in a cache, what was used longest ago first."""
    found = [_entry(kind, name, folders) for kind in KINDS for name, folders in _named(root / kind).items()]
    if (encoder := root / MODELS / NAME).is_dir():
        found.append(Entry(MODELS, (encoder,), NAME, folder_bytes(encoder), encoder.stat().st_mtime))
    return sorted(found, key=lambda each: each.used)


def _named(folder: Path) -> dict[Path, list[Path]]:
    """Place of something of a kind → the folders that are of it."""
    found: dict[Path, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and (parts := OURS.fullmatch(path.name)):
            found.setdefault(folder / parts[1], []).append(path)
    return found


def _entry(kind: str, place: Path, folders: list[Path]) -> Entry:
    about, used = about_of(place)
    changed = max(path.stat().st_mtime for path in folders)
    return Entry(kind, tuple(folders), about, sum(map(folder_bytes, folders)), max(used, changed))


def unneeded(found: Iterable[Entry], before: float | None = None, most: float | None = None) -> Iterator[Entry]:
    """Those to remove, what was used longest ago first.

    Args:
        before: Whatever was not asked for since, in seconds since 1970.
        most: As many more as need to go until the others take so many bytes.
    """
    ordered = sorted(found, key=lambda each: each.used)
    left = sum(each.bytes for each in ordered)
    for each in ordered:
        if (before is not None and each.used < before) or (most is not None and left > most):
            left -= each.bytes
            yield each


def removed(found: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Removes entries; gives those that are gone, and those that stay because a process uses them."""
    gone: list[Entry] = []
    stay: list[Entry] = []
    found = list(found)
    used = set(_in_use()) if found else set()
    for each in found:
        is_used = any(folder in used for folder in each.folders) or not _remove(each)
        (stay if is_used else gone).append(each)
    return gone, stay


def _remove(each: Entry) -> bool:
    """Removes an entry; False where another process is making it."""
    place = each.folders[0].with_name(NAME if each.kind == MODELS else OURS.fullmatch(each.folders[0].name)[1])  # type: ignore[index]
    locks = (Path(f"{place}.lock"), place.with_name(f".{place.name}.lock"))
    try:
        with FileLock(locks[0], timeout=0), FileLock(locks[1], timeout=0):
            for folder in each.folders:
                remove(folder)
            remove(about_file(place))
    except Timeout:
        return False
    return True


def _in_use() -> Iterator[Path]:
    """Folders in which, at any depth, a process has a file open or mapped."""
    for process in psutil.process_iter():
        try:
            files = [*process.open_files(), *(process.memory_maps() if hasattr(process, "memory_maps") else ())]
        except (psutil.Error, OSError):  # it has ended, or is another user's
            continue
        for file in files:
            yield from Path(file.path).parents
