"""What is checked of the input before anything is read."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.base.errors import InputError, shown
from engine.base.spec import SEEDS


def check_seed(seed: int) -> None:
    """Raises InputError where a generator takes no such seed."""
    if not 0 <= seed < SEEDS:
        raise InputError.of("seed", "out of range", seed, (f"0 to {SEEDS - 1}",))


def check_place(place: str, path: Path, is_folder: bool = True) -> None:
    """Raises InputError where a file, or files into a folder, cannot be written; nothing is left behind."""
    needed = "a folder" if is_folder else "a file"
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode) != is_folder:
                raise InputError.of(place, f"{needed} is needed", shown(str(path)))
        there = next(each for each in path.absolute().parents if each.exists()) if not path.is_dir() else path
        longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
        if any(len(os.fsencode(part)) > longest for part in (*path.parent.parts, f".{path.name}.part")):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        tempfile.TemporaryFile(dir=there).close()
    except (OSError, ValueError) as error:  # the latter of names that no system has
        why = getattr(error, "strerror", None) or str(error)
        raise InputError.of(place, f"{needed} that cannot be written: {why}", shown(str(path))) from error
