"""What is checked of the input before anything is read."""

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.base.errors import InputError
from engine.base.spec import SEEDS


def check_seed(seed: int) -> None:
    """Raises InputError where a generator takes no such seed."""
    if not 0 <= seed < SEEDS:
        raise InputError.of("seed", "out of range", seed, (f"0 to {SEEDS - 1}",))


def check_folder(place: str, folder: Path) -> None:
    """Raises InputError where no files can be written to a folder, be it there or to be made; it stays as it is."""
    try:
        with suppress(FileNotFoundError):
            folder.stat()
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
        if any(len(os.fsencode(part)) > longest for part in folder.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not there.is_file():  # whoever needs a folder there says so
            tempfile.TemporaryFile(dir=there).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError.of(place, "this folder cannot be written to", repr(str(folder)), (), f"{why}.") from error
