"""AutoDistiller: which distillation pipeline suits a dataset, what it will give, and the run itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autodistill.api import AutoDistiller
    from autodistill.recommend.recommend import Limits

__all__ = ["AutoDistiller", "Limits"]

_HOMES = {"AutoDistiller": "autodistill.api", "Limits": "autodistill.recommend.recommend"}


def __getattr__(name: str) -> Any:
    """Loads what is public when it is asked for, so that the command line answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
