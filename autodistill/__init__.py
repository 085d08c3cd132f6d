"""AutoDistiller: which distillation pipeline suits a dataset, what it will give, and the run itself.

    from autodistill import AutoDistiller, Pipeline, distill

Everything that a user needs has its name here, every spec of a pipeline too; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import engine

if TYPE_CHECKING:  # the same names for type checkers and editors
    from autodistill.api import AutoDistiller as AutoDistiller
    from autodistill.recommend.request import Limits as Limits
    from autodistill.report.listing import runs as runs
    from engine import *  # noqa: F403
    from engine.pipeline import *  # noqa: F403
    from engine.pipeline.read import dump_pipeline as dump_pipeline
    from engine.pipeline.read import load_pipeline as load_pipeline

_HOMES = {
    "AutoDistiller": "autodistill.api",
    "Limits": "autodistill.recommend.request",
    "dump_pipeline": "engine.pipeline.read",
    "load_pipeline": "engine.pipeline.read",
    "runs": "autodistill.report.listing",
    **dict.fromkeys(engine.__all__, "engine"),
}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_names())
    if name.startswith("_") or name not in _names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "engine.pipeline")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_names()})


def _names() -> set[str]:
    from engine import pipeline

    classes = {name: value for name, value in vars(pipeline).items() if isinstance(value, type)}
    return {*_HOMES, *(name for name, value in classes.items() if issubclass(value, pipeline.Spec))} - {"Spec"}
