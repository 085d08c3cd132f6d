"""From what was typed after `autodistill run` to what the engine is asked for.

Decided here: which models the demo uses, where a run goes that names no folder, and that everything
that can be checked without a model is checked, all at once, before one is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from autodistill.history.store import Store
from engine.base.errors import InputError, Problem
from engine.base.hub import local_snapshot
from engine.base.options import FineTuning, RunOptions
from engine.base.progress import Reporter
from engine.data.task import Task
from engine.models.names import parse_model
from engine.pipeline import Pipeline, Spec
from engine.pipeline.explain import validated
from engine.pipeline.read import load_pipeline
from engine.run.result import RESULT_FILE, RunResult

DEMO_MODELS = {"teacher": "scratch:layers=4,hidden=256", "student": "scratch:layers=2,hidden=128"}
MODEL_EXAMPLES = {
    "teacher": "Give a hub name such as bert-base-uncased, a folder, or scratch:layers=4,hidden=256.",
    "student": "Give a hub name such as huawei-noah/TinyBERT_General_4L_312D, a folder, "
    "layers:3 of the teacher, or scratch:layers=2,hidden=128.",
}
OPTION_NAMES = {
    "policy": "--fine-tune",
    "epochs": "--teacher-epochs",
    "learning_rate": "--teacher-learning-rate",
}

Options = TypeVar("Options", bound=Spec)


@dataclass(frozen=True)
class Request:
    """What somebody typed; None and absent keys mean the default.

    Args:
        store: The record of runs that this one is added to.
        columns: Keyword arguments of the engine about the data.
        fine_tuning: Fields of `FineTuning`.
        options: Fields of `RunOptions`.
    """

    data: str
    teacher: str | None = None
    student: str | None = None
    pipeline: str = "mi_alpha"
    sets: Sequence[str] = ()
    out: Path | None = None
    seed: int = 0
    with_baseline: bool = False
    store: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def run(request: Request, reporter: Reporter) -> tuple[RunResult, Path]:
    """Carries out a request.

    Returns:
        The result, and the folder it lies in.

    Raises:
        InputError: With every problem that shows without loading a model.
    """
    models, (pipeline, task), options, fine_tuning = together(
        lambda: models_for(request.data, request.teacher, request.student),
        lambda: check(request.pipeline, request.sets, request.data, request.columns),
        lambda: options_from(RunOptions, request.options),
        lambda: options_from(FineTuning, request.fine_tuning),
    )
    out = request.out or default_folder(request, pipeline, models)
    check_models(**models)

    from engine.distillation import (
        distill,  # after everything that needs no torch, which takes seconds to import
    )

    result = distill(
        task,
        **models,
        pipeline=pipeline,
        out=out,
        seed=request.seed,
        with_baseline=request.with_baseline,
        fine_tuning=fine_tuning,
        options=options,
        reporter=reporter,
    )
    record(Store(request.store), result, out)
    return result, out


def record(store: Store, result: RunResult, folder: Path) -> None:
    """Adds a run to the store, and draws the search for its team's distribution, where there was one."""
    store.add_run(result, folder)
    if (folder / "theta.csv").is_file():
        from autodistill.evaluation.figures import draw_team  # loads matplotlib

        draw_team(result, folder)


def check(
    source: str, sets: Sequence[str], data: str | None, columns: Mapping[str, Any]
) -> tuple[Pipeline, Task | None]:
    """A pipeline, and the dataset that it suits where one was named.

    Raises:
        InputError: The pipeline is wrong, the data cannot be read, or they do not go together.
    """
    if data is None:
        return load_pipeline(source, sets), None

    from engine.data.load import load_task

    pipeline, task = together(lambda: load_pipeline(source, sets), lambda: load_task(data, **columns))
    if problems := pipeline.problems_with(task.kind):
        raise InputError(problems)
    return pipeline, task


def read_result(folder: Path) -> RunResult:
    """The result of the run in `folder`.

    Raises:
        InputError: There is none, or it is damaged.
    """
    result = RunResult.read(folder)
    if result is None:
        raise InputError.of(str(folder), f"this folder holds no finished run (no {RESULT_FILE})")
    return result


def models_for(data: str, teacher: str | None, student: str | None) -> dict[str, str]:
    """Teacher and student; the demo brings its own, other data need both.

    Raises:
        InputError: One or both are missing, or have no form of a model's name.
    """
    given = {"teacher": teacher, "student": student}
    chosen = {role: name or (DEMO_MODELS[role] if data == "demo" else "") for role, name in given.items()}
    together(*(lambda role=role, name=name: _check_model(role, name) for role, name in chosen.items()))
    return chosen


def check_models(**names: str) -> None:
    """Finds the models of a run, as far as that needs no weights.

    Raises:
        InputError: With every model that is not there.
    """
    together(*(lambda role=role, name=name: _find_model(role, name) for role, name in names.items()))


def _check_model(role: str, name: str) -> None:
    if not name:
        raise InputError.of(f"--{role}", f"this dataset needs a {role}", suggestion=MODEL_EXAMPLES[role])
    parse_model(name, role)


def _find_model(role: str, name: str) -> None:
    if isinstance(parse_model(name, role), str):
        local_snapshot(name, role)


def options_from(model: type[Options], given: Mapping[str, Any]) -> Options:
    """`given` without what was not given, as checked options.

    Raises:
        InputError: With the options in the place of the fields.

    Example:
        >>> options_from(RunOptions, {"device": None, "cache_budget_gb": -1.0})
        Traceback (most recent call last):
        engine.base.errors.InputError: --cache-budget-gb: out of range; got -1.0; allowed: at least 0
    """
    try:
        return validated(model, {key: value for key, value in given.items() if value is not None})
    except InputError as error:
        raise InputError([_of_option(problem) for problem in error.problems]) from None


def _of_option(problem: Problem) -> Problem:
    return replace(problem, place=OPTION_NAMES.get(problem.place, f"--{problem.place.replace('_', '-')}"))


def default_folder(request: Request, pipeline: Pipeline, models: Mapping[str, str]) -> Path:
    """`runs/<dataset>-<pipeline>-<hash>`: the same command comes back to it, another one does not."""
    precision = request.options.get("precision")
    identity = [
        request.data,
        pipeline.key,
        models,
        request.seed,
        request.columns,
        request.fine_tuning,
        precision,
    ]
    text = json.dumps(identity, sort_keys=True, default=str)
    names = (folder_word(name) for name in (request.data, request.pipeline))
    return Path("runs", "-".join([*names, hashlib.sha256(text.encode()).hexdigest()[:8]]))


def folder_word(name: str) -> str:
    """The last part of a path or hub name, as it may stand in the name of a folder.

    Example:
        >>> folder_word("glue/sst2"), folder_word("my data.csv")
        ('sst2', 'my_data')
    """
    return re.sub(r"[^\w.]+", "_", Path(name).stem) or "data"


def together(*steps: Callable[[], Any]) -> list[Any]:
    """The values of all steps.

    Raises:
        InputError: With the problems of all that failed.
    """
    values: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            values.append(step())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return values
