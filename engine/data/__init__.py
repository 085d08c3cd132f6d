"""Data: any source → a `Task` → batches. Importing this loads neither torch nor transformers.

`load_task` is looked up when it is first used: what kinds of tasks there are needs no reader of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.data.task import Task

if TYPE_CHECKING:
    from engine.data.load import identified, load_task

__all__ = ["Task", "identified", "load_task"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from engine.data import load

    return getattr(load, name)
