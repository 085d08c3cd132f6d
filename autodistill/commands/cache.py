"""`autodistill cache`: what is kept from run to run, and removing it.

Decided here: how sizes are written, and that nothing is removed unasked.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of, seconds_of
from autodistill.commands.show import Shown
from autodistill.commands.units import MISSING, duration
from engine.base.cache import KINDS
from engine.base.cache_entries import Entry, entries, removed, unneeded
from engine.base.errors import BYTES, InputError, counted, in_bytes
from engine.base.progress import Reporter

DAY = 86400.0
SIZES = {name.lower(): unit for unit, name in BYTES.items()} | {"tb": 1e12, "b": 1.0}
"""Unit of a size → bytes."""


def list(typed: Typed, reporter: Reporter) -> Shown:
    """A row for each kind, dataset and model."""
    root = fields_of(typed).options.cache
    found, now = entries(root), time.time()
    groups: dict[tuple[str, str], Any] = {}
    for each in found:
        groups.setdefault((each.kind, each.about), []).append(each)
    records = [
        {"kind": kind, "about": about, "count": len(group), "bytes": sum(each.bytes for each in group),
         "days_unused": round(min(now - each.used for each in group) / DAY, 3)}
        for (kind, about), group in sorted(groups.items())
    ]  # fmt: skip
    rows = [
        [KINDS.get(each["kind"], each["kind"]), each["about"] or MISSING, f"{each['count']:,}", in_bytes(each["bytes"]),
         _age(each["days_unused"])]
        for each in records
    ]  # fmt: skip
    tables = [(["kept", "of", "number", "size", "unused for"], rows, "")] if rows else []
    return Shown(records, tables, [f"{in_bytes(sum(each.bytes for each in found))} in {root}"])


def _age(days: float) -> str:
    return duration(days * DAY) if days < 2 else f"{days:.0f} days"


def prune(typed: Typed, reporter: Reporter) -> Shown:
    """Removes what was not used for long, or as much of it as is too much."""
    older, most = typed["older"], typed["keep_size"]
    if older is None and most is None:
        hint = "`autodistill cache clear` removes everything."
        raise InputError.of("--older, --keep-size", "one of these says what is removed", "", ("30d", "5GB"), hint)
    before = None if older is None else time.time() - seconds_of("--older", "d", "30d", older)
    root, limit = fields_of(typed).options.cache, None if most is None else bytes_of("--keep-size", most)
    return _remove(typed, root, [*unneeded(entries(root), before, limit)])


def clear(typed: Typed, reporter: Reporter) -> Shown:
    """Removes everything."""
    root = fields_of(typed).options.cache
    return _remove(typed, root, entries(root))


def is_terminal() -> bool:
    """Whether there may be a person to ask."""
    return sys.stdin.isatty()


def _remove(typed: Typed, root: Path, chosen: Sequence[Entry]) -> Shown:
    if chosen and not typed["yes"]:
        from autodistill.commands.console import confirmed

        if not is_terminal():
            raise InputError.of("--yes", "nobody can be asked here whether to remove anything; --yes says so")
        if not confirmed(f"Remove {_words(chosen)} from {root}?"):
            chosen = []
    gone, stay = removed(chosen)
    used = [f"in use, and not removed: {_words(stay)}"] if stay else []
    record = {"removed": len(gone), "bytes": sum(each.bytes for each in gone), "in_use": len(stay)}
    return Shown(record, (), [f"removed: {_words(gone)}", *used])


def _words(found: Sequence[Entry]) -> str:
    """How many, and how large."""
    return f"{counted(len(found), 'kept thing')}, {in_bytes(sum(each.bytes for each in found))}"


def bytes_of(place: str, text: str) -> float:
    """Bytes of a size such as `5GB`.

    Example:
        >>> bytes_of("--keep-size", "5GB"), bytes_of("--keep-size", "0.5 mb")
        (5000000000.0, 500000.0)
    """
    parts = re.fullmatch(r"(\d*\.?\d+)\s*([a-z]+)", text.strip().lower())
    if parts is None or parts[2] not in SIZES:
        raise InputError.of(place, "a size is needed", repr(text), ("5GB", "500MB"))
    return float(parts[1]) * SIZES[parts[2]]
