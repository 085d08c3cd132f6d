"""A score of the user's own: a Python function of the true and the given answers.

Decided here: it is named as `metrics.py:cost`, a file and a function of it, or as `package.module:cost`, so that a
record can name it and another process finds it. It is called with two lists, the true answers and those given, in the
user's words: names of classes and tags, not their numbers. As of every score here, 1 is perfect and higher is better;
what it gives is checked each time. The file that it is written in is part of what identifies a task, so that a changed
function scores anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import pkgutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.base.errors import InputError, RunError

if TYPE_CHECKING:
    from engine.data.task import Task

Function = Callable[[list[Any], list[Any]], float]
"""The true answers of some rows and those given → the score."""
ASKED = "--metric"
"""What asks for a score."""
FORM = ("file.py:function", "package.module:function")


def is_own(metric: str) -> bool:
    """Whether a metric is named as a function.

    Example:
        >>> is_own("metrics.py:cost"), is_own("f1_macro")
        (True, False)
    """
    return ":" in metric


def name_of(metric: str | Function) -> str:
    """The name by which a function can be found again; a name stays as it is.

    Raises:
        InputError: It cannot be, as what is made within another function.
    """
    if isinstance(metric, str):
        return metric
    name = f"{getattr(metric, '__module__', '')}:{getattr(metric, '__qualname__', '')}"
    with suppress(InputError):
        if _found(name, "") is metric:
            return name
    hint = "Define it at the top of a module or notebook, with a name."
    raise InputError.of("metric", "a function that cannot be found again by its name", repr(metric), (), hint)


def function_of(metric: str, place: str = ASKED) -> Function:
    """The function that a name means, loaded once.

    Args:
        place: Who wants it.

    Raises:
        InputError: It is not there, cannot be loaded, or is no function.
    """
    source, _, name = metric.rpartition(":")
    if not source.endswith(".py"):
        return _found(metric, place)
    file = Path(source).expanduser()
    if not file.is_file():
        raise InputError.of(place, "there is no such file", source)
    try:
        module = _loaded(file.resolve(), file.stat().st_mtime_ns)
    except Exception as error:  # whatever the user's code raises
        raise InputError.of(place, f"{source} cannot be loaded: {type(error).__name__}: {error}", metric) from error
    return _callable(getattr(module, name, None), metric, place)


@lru_cache(maxsize=16)
def _loaded(file: Path, changed: int) -> ModuleType:
    """A file as it was at some time."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _found(metric: str, place: str) -> Function:
    """The function of a module that can be imported."""
    try:
        found = pkgutil.resolve_name(metric)
    except Exception as error:  # whatever the user's code raises
        why = f"it cannot be loaded: {type(error).__name__}: {error}"
        raise InputError.of(place, why, metric, FORM) from error
    return _callable(found, metric, place)


def _callable(found: Any, metric: str, place: str) -> Function:
    if not callable(found):
        raise InputError.of(place, "there is no such function", metric, FORM)
    return found


def version_of(metric: str) -> str:
    """A short hash of the file that a function is written in, of a notebook's cell its text; empty of what has none."""
    function = inspect.unwrap(function_of(metric))
    with suppress(OSError, TypeError):
        file = Path(inspect.getsourcefile(function) or "")
        text = file.read_bytes() if file.is_file() else inspect.getsource(function).encode()
        return hashlib.sha256(text).hexdigest()[:12]
    return ""


def own_score(task: Task, metric: str, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
    """The score of answers as `predictions` gives them.

    Raises:
        RunError: The function failed, or gave no number from −1 to 1.
    """
    try:
        found = float(function_of(metric)(*(in_words(task, answers) for answers in (gold, predicted))))
    except Exception as error:  # whatever the user's code raises
        raise RunError(f"{metric} failed: {type(error).__name__}: {error}") from error
    if not (math.isfinite(found) and -1 <= found <= 1):
        raise RunError(f"{metric} gave {found}; a score lies between -1 and 1, and higher is better")
    return found


def in_words(task: Task, answers: Sequence[Any]) -> list[Any]:
    """Answers in the user's words: names of classes, lists of names where a row has several, texts and numbers as they
    are; of the true answers to a question all that are accepted."""
    if task.kind == "classification":
        return [task.labels[number] for number in answers]
    if task.kind in ("tagging", "multi_label"):
        return [[task.labels[number] for number in row] for row in answers]
    if task.kind == "question_answering":
        return [answer if isinstance(answer, str) else list(answer["text"]) for answer in answers]
    return [float(value) for value in answers]
